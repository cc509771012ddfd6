//! The provider.

use portolan_plugin::{
    Host, Provider,
    dns::{Caps, Change, Error, Features, Outcome, RecordPage, RecordSet, Zone, ZonePage},
    names::without_dot,
    sets,
};
use serde::Deserialize;

use crate::{
    api::{Api, RrSet},
    apply::Apply,
    rrset,
};

/// The smallest TTL, in seconds.
const MIN_TTL: u32 = 60;
/// The highest TTL, in seconds.
const MAX_TTL: u32 = i32::MAX as u32;
/// The most values that fit an answer of 65,535 octets, of which the header takes 12 and each record
/// at least 16 (RFC 1035, 4.1). The service documents no limit of its own.
const MAX_VALUES: u32 = (65_535 - 12) / 16;

/// The binding's settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the API listens.
    #[serde(default = "public_endpoint")]
    pub endpoint: String,
}

fn public_endpoint() -> String {
    "https://api.hetzner.cloud".to_owned()
}

/// A project of Hetzner Cloud.
pub struct Hetzner {
    api: Api,
}

impl Provider for Hetzner {
    type Settings = Settings;

    fn describe() -> Caps {
        Caps {
            // No `comment`: the service's are the records', not the sets', and are left as they are.
            // No `atomic-rrset`: contents and TTL are two actions.
            features: Features::empty(),
            record_types: rrset::RECORD_TYPES.map(str::to_owned).to_vec(),
            max_values: MAX_VALUES,
            changes_per_call: 50,
            settle_ms: 0,
            hosts: vec!["api.hetzner.cloud".to_owned()],
        }
    }

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            api: Api::new(&settings.endpoint)?,
        })
    }

    fn zones(&self, host: &dyn Host, cursor: Option<&str>) -> Result<ZonePage, Error> {
        let page = match cursor {
            None => 1,
            Some(cursor) => cursor
                .parse()
                .map_err(|_| Error::Invalid(format!("`{cursor}` is no cursor of this list")))?,
        };
        let (zones, next) = self.api.zones(host, page)?;
        let zones = zones.iter().filter(|zone| zone.is_primary());
        Ok(ZonePage {
            zones: zones
                .map(|zone| Zone {
                    name: without_dot(&zone.name),
                    min_ttl: Some(MIN_TTL),
                })
                .collect(),
            next: next.map(|page| page.to_string()),
        })
    }

    fn read(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
        _: Option<&str>,
    ) -> Result<RecordPage, Error> {
        let rrsets = self.api.rrsets(host, zone, name)?;
        let default_ttl = default_ttl(&self.api, host, zone, &rrsets)?;
        let sets = rrsets
            .iter()
            .filter_map(|rrset| rrset::read(zone, rrset, default_ttl))
            .filter(|set| name.is_none_or(|name| set.key.name == name));
        // One page, so that the whole is checked for changes between the service's pages.
        Ok(RecordPage {
            sets: sets.collect(),
            next: None,
        })
    }

    fn normalize(
        &self,
        _: &dyn Host,
        zone: &str,
        wanted: Vec<RecordSet>,
    ) -> Result<Vec<Result<RecordSet, Error>>, Error> {
        Ok(wanted.into_iter().map(|set| normalize(zone, set)).collect())
    }

    fn apply(
        &self,
        host: &dyn Host,
        zone: &str,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<Outcome, Error>>, Error> {
        Ok(Apply::begin(&self.api, host, zone, &changes)?.all(changes))
    }
}

/// How a wanted set will read back.
pub(crate) fn normalize(zone: &str, wanted: RecordSet) -> Result<RecordSet, Error> {
    let ttl = wanted.ttl.clamp(MIN_TTL, MAX_TTL);
    sets::normalize(zone, RecordSet { ttl, ..wanted }, &Hetzner::describe())
}

/// The zone's own TTL, asked for only where one of the sets goes by it.
pub(crate) fn default_ttl(
    api: &Api,
    host: &dyn Host,
    zone: &str,
    rrsets: &[RrSet],
) -> Result<u32, Error> {
    if rrsets.iter().any(|rrset| rrset.ttl.is_none()) {
        api.default_ttl(host, zone)
    } else {
        Ok(MIN_TTL)
    }
}
