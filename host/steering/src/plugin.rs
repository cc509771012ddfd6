//! Installed plugins as [`Providers`]: translates between the sandbox's plain types and ours.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use portolan_sandbox as sandbox;
use portolan_sandbox::{BindingError, CallError, DnsPlugin, Grants, Plugins};
use tokio::sync::watch;

use crate::names::{DomainName, LineCode, RecordType, SetId, ZoneName};
use crate::provider::{
    Account, Caps, Change, ConnectError, DnsProvider, Features, Line, Outcome, PerItem,
    ProviderError, Providers, RecordData, RecordKey, RecordPage, RecordSet, RecordValue, Zone,
    ZonePage,
};

impl Providers for Plugins {
    fn connect(&self, account: Account) -> Result<Arc<dyn DnsProvider>, ConnectError> {
        let Account {
            binding,
            plugin: name,
            settings,
            credentials,
            hosts,
            calls_per_second,
        } = account;
        let plugin = self
            .get(&name)
            .ok_or_else(|| refuse("plugin".to_owned(), missing(self, &name)))?;
        let declared: Vec<&str> = plugin
            .manifest()
            .credentials
            .iter()
            .map(|ask| ask.name.as_str())
            .collect();
        if let Some(unknown) = credentials
            .keys()
            .find(|given| !declared.contains(&given.as_str()))
        {
            let known = match declared.as_slice() {
                [] => "it uses none".to_owned(),
                names => format!("it uses {}", names.join(", ")),
            };
            return Err(refuse(
                format!("credentials.{unknown}"),
                format!("the plugin {name} uses no credential of this name; {known}"),
            ));
        }
        let grants = Arc::new(Grants {
            binding: binding.to_string(),
            hosts,
            credentials,
            settings,
            requests_per_second: calls_per_second,
        });
        plugin.check(&grants).map_err(|error| match error {
            BindingError::Settings { path, reason } => {
                refuse(format!("settings{}", path.trim().replace('/', ".")), reason)
            }
            BindingError::MissingCredential { name, description } => refuse(
                format!("credentials.{name}"),
                format!("is missing ({description})"),
            ),
        })?;
        Ok(Arc::new(PluginProvider {
            plugin: plugin.dns(grants),
        }))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        Plugins::changes(self)
    }
}

fn refuse(at: String, message: String) -> ConnectError {
    ConnectError { at, message }
}

fn missing(plugins: &Plugins, name: &str) -> String {
    let known = plugins.list();
    match known.iter().find(|status| status.name == name) {
        Some(status) => format!(
            "the plugin {name} does not run: {}",
            status.error.as_deref().unwrap_or("it is being loaded")
        ),
        None => {
            let names: Vec<&str> = known.iter().map(|status| status.name.as_str()).collect();
            format!(
                "there is no plugin {name} on this member (there is: {}); put its .wasm file into \
                 the plugin directory",
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                }
            )
        }
    }
}

/// One binding's plugin.
struct PluginProvider {
    plugin: DnsPlugin,
}

#[async_trait]
impl DnsProvider for PluginProvider {
    async fn describe(&self) -> Result<Caps, ProviderError> {
        self.plugin.describe().await.map_err(reading).and_then(caps)
    }

    async fn validate(&self) -> Result<(), ProviderError> {
        self.plugin.validate().await.map_err(reading)
    }

    async fn zones(&self, cursor: Option<&str>) -> Result<ZonePage, ProviderError> {
        let page = self.plugin.zones(cursor).await.map_err(reading)?;
        let zones = page.zones.into_iter().map(|zone| {
            let name = ZoneName::parse(&zone.name).map_err(nonsense)?;
            Ok(Zone {
                name,
                min_ttl: zone.min_ttl,
            })
        });
        Ok(ZonePage {
            zones: zones.collect::<Result<_, _>>()?,
            next: page.next,
        })
    }

    async fn lines(&self, zone: &ZoneName) -> Result<Vec<Line>, ProviderError> {
        let lines = self.plugin.lines(zone.as_str()).await.map_err(reading)?;
        lines
            .into_iter()
            .map(|line| {
                let code = LineCode::parse(&line.code).map_err(nonsense)?;
                Ok(Line {
                    code,
                    label: line.label,
                })
            })
            .collect()
    }

    async fn read(
        &self,
        zone: &ZoneName,
        name: Option<&DomainName>,
        cursor: Option<&str>,
    ) -> Result<RecordPage, ProviderError> {
        let name = name.map(DomainName::as_str);
        let page = self
            .plugin
            .read(zone.as_str(), name, cursor)
            .await
            .map_err(reading)?;
        let read = page.sets.len();
        // A key that does not parse is none that we would ever write: somebody else's.
        let sets: Vec<RecordSet> = page
            .sets
            .into_iter()
            .filter_map(|set| from_plugin(set).ok())
            .collect();
        Ok(RecordPage {
            foreign: read - sets.len(),
            sets,
            next: page.next,
        })
    }

    async fn normalize(
        &self,
        zone: &ZoneName,
        wanted: &[RecordSet],
    ) -> Result<PerItem<RecordSet>, ProviderError> {
        let sets: Vec<sandbox::RecordSet> = wanted.iter().map(to_plugin).collect();
        let answers = self
            .plugin
            .normalize(zone.as_str(), &sets)
            .await
            .map_err(reading)?;
        if answers.len() != wanted.len() {
            return Err(nonsense(format!(
                "it answered {} of {} sets to normalize",
                answers.len(),
                wanted.len()
            )));
        }
        Ok(answers
            .into_iter()
            .map(|answer| {
                answer
                    .map_err(provider_error)
                    .and_then(|set| from_plugin(set).map_err(nonsense))
            })
            .collect())
    }

    async fn apply(
        &self,
        zone: &ZoneName,
        changes: &[Change],
    ) -> Result<PerItem<Outcome>, ProviderError> {
        let asked: Vec<sandbox::Change> = changes
            .iter()
            .map(|change| sandbox::Change {
                key: key_to_plugin(&change.key),
                before: change.before.as_ref().map(to_plugin),
                after: change.after.as_ref().map(to_plugin),
            })
            .collect();
        let results = self
            .plugin
            .apply(zone.as_str(), &asked)
            .await
            .map_err(writing)?;
        if results.len() != changes.len() {
            return Err(ProviderError::UnknownOutcome(format!(
                "the plugin answered {} of {} changes",
                results.len(),
                changes.len()
            )));
        }
        let outcome = |outcome| match outcome {
            sandbox::Outcome::Applied => Outcome::Applied,
            sandbox::Outcome::Already => Outcome::Already,
            sandbox::Outcome::Stale => Outcome::Stale,
        };
        Ok(results
            .into_iter()
            .map(|it| it.map(outcome).map_err(provider_error))
            .collect())
    }
}

/// A failed call that changes nothing can always be repeated.
fn reading(error: CallError) -> ProviderError {
    match error {
        CallError::Provider { error, .. } => provider_error(error),
        CallError::Binding { error, .. } => ProviderError::Invalid(error.to_string()),
        other => ProviderError::Transient(other.to_string()),
    }
}

/// A failed call that was to change something may have changed it.
fn writing(error: CallError) -> ProviderError {
    match error.may_have_acted() && error.provider().is_none() {
        true => ProviderError::UnknownOutcome(error.to_string()),
        false => reading(error),
    }
}

fn nonsense(reason: String) -> ProviderError {
    ProviderError::Transient(format!("the plugin's answer makes no sense: {reason}"))
}

fn provider_error(error: sandbox::ProviderError) -> ProviderError {
    use sandbox::ProviderError as Theirs;
    match error {
        Theirs::Auth(text) => ProviderError::Auth(text),
        Theirs::Denied(text) => ProviderError::Denied(text),
        Theirs::NotFound(text) => ProviderError::NotFound(text),
        Theirs::Conflict(text) => ProviderError::Conflict(text),
        Theirs::Invalid(text) => ProviderError::Invalid(text),
        Theirs::Quota(text) => ProviderError::Quota(text),
        Theirs::Throttled {
            message,
            retry_after,
        } => ProviderError::Throttled {
            message,
            retry_after,
        },
        Theirs::Transient(text) => ProviderError::Transient(text),
        Theirs::Unsupported(text) => ProviderError::Unsupported(text),
        Theirs::UnknownOutcome(text) => ProviderError::UnknownOutcome(text),
    }
}

fn caps(caps: sandbox::Capabilities) -> Result<Caps, ProviderError> {
    let sandbox::Features {
        lines,
        weights,
        disable,
        comment,
        atomic_zone,
        atomic_rrset,
        needs_default_line,
    } = caps.features;
    let types = caps
        .record_types
        .iter()
        .map(|rtype| RecordType::parse(rtype));
    Ok(Caps {
        features: Features {
            lines,
            weights,
            disable,
            comment,
            atomic_zone,
            atomic_rrset,
            needs_default_line,
        },
        record_types: types
            .collect::<Result<BTreeSet<_>, _>>()
            .map_err(nonsense)?,
        max_values: caps.max_values,
        changes_per_call: caps.changes_per_call,
        settle: caps.settle,
        hosts: caps.hosts,
    })
}

fn from_plugin(set: sandbox::RecordSet) -> Result<RecordSet, String> {
    let key = RecordKey {
        name: DomainName::parse(&set.key.name)?,
        rtype: RecordType::parse(&set.key.rtype)?,
        line: LineCode::parse(&set.key.line)?,
        set_id: SetId::parse(&set.key.set_id)?,
    };
    let values = set.values.into_iter().map(|value| RecordValue {
        content: value.content,
        weight: value.weight,
        enabled: value.enabled,
    });
    Ok(RecordSet {
        key,
        data: RecordData {
            ttl: set.ttl,
            values: values.collect(),
        },
        comment: set.comment,
        handle: set.handle,
        extras: set.extras,
    })
}

fn to_plugin(set: &RecordSet) -> sandbox::RecordSet {
    let values = set.data.values.iter().map(|value| sandbox::RecordValue {
        content: value.content.clone(),
        weight: value.weight,
        enabled: value.enabled,
    });
    sandbox::RecordSet {
        key: key_to_plugin(&set.key),
        ttl: set.data.ttl,
        values: values.collect(),
        comment: set.comment.clone(),
        handle: set.handle.clone(),
        extras: set.extras.clone(),
    }
}

fn key_to_plugin(key: &RecordKey) -> sandbox::RecordKey {
    sandbox::RecordKey {
        name: key.name.to_string(),
        rtype: key.rtype.to_string(),
        line: key.line.to_string(),
        set_id: key.set_id.to_string(),
    }
}
