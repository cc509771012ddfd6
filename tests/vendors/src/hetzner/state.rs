//! What the service keeps.

use std::collections::BTreeMap;

/// The TTL of a zone for sets without one, in seconds.
const DEFAULT_TTL: u32 = 3_600;

/// A record set, as the service keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HetznerRrSet {
    /// The name relative to the zone; `@` for the apex.
    pub name: String,
    /// `A`, `CNAME`, …
    pub rtype: String,
    /// Seconds; none for the zone's own.
    pub ttl: Option<u32>,
    /// The records, without two of one value.
    pub records: Vec<HetznerRecord>,
    /// What someone sorts sets by.
    pub labels: BTreeMap<String, String>,
    /// Protected from changes?
    pub protected: bool,
}

/// A record of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HetznerRecord {
    /// The value as it was sent, in the format of zone files.
    pub value: String,
    /// What someone noted.
    pub comment: Option<String>,
}

impl HetznerRrSet {
    /// A set without a TTL, labels and comments.
    pub fn new(name: &str, rtype: &str, values: &[&str]) -> Self {
        let record = |value: &&str| HetznerRecord {
            value: (*value).to_owned(),
            comment: None,
        };
        Self {
            name: name.to_owned(),
            rtype: rtype.to_owned(),
            ttl: None,
            records: values.iter().map(record).collect(),
            labels: BTreeMap::new(),
            protected: false,
        }
    }
}

/// The id of a record set.
pub(super) fn id(name: &str, rtype: &str) -> String {
    format!("{name}/{rtype}")
}

/// A zone.
pub(super) struct Zone {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) mode: &'static str,
    pub(super) ttl: u32,
    /// By id.
    pub(super) rrsets: BTreeMap<String, HetznerRrSet>,
}

impl Zone {
    pub(super) fn put(&mut self, rrset: HetznerRrSet) {
        self.rrsets.insert(id(&rrset.name, &rrset.rtype), rrset);
    }
}

/// What an action does at its end.
pub(super) enum Effect {
    Put(HetznerRrSet),
    Remove { id: String },
}

/// An action.
pub(super) struct Action {
    pub(super) id: u64,
    pub(super) command: &'static str,
    pub(super) zone: u64,
    /// The requests that it takes to end.
    left: u32,
    /// None once it has been done.
    effect: Option<Effect>,
    /// Code and message.
    pub(super) failure: Option<(String, String)>,
}

impl Action {
    pub(super) fn is_running(&self) -> bool {
        self.left > 0
    }
}

/// The project.
#[derive(Default)]
pub(super) struct State {
    pub(super) zones: Vec<Zone>,
    pub(super) actions: Vec<Action>,
    pub(super) requests: u32,
    pub(super) lag: u32,
    pub(super) next_failure: Option<(String, String)>,
}

impl State {
    pub(super) fn add_zone(&mut self, name: &str, mode: &'static str) {
        self.lag = self.lag.max(1);
        let mut zone = Zone {
            id: 4_000 + self.zones.len() as u64,
            name: name.to_owned(),
            mode,
            ttl: DEFAULT_TTL,
            rrsets: BTreeMap::new(),
        };
        let soa = "hydrogen.ns.hetzner.com. dns.hetzner.com. 1 86400 10800 3600000 3600";
        zone.put(HetznerRrSet::new("@", "SOA", &[soa]));
        let servers = ["hydrogen.ns.hetzner.com.", "oxygen.ns.hetzner.com."];
        zone.put(HetznerRrSet::new("@", "NS", &servers));
        self.zones.push(zone);
    }

    /// A zone that is known to be there.
    pub(super) fn zone(&mut self, name: &str) -> &mut Zone {
        let zone = self.zones.iter_mut().find(|zone| zone.name == name);
        zone.expect("such a zone")
    }

    /// One request later.
    pub(super) fn move_on(&mut self) {
        for action in &mut self.actions {
            action.left = action.left.saturating_sub(1);
            if action.is_running() || action.failure.is_some() {
                continue;
            }
            let zone = self.zones.iter_mut().find(|zone| zone.id == action.zone);
            if let (Some(zone), Some(effect)) = (zone, action.effect.take()) {
                match effect {
                    Effect::Put(rrset) => zone.put(rrset),
                    Effect::Remove { id } => drop(zone.rrsets.remove(&id)),
                }
            }
        }
    }

    /// Begins an action in a zone that has none under way.
    pub(super) fn begin(&mut self, command: &'static str, zone: u64, effect: Effect) -> &Action {
        let action = Action {
            id: 70_000 + self.actions.len() as u64,
            command,
            zone,
            left: self.lag,
            effect: Some(effect),
            failure: self.next_failure.take(),
        };
        self.actions.push(action);
        self.actions.last().expect("what was just pushed")
    }
}
