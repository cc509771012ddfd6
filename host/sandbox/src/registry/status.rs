//! What an operator sees of a plugin.

use std::{collections::BTreeMap, path::Path, time::SystemTime};

use serde::Serialize;

use super::{files::File, name_taken};
use crate::{CredentialAsk, HostGrant, Limits, PluginKind};

/// One file of the plugin directory and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct PluginStatus {
    /// The plugin's name; the file's, where no manifest could be read.
    pub name: String,
    /// The version that was last loaded.
    pub version: Option<String>,
    /// What its manifest says in one line.
    pub description: Option<String>,
    /// The file's name within the directory.
    pub file: String,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: Option<String>,
    /// The component's size in bytes.
    pub size: Option<usize>,
    /// What it is.
    pub kind: Option<PluginKind>,
    /// The world that it implements.
    pub world: Option<String>,
    /// Does it run?
    pub state: PluginState,
    /// Why the file as it is now does not run.
    pub error: Option<String>,
    /// What its manifest asks for.
    pub asks: Option<Asks>,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// The limits of each of its calls.
    pub limits: Option<Limits>,
    /// When it was loaded: seconds since 1970-01-01T00:00:00Z.
    pub loaded_at: Option<u64>,
    /// Calls since then.
    pub calls: u64,
    /// Of these, the ones that the sandbox had to end.
    pub failures: u64,
    /// Bindings that it is not called for at the moment.
    pub breaker: Vec<BreakerStatus>,
}

/// Does a plugin run?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginState {
    /// It runs.
    Ready,
    /// The file is broken; the version before it runs.
    Outdated,
    /// Nothing of this file runs.
    Failed,
}

/// What a manifest asks for.
#[derive(Clone, Debug, Serialize)]
pub struct Asks {
    /// Hosts.
    pub hosts: Vec<HostGrant>,
    /// Credentials.
    pub credentials: Vec<CredentialAsk>,
    /// The JSON Schema of its settings.
    pub settings: serde_json::Value,
}

/// A binding that a plugin is not called for.
#[derive(Clone, Debug, Serialize)]
pub struct BreakerStatus {
    /// The binding's name.
    pub binding: String,
    /// Failures in a row.
    pub failures: u32,
    /// Milliseconds until it is tried again.
    pub retry_in_ms: u64,
    /// The last failure.
    pub last: String,
}

impl PluginStatus {
    pub(super) fn of(file_name: &str, file: &File, holders: &BTreeMap<&str, &str>) -> Self {
        let plugin = file.loaded.as_ref().map(|loaded| &loaded.plugin);
        let manifest = plugin.map(|plugin| plugin.manifest());
        let lost_to = manifest.and_then(|manifest| {
            let holder = *holders.get(manifest.name.as_str())?;
            (holder != file_name).then(|| name_taken(&manifest.name, holder))
        });
        let state = match (&file.error, plugin, &lost_to) {
            (_, None, _) | (_, _, Some(_)) => PluginState::Failed,
            (Some(_), Some(_), None) => PluginState::Outdated,
            (None, Some(_), None) => PluginState::Ready,
        };
        let stem = Path::new(file_name)
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let (calls, failures) = plugin.map(|plugin| plugin.counts()).unwrap_or_default();
        Self {
            name: manifest
                .map(|m| m.name.clone())
                .or(stem)
                .unwrap_or_default(),
            version: manifest.map(|m| m.version.clone()),
            description: manifest.map(|m| m.description.clone()),
            file: file_name.to_owned(),
            digest: plugin.map(|plugin| plugin.digest().to_owned()),
            size: plugin.map(|plugin| plugin.size()),
            kind: plugin.map(|plugin| plugin.kind()),
            world: manifest.map(|m| m.world.clone()),
            state,
            error: file
                .error
                .as_ref()
                .or(lost_to.as_ref())
                .map(ToString::to_string),
            asks: manifest.map(|m| Asks {
                hosts: m.hosts.clone(),
                credentials: m.credentials.clone(),
                settings: m.settings.clone(),
            }),
            imports: plugin
                .map(|plugin| plugin.imports().to_vec())
                .unwrap_or_default(),
            limits: plugin.map(|plugin| plugin.limits().clone()),
            loaded_at: plugin.map(|plugin| seconds(plugin.loaded_at())),
            calls,
            failures,
            breaker: plugin
                .map(|plugin| plugin.open_breakers())
                .unwrap_or_default()
                .into_iter()
                .map(|(binding, open)| BreakerStatus {
                    binding,
                    failures: open.failures,
                    retry_in_ms: u64::try_from(open.retry_in.as_millis()).unwrap_or(u64::MAX),
                    last: open.last,
                })
                .collect(),
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
