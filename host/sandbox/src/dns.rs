//! The DNS provider world in plain Rust types: what `portolan:dns/provider` says, without wasmtime.
//!
//! Field by field this mirrors `wit/dns-0.1.0/provider.wit`, where names, contents and rules are
//! explained for plugin authors.

mod convert;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use wasmtime::Store;

use crate::{
    CallError, Grants, Plugin, ProviderError,
    binding::Binding,
    call::{self, Http, OwnError, Running},
    plugin::World,
    state::State,
    wit::{DnsProvider, exports::portolan::dns::provider as wit},
};

/// One function of the interface, called on an instance.
type Run<T> = Box<
    dyn for<'a> FnOnce(
            &'a DnsProvider,
            &'a mut Store<State>,
        ) -> Running<'a, Result<T, ProviderError>>
        + Send,
>;

/// What a provider can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Features {
    /// Answers differ by line (ISP, region).
    pub lines: bool,
    /// Values carry weights.
    pub weights: bool,
    /// A value can be switched off without being deleted.
    pub disable: bool,
    /// Record sets carry a comment.
    pub comment: bool,
    /// One `apply` changes all of its changes or none.
    pub atomic_zone: bool,
    /// One change is made wholly or not at all.
    pub atomic_rrset: bool,
    /// A line other than `default` needs a record of the same name and type on `default`.
    pub needs_default_line: bool,
}

/// A provider's description of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// What it can do.
    pub features: Features,
    /// The record types it can read and write, in upper case.
    pub record_types: Vec<String>,
    /// The most values that one record set can hold.
    pub max_values: u32,
    /// How many changes it takes best in one call.
    pub changes_per_call: u32,
    /// How long after a change a read may still show the old state.
    pub settle: Duration,
    /// The hosts it talks to where the settings name no other.
    pub hosts: Vec<String>,
}

/// A zone that the account can change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Lower case, A-labels, no trailing dot.
    pub name: String,
    /// The smallest TTL that the zone accepts, in seconds, where the provider tells.
    pub min_ttl: Option<u32>,
}

/// One page of zones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZonePage {
    /// The zones of this page.
    pub zones: Vec<Zone>,
    /// The cursor of the next page; none after the last.
    pub next: Option<String>,
}

/// A line that a zone's records can stand on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The code used in [`RecordKey::line`].
    pub code: String,
    /// The name that a person reads.
    pub label: String,
}

/// What identifies a record set within a zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    /// Absolute, lower case, A-labels, no trailing dot.
    pub name: String,
    /// In upper case: `A`, `AAAA`, `CNAME`, `TXT`.
    pub rtype: String,
    /// A line's code; `default` where the provider has no lines.
    pub line: String,
    /// Tells apart several sets of one name, type and line; empty otherwise.
    pub set_id: String,
}

impl fmt::Display for RecordKey {
    /// `name type`, and where there is more to say: `name type (line CT, set blue)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.rtype)?;
        match (self.line.as_str(), self.set_id.as_str()) {
            ("default", "") => Ok(()),
            (line, "") => write!(f, " (line {line})"),
            (line, set) => write!(f, " (line {line}, set {set})"),
        }
    }
}

/// One value of a record set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordValue {
    /// In presentation format, host names without the trailing dot.
    pub content: String,
    /// Its share among the set's values; none where weights are not used.
    pub weight: Option<u32>,
    /// False for a value that is kept but not served.
    pub enabled: bool,
}

/// All values of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    /// Its identity.
    pub key: RecordKey,
    /// Seconds.
    pub ttl: u32,
    /// In any order, without duplicates.
    pub values: Vec<RecordValue>,
    /// Where the provider has comments.
    pub comment: Option<String>,
    /// The provider's own identifiers, opaque; empty in what we want.
    pub handle: String,
    /// What the provider keeps beside this and `apply` must preserve, opaque.
    pub extras: String,
}

/// One page of record sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPage {
    /// The record sets of this page; none is split over two pages.
    pub sets: Vec<RecordSet>,
    /// The cursor of the next page; none after the last.
    pub next: Option<String>,
}

/// One wanted change: create (no `before`), delete (no `after`), or update in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Equals the keys of both sides.
    pub key: RecordKey,
    /// The set as it was last read, with its handle.
    pub before: Option<RecordSet>,
    /// The set as it shall be.
    pub after: Option<RecordSet>,
}

/// What became of a change that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It has been made.
    Applied,
    /// The zone stood like `after` already.
    Already,
    /// The zone no longer stands like `before`; read again.
    Stale,
}

/// A DNS provider plugin bound to an account: every method is one call in a fresh instance.
///
/// It keeps the version of the plugin that it was made from: look at
/// [`Plugins::changes`](crate::Plugins::changes) and take a new one when the plugin changed.
#[derive(Clone)]
pub struct DnsPlugin {
    pub(crate) plugin: Plugin,
    pub(crate) binding: Arc<Binding>,
}

impl DnsPlugin {
    /// What this provider can do.
    pub async fn describe(&self) -> Result<Capabilities, CallError> {
        let run: Run<_> = Box::new(|guest, store| {
            Box::pin(async move {
                Ok(Ok(guest
                    .portolan_dns_provider()
                    .call_describe(store)
                    .await?
                    .into()))
            })
        });
        self.call("describe", Http::Refused, run, |_| Ok(())).await
    }

    /// Checks the binding's settings: against the manifest's schema, then by the plugin itself.
    pub async fn validate(&self) -> Result<(), CallError> {
        let settings = self.binding.settings.clone();
        let run: Run<_> = Box::new(move |guest, store| {
            Box::pin(async move {
                Ok(guest
                    .portolan_dns_provider()
                    .call_validate(store, &settings)
                    .await?
                    .map_err(Into::into))
            })
        });
        self.call("validate", Http::Refused, run, |()| Ok(())).await
    }

    /// One page of the account's zones.
    pub async fn zones(&self, cursor: Option<&str>) -> Result<ZonePage, CallError> {
        let cursor = cursor.map(str::to_owned);
        let given = cursor.clone();
        let run: Run<ZonePage> = Box::new(move |guest, store| {
            Box::pin(async move {
                let answer = guest
                    .portolan_dns_provider()
                    .call_zones(store, cursor.as_deref())
                    .await?;
                Ok(answer.map(Into::into).map_err(Into::into))
            })
        });
        self.call("zones", Http::Allowed, run, |page| {
            advances(&given, &page.next)
        })
        .await
    }

    /// The lines that records of this zone can use.
    pub async fn lines(&self, zone: &str) -> Result<Vec<Line>, CallError> {
        let zone = zone.to_owned();
        let run: Run<Vec<Line>> = Box::new(move |guest, store| {
            Box::pin(async move {
                let answer = guest
                    .portolan_dns_provider()
                    .call_lines(store, &zone)
                    .await?;
                Ok(answer.map(convert::all).map_err(Into::into))
            })
        });
        self.call("lines", Http::Allowed, run, |lines| {
            distinct(lines.iter().map(|line| &line.code), |code| {
                format!("line `{code}`")
            })
        })
        .await
    }

    /// One page of the zone's record sets, or of those of one name.
    pub async fn read(
        &self,
        zone: &str,
        name: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<RecordPage, CallError> {
        let zone = zone.to_owned();
        let name = name.map(str::to_owned);
        let cursor = cursor.map(str::to_owned);
        let asked = (zone.clone(), name.clone(), cursor.clone());
        let run: Run<RecordPage> = Box::new(move |guest, store| {
            Box::pin(async move {
                let answer = guest
                    .portolan_dns_provider()
                    .call_read(store, &zone, name.as_deref(), cursor.as_deref())
                    .await?;
                Ok(answer.map(Into::into).map_err(Into::into))
            })
        });
        self.call("read", Http::Allowed, run, |page| {
            let (zone, name, cursor) = &asked;
            advances(cursor, &page.next)?;
            for RecordSet { key, .. } in &page.sets {
                let within = key.name.strip_suffix(zone.as_str());
                if !within.is_some_and(|rest| rest.is_empty() || rest.ends_with('.')) {
                    return Err(format!("`{}` is no name of the zone `{zone}`", key.name));
                }
                if name.as_ref().is_some_and(|name| *name != key.name) {
                    return Err(format!(
                        "it was asked for one name and read `{}` too",
                        key.name
                    ));
                }
            }
            distinct(page.sets.iter().map(|set| &set.key), |key| {
                format!("record set {key}")
            })
        })
        .await
    }

    /// How each wanted set will read back once written, or why it cannot be: one answer per set, in
    /// order, with the same key.
    pub async fn normalize(
        &self,
        zone: &str,
        wanted: &[RecordSet],
    ) -> Result<Vec<Result<RecordSet, ProviderError>>, CallError> {
        let zone = zone.to_owned();
        let sets: Vec<wit::RecordSet> = convert::all(wanted.to_vec());
        let run: Run<Vec<Result<RecordSet, ProviderError>>> = Box::new(move |guest, store| {
            Box::pin(async move {
                let answer = guest
                    .portolan_dns_provider()
                    .call_normalize(store, &zone, &sets)
                    .await?;
                Ok(answer.map(convert::each).map_err(Into::into))
            })
        });
        self.call("normalize", Http::Allowed, run, |answers| {
            as_many(wanted.len(), answers.len())?;
            for (wanted, answer) in wanted.iter().zip(answers) {
                if let Ok(set) = answer
                    && set.key != wanted.key
                {
                    return Err(format!("record set {} became {}", wanted.key, set.key));
                }
            }
            Ok(())
        })
        .await
    }

    /// Makes changes: one result per change, in order. After an error of the whole, see
    /// [`CallError::may_have_acted`].
    pub async fn apply(
        &self,
        zone: &str,
        changes: &[Change],
    ) -> Result<Vec<Result<Outcome, ProviderError>>, CallError> {
        let zone = zone.to_owned();
        let count = changes.len();
        let changes: Vec<wit::Change> = convert::all(changes.to_vec());
        let run: Run<Vec<Result<Outcome, ProviderError>>> = Box::new(move |guest, store| {
            Box::pin(async move {
                let answer = guest
                    .portolan_dns_provider()
                    .call_apply(store, &zone, &changes)
                    .await?;
                Ok(answer.map(convert::each).map_err(Into::into))
            })
        });
        self.call("apply", Http::Allowed, run, |answers| {
            as_many(count, answers.len())
        })
        .await
    }

    /// The plugin behind this.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// What the operator granted.
    pub fn grants(&self) -> &Grants {
        &self.binding.grants
    }

    async fn call<T: Send + 'static>(
        &self,
        function: &'static str,
        http: Http,
        run: Run<T>,
        check: impl FnOnce(&T) -> Result<(), String>,
    ) -> Result<T, CallError> {
        let plugin = self.plugin.clone();
        let run: call::Run<T> = Box::new(move |store| {
            Box::pin(async move {
                let World::DnsProvider(pre) = plugin.world() else {
                    // Never called: the binding does not fit such a plugin.
                    return Err(wasmtime::Error::msg("it is no DNS provider"));
                };
                let guest = pre.instantiate_async(&mut *store).await?;
                Ok(run(&guest, store).await?.map_err(OwnError::Provider))
            })
        });
        call::call(&self.plugin, &self.binding, function, http, run, check).await
    }
}

/// A page that leads to itself would be read for ever.
fn advances(cursor: &Option<String>, next: &Option<String>) -> Result<(), String> {
    match next {
        Some(next) if cursor.as_ref() == Some(next) => {
            Err(format!("the page after `{next}` is itself"))
        }
        _ => Ok(()),
    }
}

fn as_many(asked: usize, answered: usize) -> Result<(), String> {
    if asked == answered {
        return Ok(());
    }
    Err(format!("{answered} answers to {asked} questions"))
}

fn distinct<'a, T: Ord + 'a>(
    items: impl Iterator<Item = &'a T>,
    name: impl Fn(&T) -> String,
) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for item in items {
        if !seen.insert(item) {
            return Err(format!("{} is there twice", name(item)));
        }
    }
    Ok(())
}
