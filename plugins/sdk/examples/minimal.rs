//! A whole DNS provider plugin: it shows one zone, `example.com`, that cannot be changed.
//!
//! `cargo build -p portolan-plugin --example minimal --target wasm32-wasip2 --profile plugin` makes a
//! component of it that the daemon loads.

use portolan_plugin::{
    Host, Provider,
    dns::{
        Caps, Change, Error, Features, Outcome, RecordKey, RecordPage, RecordSet, RecordValue,
        Zone, ZonePage,
    },
    export_provider, manifest,
};
use serde::Deserialize;

/// The binding's settings; the manifest's schema has been checked before they arrive here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    address: String,
}

struct Minimal {
    address: String,
}

impl Provider for Minimal {
    type Settings = Settings;

    fn describe() -> Caps {
        Caps {
            features: Features::empty(),
            record_types: vec!["A".to_owned()],
            max_values: 1,
            changes_per_call: 50,
            settle_ms: 0,
            hosts: Vec::new(),
        }
    }

    fn new(settings: Settings) -> Result<Self, Error> {
        let address = portolan_plugin::content::canonical("A", &settings.address)
            .map_err(|reason| Error::Invalid(format!("`address`: {reason}")))?;
        Ok(Self { address })
    }

    fn zones(&self, _: &dyn Host, _: Option<&str>) -> Result<ZonePage, Error> {
        let zone = Zone {
            name: "example.com".to_owned(),
            min_ttl: None,
        };
        Ok(ZonePage {
            zones: vec![zone],
            next: None,
        })
    }

    fn read(
        &self,
        _: &dyn Host,
        zone: &str,
        name: Option<&str>,
        _: Option<&str>,
    ) -> Result<RecordPage, Error> {
        let key = RecordKey {
            name: zone.to_owned(),
            rtype: "A".to_owned(),
            line: "default".to_owned(),
            set_id: String::new(),
        };
        let value = RecordValue {
            content: self.address.clone(),
            weight: None,
            enabled: true,
        };
        let set = RecordSet {
            key,
            ttl: 300,
            values: vec![value],
            comment: None,
            handle: String::new(),
            extras: String::new(),
        };
        let asked_for = name.is_none_or(|name| name == zone);
        Ok(RecordPage {
            sets: asked_for.then_some(set).into_iter().collect(),
            next: None,
        })
    }

    fn normalize(
        &self,
        _: &dyn Host,
        _: &str,
        wanted: Vec<RecordSet>,
    ) -> Result<Vec<Result<RecordSet, Error>>, Error> {
        Ok(wanted.into_iter().map(Ok).collect())
    }

    fn apply(
        &self,
        _: &dyn Host,
        zone: &str,
        _: Vec<Change>,
    ) -> Result<Vec<Result<Outcome, Error>>, Error> {
        Err(Error::Unsupported(format!(
            "the zone {zone} cannot be changed"
        )))
    }
}

export_provider!(Minimal);
manifest!("minimal.json");
