//! What steering keeps in the store: versioned JSON documents under `steering`.
//!
//! | key | document | written by |
//! |---|---|---|
//! | `provider/<name>` | [`Binding`] | operators |
//! | `serves/<zone>` | [`Serves`]: which binding serves the zone; one at most | with the binding |
//! | `zone/<zone>` | [`ZoneRecords`]: what shall stand there | operators |
//! | `owned/<zone>` | [`OwnedSets`]: what is ours of what stands there | the leader |
//! | `history/<zone>` | [`History`]: the last changes | the leader |
//! | `status/<zone>` | [`crate::ZoneStatus`]: how it went | the leader |

use std::collections::{BTreeMap, VecDeque};

use portolan_consensus::documents::Document;
pub(crate) use portolan_consensus::documents::encode;
use portolan_sandbox::HostGrant;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::names::{BindingName, ZoneName};
use crate::plan::{Owned, Ownership, Wanted};
use crate::provider::{RecordData, RecordKey};

/// A provider account: a plugin with settings, grants and sealed credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Binding {
    /// The plugin's name.
    pub(crate) plugin: String,
    /// A JSON object.
    pub(crate) settings: Map<String, Value>,
    /// Where the plugin may send requests.
    pub(crate) hosts: Vec<HostGrant>,
    /// The zones that it serves.
    pub(crate) zones: Vec<ZoneName>,
    /// Sealed with the cluster key, in base64, by name.
    pub(crate) credentials: BTreeMap<String, String>,
}

/// Which binding serves a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Serves {
    /// The binding.
    pub(crate) binding: BindingName,
}

/// What shall stand in a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ZoneRecords {
    /// The record sets, sorted by key.
    pub(crate) records: Vec<Wanted>,
}

/// Where the sets of [`OwnedSets`] were written to. As soon as it is another place, ownership is in
/// doubt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The binding.
    pub(crate) binding: BindingName,
    /// The revision at which the binding came to exist: a deleted and remade one is another.
    pub(crate) since: u64,
    /// Its plugin.
    pub(crate) plugin: String,
}

/// What is ours of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnedSets {
    /// Where it was written.
    pub(crate) place: Place,
    /// The sets.
    sets: Vec<OwnedSet>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OwnedSet {
    key: RecordKey,
    #[serde(flatten)]
    owned: Owned,
}

impl OwnedSets {
    /// The document of an ownership.
    pub(crate) fn new(place: Place, owned: &Ownership) -> Self {
        let sets = owned
            .iter()
            .map(|(key, owned)| OwnedSet {
                key: key.clone(),
                owned: owned.clone(),
            })
            .collect();
        Self { place, sets }
    }

    /// What is ours at `place`: certain where it was written there, in doubt elsewhere.
    pub(crate) fn at(&self, place: &Place) -> Ownership {
        let certain = self.place == *place;
        self.sets
            .iter()
            .map(|set| {
                let owned = set.owned.clone();
                (
                    set.key.clone(),
                    if certain { owned } else { owned.in_doubt() },
                )
            })
            .collect()
    }

    /// How many sets.
    pub(crate) fn count(&self) -> usize {
        self.sets.len()
    }
}

/// A change that was made in a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The member that led.
    pub by: u64,
    /// `create`, `update` or `delete`.
    pub action: String,
    /// Which set.
    pub key: RecordKey,
    /// What stood there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<RecordData>,
    /// What stands there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<RecordData>,
    /// Why.
    pub reason: String,
}

/// The last changes of a zone, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct History {
    /// At most [`History::KEPT`].
    pub(crate) entries: VecDeque<HistoryEntry>,
}

impl History {
    /// How many changes are kept: enough to look back at a bad night, small enough to be rewritten
    /// with each change.
    pub(crate) const KEPT: usize = 200;

    /// Adds a change, and lets the oldest go when there are too many.
    pub(crate) fn push(&mut self, entry: HistoryEntry) {
        self.entries.push_back(entry);
        while self.entries.len() > Self::KEPT {
            self.entries.pop_front();
        }
    }
}

impl Document for Binding {}
impl Document for Serves {}
impl Document for ZoneRecords {}
impl Document for OwnedSets {}
impl Document for History {}
impl Document for crate::status::ZoneStatus {}

/// The keys of the documents.
pub(crate) mod keys {
    use crate::names::{BindingName, ZoneName};

    /// Where all bindings begin.
    pub(crate) const PROVIDERS: &str = "provider/";
    /// Where all zones begin.
    pub(crate) const ZONES: &str = "zone/";
    /// Where all statuses begin.
    pub(crate) const STATUSES: &str = "status/";
    /// Where all [`super::Serves`] begin.
    pub(crate) const SERVES: &str = "serves/";

    /// Of a [`super::Binding`].
    pub(crate) fn provider(name: &BindingName) -> String {
        format!("{PROVIDERS}{name}")
    }

    /// Of a [`super::Serves`].
    pub(crate) fn serves(zone: &ZoneName) -> String {
        format!("{SERVES}{zone}")
    }

    /// Of a [`super::ZoneRecords`].
    pub(crate) fn zone(zone: &ZoneName) -> String {
        format!("{ZONES}{zone}")
    }

    /// Of an [`super::OwnedSets`].
    pub(crate) fn owned(zone: &ZoneName) -> String {
        format!("owned/{zone}")
    }

    /// Of a [`super::History`].
    pub(crate) fn history(zone: &ZoneName) -> String {
        format!("history/{zone}")
    }

    /// Of a [`crate::ZoneStatus`].
    pub(crate) fn status(zone: &ZoneName) -> String {
        format!("{STATUSES}{zone}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_keeps_the_newest() {
        let mut history = History::default();
        let key: RecordKey = serde_json::from_value(serde_json::json!(
            {"name": "www.example.com", "type": "A", "line": "default", "set_id": ""}
        ))
        .unwrap();
        for at_ms in 0..=History::KEPT as u64 {
            history.push(HistoryEntry {
                at_ms,
                by: 1,
                action: "create".into(),
                key: key.clone(),
                before: None,
                after: None,
                reason: "not in the zone".into(),
            });
        }
        assert_eq!(history.entries.len(), History::KEPT);
        assert_eq!(history.entries.front().map(|entry| entry.at_ms), Some(1));
    }
}
