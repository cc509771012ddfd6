//! The provider.

use portolan_plugin::{
    Host, Provider,
    dns::{
        Caps, Change, DnsLine, Error, Features, Outcome, RecordPage, RecordSet, RecordValue, Zone,
        ZonePage,
    },
    http::Effect,
    names::relative,
    records::{self, Failure, Pages, Record, Records},
    sets,
};
use serde::Deserialize;

use crate::{
    client::{Client, Parameters, Reply, present},
    entry::{self, Entry, RECORD_TYPES},
    line,
    package::{COMMON_MIN_TTL, MAX_TTL, min_ttl},
};

/// The most records per page of DescribeRecordList, and domains per page of DescribeDomainList.
const PAGE: u64 = 3_000;
/// More than any package allows for one name, type and line; the zone's own limit is the service's to
/// tell.
const MAX_VALUES: u32 = 100;
/// The highest weight.
const MAX_WEIGHT: u32 = 100;
/// Records that were just added can be missing from lists for so long, by the documentation of
/// DescribeRecordList.
const SETTLE_MS: u32 = 30_000;

/// The binding's settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the API listens.
    #[serde(default = "public_endpoint")]
    pub endpoint: String,
}

fn public_endpoint() -> String {
    "https://dnspod.tencentcloudapi.com".to_owned()
}

/// An account of DNSPod.
pub struct Dnspod {
    client: Client,
}

impl Provider for Dnspod {
    type Settings = Settings;

    fn describe() -> Caps {
        Caps {
            features: Features::LINES
                | Features::WEIGHTS
                | Features::DISABLE
                | Features::NEEDS_DEFAULT_LINE,
            record_types: RECORD_TYPES
                .iter()
                .map(|rtype| (*rtype).to_owned())
                .collect(),
            max_values: MAX_VALUES,
            changes_per_call: 50,
            settle_ms: SETTLE_MS,
            hosts: vec!["dnspod.tencentcloudapi.com".to_owned()],
        }
    }

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            client: Client::new(&settings.endpoint)?,
        })
    }

    fn zones(&self, host: &dyn Host, cursor: Option<&str>) -> Result<ZonePage, Error> {
        let offset: u64 = match cursor {
            None => 0,
            Some(cursor) => cursor
                .parse()
                .map_err(|_| Error::Invalid(format!("`{cursor}` is no cursor of this list")))?,
        };
        let what = "listing the domains";
        let parameters = Parameters {
            offset: Some(offset),
            limit: Some(PAGE),
            ..Parameters::default()
        };
        let reply = self.ask(host, "DescribeDomainList", what, &parameters)?;
        let domains = present(reply.domain_list, Effect::Read, what)?;
        let total = reply.domain_count_info.and_then(|info| info.domain_total);
        let total = present(total, Effect::Read, what)?;
        let packages = self.packages(host)?;
        let next = offset + count(&domains);
        let zone = |domain: &Entry| {
            Some(Zone {
                name: domain.zone_name()?,
                min_ttl: min_ttl(&packages, domain),
            })
        };
        let zones: Option<Vec<Zone>> = domains.iter().map(zone).collect();
        Ok(ZonePage {
            zones: present(zones, Effect::Read, what)?,
            next: (next < total && !domains.is_empty()).then(|| next.to_string()),
        })
    }

    fn lines(&self, host: &dyn Host, zone: &str) -> Result<Vec<DnsLine>, Error> {
        let domain = self.domain(host, zone)?;
        let what = format!("listing the lines of {zone}");
        let parameters = Parameters {
            domain: Some(zone),
            domain_grade: domain.grade.as_deref(),
            ..Parameters::default()
        };
        let reply = self.ask(host, "DescribeRecordLineList", &what, &parameters)?;
        let mut lines = present(reply.line_list, Effect::Read, &what)?;
        // Groups of lines that the account made of its own are lines, too.
        lines.extend(reply.line_group_list.unwrap_or_default());
        let line = |line: Entry| {
            let label = line.name?;
            Some(DnsLine {
                code: line::from_service(&line.line_id?, &label).to_owned(),
                label,
            })
        };
        present(lines.into_iter().map(line).collect(), Effect::Read, &what)
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
        let domain = self.domain(host, zone)?;
        let min_ttl = min_ttl(&self.packages(host)?, &domain).unwrap_or(COMMON_MIN_TTL);
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

impl Records for Dnspod {
    const TYPES: &'static [&'static str] = RECORD_TYPES;

    fn records(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
    ) -> Result<Vec<Record>, Error> {
        let what = format!("reading the records of {}", name.unwrap_or(zone));
        let sub_domain = name.map(|name| relative_name(name, zone)).transpose()?;
        let mut pages = Pages::new(&what);
        loop {
            let offset = pages.count() as u64;
            let parameters = Parameters {
                domain: Some(zone),
                only_sub_domain: sub_domain,
                error_on_empty: Some("no"),
                offset: Some(offset),
                limit: Some(PAGE),
                ..Parameters::default()
            };
            let reply = self.ask(host, "DescribeRecordList", &what, &parameters)?;
            let arrived = present(reply.record_list, Effect::Read, &what)?;
            let total = reply.record_count_info.and_then(|info| info.total_count);
            let total = match sub_domain {
                // The documentation leaves open whether the total is that of the name or the zone.
                Some(_) if count(&arrived) < PAGE => offset + count(&arrived),
                _ => present(total, Effect::Read, &what)?,
            };
            let records: Option<Vec<Record>> = arrived
                .into_iter()
                .map(|entry| entry.into_record(zone))
                .collect();
            if pages.add(
                usize::try_from(total).unwrap_or(usize::MAX),
                present(records, Effect::Read, &what)?,
            )? {
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
        for weight in set.values.iter().filter_map(|value| value.weight) {
            if !(1..=MAX_WEIGHT).contains(&weight) {
                return Err(Error::Invalid(format!(
                    "{}: the weight {weight} is not from 1 to {MAX_WEIGHT}",
                    sets::show(&set)
                )));
            }
        }
        let rtype = set.key.rtype.clone();
        sets::respell(set, |content| entry::round_trip(&rtype, content))
    }

    fn add(
        &self,
        host: &dyn Host,
        zone: &str,
        set: &RecordSet,
        value: &RecordValue,
    ) -> Result<(), Failure> {
        self.write(host, zone, None, set, value)
    }

    fn update(
        &self,
        host: &dyn Host,
        zone: &str,
        record: &Record,
        set: &RecordSet,
        value: &RecordValue,
    ) -> Result<(), Failure> {
        self.write(host, zone, Some(record), set, value)
    }

    fn switch(
        &self,
        host: &dyn Host,
        zone: &str,
        record: &Record,
        enabled: bool,
    ) -> Result<(), Failure> {
        let verb = if enabled { "enabling" } else { "disabling" };
        let parameters = Parameters {
            status: Some(status(enabled)),
            ..Parameters::default()
        };
        self.change(host, zone, "ModifyRecordStatus", verb, record, parameters)
    }

    fn delete(&self, host: &dyn Host, zone: &str, record: &Record) -> Result<(), Failure> {
        let parameters = Parameters::default();
        self.change(host, zone, "DeleteRecord", "deleting", record, parameters)
    }
}

impl Dnspod {
    fn ask(
        &self,
        host: &dyn Host,
        action: &str,
        what: &str,
        parameters: &Parameters<'_>,
    ) -> Result<Reply, Error> {
        Ok(self
            .client
            .call(host, action, Effect::Read, what, parameters)?)
    }

    fn domain(&self, host: &dyn Host, zone: &str) -> Result<Entry, Error> {
        let what = format!("reading the package of {zone}");
        let parameters = Parameters {
            domain: Some(zone),
            ..Parameters::default()
        };
        let reply = self.ask(host, "DescribeDomain", &what, &parameters)?;
        present(reply.domain_info, Effect::Read, &what)
    }

    /// What packages there are, with their limits.
    fn packages(&self, host: &dyn Host) -> Result<Vec<Entry>, Error> {
        let what = "reading the limits of packages";
        let parameters = Parameters::default();
        let reply = self.ask(host, "DescribePackageDetail", what, &parameters)?;
        present(reply.info, Effect::Read, what)
    }

    /// Adds a record to a set, or gives one another value. Everything that a record has goes along: the
    /// service takes a missing line, TTL or state for the default one.
    fn write(
        &self,
        host: &dyn Host,
        zone: &str,
        record: Option<&Record>,
        set: &RecordSet,
        value: &RecordValue,
    ) -> Result<(), Failure> {
        let (written, mx) = entry::write(&set.key.rtype, &value.content).map_err(Error::Invalid)?;
        let (line, line_id) = line::to_service(&set.key.line);
        // 0 takes a weight away; without any nothing is said.
        let had_weight = record.is_some_and(|record| record.value.weight.is_some());
        let parameters = Parameters {
            domain: Some(zone),
            record_id: record.map(id).transpose()?,
            sub_domain: Some(relative_name(&set.key.name, zone)?),
            record_type: Some(&set.key.rtype),
            record_line: Some(line),
            record_line_id: line_id,
            value: Some(&written),
            mx,
            ttl: Some(set.ttl.into()),
            weight: value.weight.or(had_weight.then_some(0)).map(u64::from),
            status: Some(status(value.enabled)),
            remark: record.and_then(entry::remark),
            ..Parameters::default()
        };
        let (action, what) = match record {
            None => (
                "CreateRecord",
                format!("adding {} {}", sets::show(set), value.content),
            ),
            Some(_) => (
                "ModifyRecord",
                format!("updating {} to {}", sets::show(set), value.content),
            ),
        };
        let reply = self
            .client
            .call(host, action, Effect::Write, &what, &parameters)?;
        present(reply.record_id, Effect::Write, &what)?;
        Ok(())
    }

    /// Makes a call about one record that stands.
    fn change(
        &self,
        host: &dyn Host,
        zone: &str,
        action: &str,
        verb: &str,
        record: &Record,
        parameters: Parameters<'_>,
    ) -> Result<(), Failure> {
        let key = &record.key;
        let what = format!("{verb} record {} of {} {}", record.id, key.name, key.rtype);
        let parameters = Parameters {
            domain: Some(zone),
            record_id: Some(id(record)?),
            ..parameters
        };
        self.client
            .call(host, action, Effect::Write, &what, &parameters)
            .map(drop)
    }
}

fn count(entries: &[Entry]) -> u64 {
    entries.len() as u64
}

fn status(enabled: bool) -> &'static str {
    if enabled { "ENABLE" } else { "DISABLE" }
}

fn id(record: &Record) -> Result<u64, Error> {
    record
        .id
        .parse()
        .map_err(|_| Error::Invalid(format!("`{}` is no id of a record", record.id)))
}

fn relative_name<'a>(name: &'a str, zone: &str) -> Result<&'a str, Error> {
    relative(name, zone)
        .ok_or_else(|| Error::Invalid(format!("the name {name} is not in the zone {zone}")))
}
