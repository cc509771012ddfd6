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
//! | `site/<code in lower case>` | [`crate::sites::Site`] | operators |
//! | `service/<name>` | [`crate::services::Service`] | operators |
//! | `zone-services/<zone>` | [`ZoneServices`]: the services that have records there | with the service |
//! | `owners/<service>` | [`crate::assign::Owners`]: who serves its lines | the leader |
//! | `verdict/<target>` | [`crate::check::Verdict`]: whether what is checked is up | the leader |
//! | `presence/<code in lower case>` | [`crate::presence::Presence`]: addresses found there | its member |
//! | `survivor/<zone>` | [`crate::survive::Merged`]: what sites did without a quorum | those sites' members |
//! | `apply/<zone>`, `apply/` | [`AskedFor`]: look at a zone, or at all, now | operators |
//! | `webhook/<name>` | [`crate::webhooks::SealedWebhook`] | operators |
//! | `alarms/<webhook>` | [`crate::alarm::Told`]: what it was told | the leader |
//! | `contract` | what a `/v1` node has and a site lacks | pushes over `/v1` |
//! | `events` | the journal of sites and lines | the leader, operators |

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;

use portolan_consensus::documents::Document;
pub(crate) use portolan_consensus::documents::encode;
use portolan_sandbox::HostGrant;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::names::{BindingName, ServiceName, ZoneName};
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
    /// Calls that may leave within a second, where it is not what the members are configured for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) calls_per_second: Option<NonZeroU32>,
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

/// The services that have records in a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ZoneServices {
    pub(crate) services: BTreeSet<ServiceName>,
}

/// An operator wants a zone looked at now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AskedFor {
    /// When. Milliseconds since 1970.
    pub(crate) at_ms: u64,
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

    /// Enters a change that was made without the group, where it followed upon what we wrote last: it is
    /// ours like that.
    pub(crate) fn follow(&mut self, change: &HistoryEntry) {
        let set = self.sets.iter_mut().find(|set| set.key == change.key);
        if let Some(OwnedSet { owned, .. }) = set
            && owned.last.is_some()
            && owned.last == change.before
            && change.after.is_some()
        {
            owned.last.clone_from(&change.after);
        }
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
impl Document for crate::check::Verdict {}
impl Document for ZoneServices {}
impl Document for AskedFor {}
impl Document for ZoneRecords {}
impl Document for OwnedSets {}
impl Document for History {}
impl Document for crate::status::ZoneStatus {}

/// The keys of the documents.
pub(crate) mod keys {
    use crate::names::{BindingName, ServiceName, SiteCode, ZoneName};

    /// Where all bindings begin.
    pub(crate) const PROVIDERS: &str = "provider/";
    /// Where all zones begin.
    pub(crate) const ZONES: &str = "zone/";
    /// Where all statuses begin.
    pub(crate) const STATUSES: &str = "status/";
    /// Where all [`super::Serves`] begin.
    pub(crate) const SERVES: &str = "serves/";
    /// Where all sites begin.
    pub(crate) const SITES: &str = "site/";
    /// Where all services begin.
    pub(crate) const SERVICES: &str = "service/";
    /// Where all [`super::ZoneServices`] begin.
    pub(crate) const ZONE_SERVICES: &str = "zone-services/";
    /// Where all [`crate::assign::Owners`] begin.
    pub(crate) const OWNERS: &str = "owners/";
    /// Where all verdicts begin.
    pub(crate) const VERDICTS: &str = "verdict/";
    /// Where all presences begin.
    pub(crate) const PRESENCES: &str = "presence/";
    /// Where all [`super::History`] begin.
    pub(crate) const HISTORIES: &str = "history/";
    /// Where all [`super::AskedFor`] begin; alone, it stands for all zones.
    pub(crate) const APPLY: &str = "apply/";
    /// Where all webhooks begin.
    pub(crate) const WEBHOOKS: &str = "webhook/";
    /// Of what the contract `/v1` has and sites lack.
    pub(crate) const CONTRACT: &str = "contract";
    /// Of the journal of sites and lines.
    pub(crate) const EVENTS: &str = "events";

    /// Where all [`crate::survive::Merged`] begin.
    pub(crate) const SURVIVORS: &str = "survivor/";

    /// Of what sites did in a zone without a quorum.
    pub(crate) fn survivor(zone: &ZoneName) -> String {
        format!("{SURVIVORS}{zone}")
    }

    /// Of a site. Sites do not differ in case alone.
    pub(crate) fn site(code: &SiteCode) -> String {
        format!("{SITES}{}", code.as_str().to_ascii_lowercase())
    }

    /// Of a service.
    pub(crate) fn service(name: &ServiceName) -> String {
        format!("{SERVICES}{name}")
    }

    /// Of a [`super::ZoneServices`].
    pub(crate) fn zone_services(zone: &ZoneName) -> String {
        format!("{ZONE_SERVICES}{zone}")
    }

    /// Of a service's [`crate::assign::Owners`].
    pub(crate) fn owners(service: &ServiceName) -> String {
        format!("{OWNERS}{service}")
    }

    /// Of a site's [`crate::presence::Presence`].
    pub(crate) fn presence(code: &SiteCode) -> String {
        format!("{PRESENCES}{}", code.as_str().to_ascii_lowercase())
    }

    /// Of a [`crate::webhooks::SealedWebhook`].
    pub(crate) fn webhook(name: &str) -> String {
        format!("{WEBHOOKS}{name}")
    }

    /// Of a [`crate::alarm::Told`].
    pub(crate) fn alarms(webhook: &str) -> String {
        format!("alarms/{webhook}")
    }

    /// Of an [`super::AskedFor`].
    pub(crate) fn apply(zone: &ZoneName) -> String {
        format!("{APPLY}{zone}")
    }

    /// Of a verdict.
    pub(crate) fn verdict(target: &str) -> String {
        format!("{VERDICTS}{target}")
    }

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
        format!("{HISTORIES}{zone}")
    }

    /// Of a [`crate::ZoneStatus`].
    pub(crate) fn status(zone: &ZoneName) -> String {
        format!("{STATUSES}{zone}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::RecordValue;

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

    #[test]
    fn a_change_without_the_group_is_ours_where_it_follows_upon_our_last() {
        let key: RecordKey = serde_json::from_value(serde_json::json!(
            {"name": "www.example.com", "type": "A", "line": "default", "set_id": ""}
        ))
        .unwrap();
        let data = |content: &str| RecordData {
            ttl: 60,
            values: vec![RecordValue::plain(content.to_owned())],
        };
        let place = Place {
            binding: BindingName::parse("main").unwrap(),
            since: 1,
            plugin: "powerdns".to_owned(),
        };
        let ours = Owned {
            last: Some(data("192.0.2.1")),
            ..Owned::default()
        };
        let mut owned = OwnedSets::new(place.clone(), &[(key.clone(), ours)].into());
        let mut change = |before: &str, after: &str| {
            owned.follow(&HistoryEntry {
                at_ms: 1,
                by: 1,
                action: "update".into(),
                key: key.clone(),
                before: Some(data(before)),
                after: Some(data(after)),
                reason: "survivor mode".into(),
            });
            owned.at(&place)[&key].last.clone()
        };
        assert_eq!(change("192.0.2.1", "192.0.2.2"), Some(data("192.0.2.2")));
        // The group has written meanwhile.
        assert_eq!(change("192.0.2.1", "192.0.2.3"), Some(data("192.0.2.2")));
    }
}
