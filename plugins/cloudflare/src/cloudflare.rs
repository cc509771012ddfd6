//! The provider.

use portolan_plugin::{
    Host, Provider,
    dns::{Caps, Change, Error, Features, Outcome, RecordPage, RecordSet, Zone, ZonePage},
    records::{concerned, of_key, set, sets},
    sets::{self as wanted_sets, Standing, show, standing},
};
use serde::Deserialize;

use crate::{
    apply::Apply,
    client::{Client, FREE_BATCH, ServiceZone},
    plan::{Planned, units},
    record::{AUTOMATIC_TTL, PROXIABLE, RECORD_TYPES, Writing, is_proxied},
};

/// The highest TTL, in seconds.
const MAX_TTL: u32 = 86_400;
/// The most characters that the contents of a set have together.
const MAX_CONTENT: usize = 8_192;

/// The binding's settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the API listens.
    #[serde(default = "public_endpoint")]
    pub endpoint: String,
}

fn public_endpoint() -> String {
    "https://api.cloudflare.com".to_owned()
}

/// What a token of Cloudflare can see.
pub struct Cloudflare {
    client: Client,
}

impl Provider for Cloudflare {
    type Settings = Settings;

    fn describe() -> Caps {
        Caps {
            // No `comment`: the service has one for each record, so they are left as they are. No
            // `atomic-zone`: where a batch is refused, the good changes are made without the bad ones.
            features: Features::ATOMIC_RRSET,
            record_types: RECORD_TYPES
                .iter()
                .map(|rtype| (*rtype).to_owned())
                .collect(),
            // A set is changed with one batch, on whichever plan.
            max_values: u32::try_from(FREE_BATCH).unwrap_or(u32::MAX),
            changes_per_call: 1_000,
            settle_ms: 0,
            hosts: vec!["api.cloudflare.com".to_owned()],
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
        let (zones, more) = self.client.zones(host, page)?;
        let writable = zones.iter().filter(|zone| zone.is_writable());
        let zone = |zone: &ServiceZone| Zone {
            name: zone.name(),
            min_ttl: Some(zone.min_ttl()),
        };
        Ok(ZonePage {
            zones: writable.map(zone).collect(),
            next: more.then(|| (page + 1).to_string()),
        })
    }

    fn read(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
        _: Option<&str>,
    ) -> Result<RecordPage, Error> {
        let service_zone = self.client.zone(host, zone)?;
        let at = (zone, service_zone.id());
        let records = self.client.records(host, at, name, false)?;
        Ok(RecordPage {
            sets: sets(records, RECORD_TYPES),
            next: None,
        })
    }

    fn normalize(
        &self,
        host: &dyn Host,
        zone: &str,
        wanted: Vec<RecordSet>,
    ) -> Result<Vec<Result<RecordSet, Error>>, Error> {
        let Some(first) = wanted.first() else {
            return Ok(Vec::new());
        };
        let service_zone = self.client.zone(host, zone)?;
        let at = (zone, service_zone.id());
        // What is behind the proxy has no TTL of its own, and this tells what is.
        let can_be_proxied = |set: &RecordSet| PROXIABLE.contains(&set.key.rtype.as_str());
        let mut proxied = Vec::new();
        if wanted.iter().any(can_be_proxied) {
            let name = first.key.name.as_str();
            let same_name = wanted.iter().all(|set| set.key.name == name);
            proxied = self
                .client
                .records(host, at, same_name.then_some(name), true)?;
        }
        let normalize = |set: RecordSet| {
            let is_proxied = proxied.iter().any(|record| record.key == set.key);
            normalize(zone, set, service_zone.min_ttl(), is_proxied)
        };
        Ok(wanted.into_iter().map(normalize).collect())
    }

    fn apply(
        &self,
        host: &dyn Host,
        zone: &str,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<Outcome, Error>>, Error> {
        let service_zone = self.client.zone(host, zone)?;
        let at = (zone, service_zone.id());
        let read = |name: Option<&str>| self.client.records(host, at, name, false);
        let records = concerned(&changes, &read)?;

        let mut results = Vec::with_capacity(changes.len());
        let mut to_make = Vec::with_capacity(changes.len());
        for change in changes {
            let found = of_key(&records, &change.key);
            let proxied = found.iter().any(|record| is_proxied(record));
            let after = change
                .after
                .map(|set| normalize(zone, set, service_zone.min_ttl(), proxied))
                .transpose();
            let index = results.len();
            results.push(after.map(|after| {
                let change = Change { after, ..change };
                match standing(&change, set(&found).as_ref()) {
                    Standing::AsWanted => Outcome::Already,
                    Standing::Moved => Outcome::Stale,
                    Standing::AsBefore => {
                        to_make.push((index, change, found));
                        Outcome::Applied
                    }
                }
            }));
        }

        let mut planned = Vec::with_capacity(to_make.len());
        for (index, change, found) in &to_make {
            match Planned::new(*index, change, found) {
                Ok(change) => planned.push(change),
                Err(reason) => results[*index] = Err(Error::Unsupported(reason)),
            }
        }
        let look = |planned: &Planned| {
            let key = &planned.change.key;
            let records = read(Some(&key.name))?;
            Ok(set(&of_key(&records, key)))
        };
        let mut apply = Apply {
            client: &self.client,
            host,
            zone,
            service_zone: &service_zone,
            look: &look,
            results,
            stopped: None,
        };
        apply.all(&units(planned));
        Ok(apply.results)
    }
}

/// How a wanted set will read back.
fn normalize(
    zone: &str,
    wanted: RecordSet,
    min_ttl: u32,
    is_proxied: bool,
) -> Result<RecordSet, Error> {
    let ttl = match wanted.ttl {
        _ if is_proxied => AUTOMATIC_TTL,
        AUTOMATIC_TTL => AUTOMATIC_TTL,
        seconds => seconds.clamp(min_ttl, MAX_TTL),
    };
    let set = wanted_sets::normalize(zone, RecordSet { ttl, ..wanted }, &Cloudflare::describe())?;
    let length: usize = set.values.iter().map(|value| value.content.len()).sum();
    if length > MAX_CONTENT {
        return Err(Error::Invalid(format!(
            "{}: its contents have {length} characters together and may have {MAX_CONTENT}",
            show(&set)
        )));
    }
    for value in &set.values {
        Writing::new(&set, &value.content)
            .map_err(|reason| Error::Unsupported(format!("{}: {reason}", show(&set))))?;
    }
    Ok(set)
}
