//! The provider.

use portolan_plugin::{
    Host, Provider,
    dns::{Caps, Change, Error, Features, Outcome, RecordPage, RecordSet, Zone, ZonePage},
    http::Effect,
    names::without_dot,
    records, sets,
};
use serde::Deserialize;

use crate::{
    client::{Client, Domain, PAGE, present},
    record,
};

/// The smallest TTL of a record, in seconds.
const MIN_TTL: u32 = 30;
/// The highest TTL of DNS (RFC 2181, 8), in seconds: the service documents none of its own.
const MAX_TTL: u32 = u32::MAX / 2;
/// The most values that fit an answer of 65,535 octets, of which the header takes 12 and each record
/// at least 16 (RFC 1035, 4.1). The service documents no limit.
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
    "https://api.digitalocean.com".to_owned()
}

/// An account of DigitalOcean.
pub struct DigitalOcean {
    pub(crate) client: Client,
}

impl Provider for DigitalOcean {
    type Settings = Settings;

    fn describe() -> Caps {
        Caps {
            features: Features::empty(),
            record_types: record::TYPES
                .iter()
                .map(|&rtype| rtype.to_owned())
                .collect(),
            max_values: MAX_VALUES,
            changes_per_call: 50,
            settle_ms: 0,
            hosts: vec!["api.digitalocean.com".to_owned()],
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
        let what = "listing the domains";
        let path = format!("?page={page}&per_page={PAGE}");
        let reply = self.client.get(host, &path, what)?;
        let more = reply.has_next();
        let domains = present(reply.domains, Effect::Read, what)?;
        let zone = |domain: Domain| Zone {
            name: without_dot(&domain.name),
            min_ttl: Some(MIN_TTL),
        };
        Ok(ZonePage {
            zones: domains.into_iter().map(zone).collect(),
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
        records::read(self, host, zone, name)
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
        records::apply(self, host, zone, changes)
    }
}

/// A wanted set as it will read back.
pub(crate) fn normalize(zone: &str, wanted: RecordSet) -> Result<RecordSet, Error> {
    let ttl = wanted.ttl.clamp(MIN_TTL, MAX_TTL);
    let set = sets::normalize(zone, RecordSet { ttl, ..wanted }, &DigitalOcean::describe())?;
    let rtype = set.key.rtype.clone();
    sets::respell(set, |content| record::round_trip(&rtype, content))
}
