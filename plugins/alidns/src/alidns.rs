//! The provider.

use portolan_plugin::{
    Host, Provider,
    dns::{
        Caps, Change, DnsLine, Error, Features, Outcome, RecordKey, RecordPage, RecordSet,
        RecordValue, Zone, ZonePage,
    },
    http::Effect,
    names::{relative, without_dot},
    records::{self, Failure, Pages, Record, Records},
    sets,
};
use serde::Deserialize;

use crate::{
    client::{Client, Domain, Line, present},
    line,
    record::{self, RECORD_TYPES, ServiceRecord},
};

/// The most records per page of DescribeDomainRecords.
const ZONE_PAGE: usize = 500;
/// The most records per page of DescribeSubDomainRecords that every version of the documentation allows.
const NAME_PAGE: usize = 100;
/// The most domains per page of DescribeDomains.
const DOMAIN_PAGE: usize = 100;
/// The most records of one name, type and line, by the text of `QuotaExceeded.Record`.
const MAX_VALUES: u32 = 90;
/// The highest TTL of any edition, in seconds.
const MAX_TTL: u32 = 86_400;

/// The binding's settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the API listens.
    #[serde(default = "public_endpoint")]
    pub endpoint: String,
}

fn public_endpoint() -> String {
    "https://alidns.aliyuncs.com".to_owned()
}

/// An account of Alibaba Cloud DNS.
pub struct AliDns {
    client: Client,
}

impl Provider for AliDns {
    type Settings = Settings;

    fn describe() -> Caps {
        Caps {
            // No `weights`: the service has them behind a switch per name, so they are left as they are.
            features: Features::LINES | Features::DISABLE,
            record_types: RECORD_TYPES
                .iter()
                .map(|rtype| (*rtype).to_owned())
                .collect(),
            max_values: MAX_VALUES,
            changes_per_call: 50,
            settle_ms: 0,
            hosts: vec!["alidns.aliyuncs.com".to_owned()],
        }
    }

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            client: Client::new(&settings.endpoint)?,
        })
    }

    fn zones(&self, host: &dyn Host, cursor: Option<&str>) -> Result<ZonePage, Error> {
        let page: usize = match cursor {
            None => 1,
            Some(cursor) => cursor
                .parse()
                .map_err(|_| Error::Invalid(format!("`{cursor}` is no cursor of this list")))?,
        };
        let parameters = vec![
            ("PageNumber", page.to_string()),
            ("PageSize", DOMAIN_PAGE.to_string()),
        ];
        let what = "listing the domains";
        let reply = self
            .client
            .call(host, "DescribeDomains", Effect::Read, what, parameters)?;
        let domains = present(reply.domains, Effect::Read, what)?.list;
        let total = present(reply.total_count, Effect::Read, what)?;
        let more = page * DOMAIN_PAGE < total && !domains.is_empty();
        let zone = |domain: Domain| {
            let a_labels = domain.puny_code.filter(|name| !name.is_empty());
            Zone {
                name: without_dot(&a_labels.unwrap_or(domain.domain_name)),
                min_ttl: None,
            }
        };
        Ok(ZonePage {
            zones: domains.into_iter().map(zone).collect(),
            next: more.then(|| (page + 1).to_string()),
        })
    }

    fn lines(&self, host: &dyn Host, zone: &str) -> Result<Vec<DnsLine>, Error> {
        let what = format!("listing the lines of {zone}");
        let parameters = vec![("DomainName", zone.to_owned()), ("Lang", "en".to_owned())];
        let reply = self.client.call(
            host,
            "DescribeSupportLines",
            Effect::Read,
            &what,
            parameters,
        )?;
        let lines = present(reply.record_lines, Effect::Read, &what)?.list;
        let line = |line: Line| DnsLine {
            code: line::from_service(&line.line_code).to_owned(),
            label: line.line_display_name.unwrap_or(line.line_code),
        };
        Ok(lines.into_iter().map(line).collect())
    }

    fn read(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
        _: Option<&str>,
    ) -> Result<RecordPage, Error> {
        records::read(self, host, zone, name)
    }

    fn normalize(
        &self,
        host: &dyn Host,
        zone: &str,
        wanted: Vec<RecordSet>,
    ) -> Result<Vec<Result<RecordSet, Error>>, Error> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let min_ttl = self.min_ttl(host, zone)?;
        let normalize = |set: RecordSet| {
            let ttl = set.ttl.clamp(min_ttl, MAX_TTL);
            Records::normalize(self, zone, RecordSet { ttl, ..set })
        };
        Ok(wanted.into_iter().map(normalize).collect())
    }

    fn apply(
        &self,
        host: &dyn Host,
        zone: &str,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<Outcome, Error>>, Error> {
        records::apply(self, host, zone, changes)
    }
}

impl Records for AliDns {
    const TYPES: &'static [&'static str] = RECORD_TYPES;

    fn records(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
    ) -> Result<Vec<Record>, Error> {
        let what = format!("reading the records of {}", name.unwrap_or(zone));
        let (action, page_size, rr) = match name {
            None => ("DescribeDomainRecords", ZONE_PAGE, None),
            Some(name) => (
                "DescribeSubDomainRecords",
                NAME_PAGE,
                Some(relative_name(name, zone)?),
            ),
        };
        let mut pages = Pages::new(&what);
        for page in 1.. {
            let mut parameters = vec![
                ("DomainName", zone.to_owned()),
                ("PageNumber", page.to_string()),
                ("PageSize", page_size.to_string()),
            ];
            if let Some(rr) = rr {
                parameters.push(("SubDomain", format!("{rr}.{zone}")));
            }
            let reply = self
                .client
                .call(host, action, Effect::Read, &what, parameters)?;
            let total = present(reply.total_count, Effect::Read, &what)?;
            let arrived = present(reply.domain_records, Effect::Read, &what)?.list;
            let record = |record: ServiceRecord| record.into_record(zone);
            if pages.add(total, arrived.into_iter().map(record).collect())? {
                break;
            }
        }
        let mut records = pages.whole()?;
        records.retain(|record| name.is_none_or(|name| record.key.name == name));
        Ok(records)
    }

    /// As it will read back, but for the bounds of its TTL, which only the service knows.
    fn normalize(&self, zone: &str, wanted: RecordSet) -> Result<RecordSet, Error> {
        let set = sets::normalize(zone, wanted, &Self::describe())?;
        let rtype = set.key.rtype.clone();
        sets::respell(set, |content| record::round_trip(&rtype, content))
    }

    fn add(
        &self,
        host: &dyn Host,
        zone: &str,
        set: &RecordSet,
        value: &RecordValue,
    ) -> Result<(), Failure> {
        let id = self.write(host, zone, set, None, &value.content)?;
        if value.enabled {
            return Ok(());
        }
        self.set_status(host, &set.key, &id, false)
            .map_err(|failure| failure.after("after it was added"))
    }

    fn update(
        &self,
        host: &dyn Host,
        zone: &str,
        record: &Record,
        set: &RecordSet,
        value: &RecordValue,
    ) -> Result<(), Failure> {
        self.write(host, zone, set, Some(&record.id), &value.content)
            .map(drop)
    }

    fn switch(
        &self,
        host: &dyn Host,
        _: &str,
        record: &Record,
        enabled: bool,
    ) -> Result<(), Failure> {
        self.set_status(host, &record.key, &record.id, enabled)
    }

    fn delete(&self, host: &dyn Host, _: &str, record: &Record) -> Result<(), Failure> {
        let Record { id, key, .. } = record;
        let what = format!("deleting record {id} of {} {}", key.name, key.rtype);
        let parameters = vec![("RecordId", id.clone())];
        self.client
            .call(host, "DeleteDomainRecord", Effect::Write, &what, parameters)
            .map(drop)
    }
}

impl AliDns {
    /// The smallest TTL of the zone's edition.
    fn min_ttl(&self, host: &dyn Host, zone: &str) -> Result<u32, Error> {
        let what = format!("reading the limits of {zone}");
        let parameters = vec![
            ("DomainName", zone.to_owned()),
            ("NeedDetailAttributes", "true".to_owned()),
        ];
        let info = self
            .client
            .call(host, "DescribeDomainInfo", Effect::Read, &what, parameters)?;
        Ok(info.min_ttl.unwrap_or(1).clamp(1, MAX_TTL))
    }

    /// Adds a record to a set or updates the one with this id, and answers its id. Line and TTL always
    /// go along: the service resets them to its defaults where they are left out.
    fn write(
        &self,
        host: &dyn Host,
        zone: &str,
        set: &RecordSet,
        id: Option<&str>,
        content: &str,
    ) -> Result<String, Failure> {
        let written = record::write(&set.key.rtype, content).map_err(Error::Invalid)?;
        let mut parameters = vec![
            ("RR", relative_name(&set.key.name, zone)?.to_owned()),
            ("Type", set.key.rtype.clone()),
            ("Value", written.value),
            ("TTL", set.ttl.to_string()),
            ("Line", line::to_service(&set.key.line).to_owned()),
        ];
        parameters.extend(written.priority.map(|priority| ("Priority", priority)));
        let (action, what) = match id {
            None => {
                parameters.push(("DomainName", zone.to_owned()));
                (
                    "AddDomainRecord",
                    format!("adding {} {content}", sets::show(set)),
                )
            }
            Some(id) => {
                parameters.push(("RecordId", id.to_owned()));
                (
                    "UpdateDomainRecord",
                    format!("updating {} to {content}", sets::show(set)),
                )
            }
        };
        let reply = self
            .client
            .call(host, action, Effect::Write, &what, parameters)?;
        Ok(present(reply.record_id, Effect::Write, &what)?)
    }

    fn set_status(
        &self,
        host: &dyn Host,
        key: &RecordKey,
        id: &str,
        enabled: bool,
    ) -> Result<(), Failure> {
        let (status, verb) = if enabled {
            ("Enable", "enabling")
        } else {
            ("Disable", "disabling")
        };
        let what = format!("{verb} record {id} of {} {}", key.name, key.rtype);
        let parameters = vec![("RecordId", id.to_owned()), ("Status", status.to_owned())];
        self.client
            .call(
                host,
                "SetDomainRecordStatus",
                Effect::Write,
                &what,
                parameters,
            )
            .map(drop)
    }
}

fn relative_name<'a>(name: &'a str, zone: &str) -> Result<&'a str, Error> {
    relative(name, zone)
        .ok_or_else(|| Error::Invalid(format!("the name {name} is not in the zone {zone}")))
}
