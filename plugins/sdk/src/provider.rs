//! The shape of a DNS provider, and the glue between it and the component's exports.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::{
    Daemon, Host,
    bindings::{exports::portolan::dns::provider::Guest, portolan::plugin::settings as configured},
    dns::{Caps, Change, DnsLine, Error, Outcome, RecordPage, RecordSet, ZonePage},
};

/// A DNS provider. `wit/dns-0.1.0/provider.wit` says what each function promises.
///
/// Every call of the daemon runs in a fresh instance of the plugin, with a provider made from the
/// binding's settings for that call alone.
pub trait Provider: Sized {
    /// The binding's settings; refuse unknown fields (`#[serde(deny_unknown_fields)]`).
    type Settings: DeserializeOwned;

    /// What this provider can do, whatever its settings.
    fn describe() -> Caps;

    /// Makes the provider for one call, or says what is wrong with the settings. It serves the
    /// interface's `validate`, too, so it has no host to ask.
    fn new(settings: Self::Settings) -> Result<Self, Error>;

    /// What it can do with these settings, where they take something away.
    fn caps(&self) -> Caps {
        Self::describe()
    }

    /// Lists the account's zones.
    fn zones(&self, host: &dyn Host, cursor: Option<&str>) -> Result<ZonePage, Error>;

    /// Lists the lines that records of this zone can use. A provider without lines leaves it as it is.
    fn lines(&self, host: &dyn Host, zone: &str) -> Result<Vec<DnsLine>, Error> {
        let _ = (host, zone);
        Ok(vec![DnsLine {
            code: "default".to_owned(),
            label: "Default".to_owned(),
        }])
    }

    /// Reads record sets, all of the zone's or those of one name.
    fn read(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<RecordPage, Error>;

    /// Says how each wanted set will read back.
    fn normalize(
        &self,
        host: &dyn Host,
        zone: &str,
        wanted: Vec<RecordSet>,
    ) -> Result<Vec<Result<RecordSet, Error>>, Error>;

    /// Makes changes.
    fn apply(
        &self,
        host: &dyn Host,
        zone: &str,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<Outcome, Error>>, Error>;
}

/// Makes a provider from the text of its settings.
pub fn settings<P: Provider>(json: &str) -> Result<P, Error> {
    // Every reader of JSON weighs some KB in the component; replies are bytes, so this is, too.
    let settings = serde_json::from_slice(json.as_bytes())
        .map_err(|error| Error::Invalid(format!("the binding's settings: {error}")))?;
    P::new(settings)
}

/// Exports `P` from the component. Only named by [`crate::export_provider!`].
pub struct Exported<P>(PhantomData<P>);

impl<P: Provider + 'static> Guest for Exported<P> {
    fn describe() -> Caps {
        bound::<P>().map_or_else(|_| P::describe(), |bound| bound.caps())
    }

    fn validate(text: String) -> Result<(), Error> {
        settings::<P>(&text).map(drop)
    }

    fn zones(cursor: Option<String>) -> Result<ZonePage, Error> {
        bound::<P>()?.zones(&Daemon, cursor.as_deref())
    }

    fn lines(zone: String) -> Result<Vec<DnsLine>, Error> {
        bound::<P>()?.lines(&Daemon, &zone)
    }

    fn read(
        zone: String,
        name: Option<String>,
        cursor: Option<String>,
    ) -> Result<RecordPage, Error> {
        bound::<P>()?.read(&Daemon, &zone, name.as_deref(), cursor.as_deref())
    }

    fn normalize(
        zone: String,
        wanted: Vec<RecordSet>,
    ) -> Result<Vec<Result<RecordSet, Error>>, Error> {
        bound::<P>()?.normalize(&Daemon, &zone, wanted)
    }

    fn apply(zone: String, changes: Vec<Change>) -> Result<Vec<Result<Outcome, Error>>, Error> {
        bound::<P>()?.apply(&Daemon, &zone, changes)
    }
}

/// The provider of the binding that this call is for.
fn bound<P: Provider>() -> Result<P, Error> {
    settings(&configured::json())
}

/// Makes a [`Provider`] what the component exports. Once per plugin.
#[macro_export]
macro_rules! export_provider {
    ($provider:ty) => {
        // Native builds are for tests; there the exports' names would not even link.
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::Exported<$provider>;
            $crate::bindings::export!(
                Exported with_types_in $crate::bindings
            );
        };
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&str) -> Result<$provider, $crate::dns::Error> = $crate::settings;
    };
}
