//! What the service keeps.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// Refuses a request with one of the documented codes.
pub(super) fn refuse<T>(
    status: u16,
    code: &'static str,
    message: impl Into<String>,
) -> Result<T, Refusal> {
    Err(Refusal {
        status,
        code,
        message: message.into(),
    })
}

/// A record set as the service keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HuaweiSet {
    /// The service's id.
    pub id: String,
    /// The zone, without a trailing dot; the first zone where it is empty.
    pub zone: String,
    /// Absolute, with its trailing dot.
    pub name: String,
    /// `A`, `CNAME`, …
    pub rtype: String,
    /// Seconds.
    pub ttl: u32,
    /// The values.
    pub records: Vec<String>,
    /// The service's id of the line: `default_view`, `Dianxin`, …
    pub line: String,
    /// `ACTIVE`, `PENDING_UPDATE`, `DISABLE`, …
    pub status: String,
    /// Its share among the sets of the same name, type and line.
    pub weight: Option<u32>,
    /// What someone noted in the console.
    pub description: String,
    /// Another resource of the account whose records it follows.
    pub alias: Option<String>,
    /// Keys and values.
    pub tags: Vec<(String, String)>,
    /// Did the service make it with the zone?
    pub system: bool,
}

impl HuaweiSet {
    /// A set on the line of everyone else, with what the service fills in. `name` has no trailing dot.
    pub fn new(name: &str, rtype: &str, records: &[&str]) -> Self {
        Self {
            id: String::new(),
            zone: String::new(),
            name: format!("{name}."),
            rtype: rtype.to_owned(),
            ttl: 300,
            records: records.iter().map(|record| (*record).to_owned()).collect(),
            line: "default_view".to_owned(),
            status: "ACTIVE".to_owned(),
            weight: Some(1),
            description: String::new(),
            alias: None,
            tags: Vec::new(),
            system: false,
        }
    }

    pub(super) fn to_json(&self, zone_id: &str) -> Value {
        let alias = self
            .alias
            .as_ref()
            .map(|name| json!({ "resource_type": "cdn", "resource_domain_name": name }));
        let tags: Vec<Value> = self
            .tags
            .iter()
            .map(|(key, value)| json!({ "key": key, "value": value }))
            .collect();
        json!({
            "id": self.id, "name": self.name, "description": self.description,
            "zone_id": zone_id, "zone_name": format!("{}.", self.zone), "type": self.rtype,
            "ttl": self.ttl, "records": self.records, "status": self.status, "line": self.line,
            "weight": self.weight, "default": self.system, "health_check_id": null,
            "alias_target": alias, "tags": tags, "project_id": "e55c6f3dc4e34c9f86353b664ae0e70c",
            "created_at": "2024-01-01T00:00:00.000", "updated_at": null,
            "links": { "self": format!("https://Endpoint/v2.1/zones/{zone_id}/recordsets/{}", self.id) },
        })
    }
}

pub(super) struct Zone {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: &'static str,
}

/// The account.
pub(super) struct State {
    pub(super) zones: Vec<Zone>,
    /// In the order in which they were added.
    pub(super) sets: Vec<HuaweiSet>,
    /// For how many requests a set stays in a pending state.
    pub(super) lag: u64,
    pub(super) shows_own_lines: bool,
    /// How many there were.
    pub(super) requests: u64,
    /// The sets in a pending state, with the request before which each leaves it.
    pending: BTreeMap<String, u64>,
    next_id: u64,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            zones: Vec::new(),
            sets: Vec::new(),
            lag: 1,
            shows_own_lines: true,
            requests: 0,
            pending: BTreeMap::new(),
            next_id: 1,
        }
    }

    /// Begins a request.
    pub(super) fn move_on(&mut self) {
        self.requests += 1;
        let now = self.requests;
        let steady: Vec<String> = self
            .pending
            .iter()
            .filter(|(_, due)| **due <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in steady {
            self.pending.remove(&id);
            let Some(set) = self.set(&id) else { continue };
            match set.status.as_str() {
                "PENDING_CREATE" | "PENDING_UPDATE" => set.status = "ACTIVE".to_owned(),
                "PENDING_DISABLE" => set.status = "DISABLE".to_owned(),
                "PENDING_DELETE" => self.sets.retain(|set| set.id != id),
                _ => {}
            }
        }
    }

    /// Puts a set into a pending state, and answers it.
    pub(super) fn begin(&mut self, id: &str, status: &str) -> Value {
        self.pending.insert(id.to_owned(), self.requests + self.lag);
        let set = self.set(id).expect("the set that was just written");
        set.status = status.to_owned();
        let set = set.clone();
        self.shown(&set)
    }

    pub(super) fn shown(&self, set: &HuaweiSet) -> Value {
        let zone = self.zones.iter().find(|zone| zone.name == set.zone);
        set.to_json(zone.map_or("", |zone| &zone.id))
    }

    pub(super) fn add_zone(&mut self, name: &str, kind: &'static str) {
        let id = self.new_id();
        self.zones.push(Zone {
            id,
            name: name.to_owned(),
            kind,
        });
        let soa = "ns1.huaweicloud-dns.com. hwclouds\\.cs.huawei.com. 1 7200 900 1209600 300";
        let servers = ["ns1.huaweicloud-dns.com.", "ns1.huaweicloud-dns.cn."];
        for (rtype, records) in [("SOA", &[soa][..]), ("NS", &servers[..])] {
            self.add(HuaweiSet {
                zone: name.to_owned(),
                ttl: 172_800,
                system: true,
                ..HuaweiSet::new(name, rtype, records)
            });
        }
    }

    pub(super) fn add(&mut self, set: HuaweiSet) -> String {
        let id = self.new_id();
        let zone = if set.zone.is_empty() {
            self.zones[0].name.clone()
        } else {
            set.zone
        };
        self.sets.push(HuaweiSet {
            id: id.clone(),
            zone,
            ..set
        });
        id
    }

    pub(super) fn set(&mut self, id: &str) -> Option<&mut HuaweiSet> {
        self.sets.iter_mut().find(|set| set.id == id)
    }

    /// The zone with this id.
    pub(super) fn zone(&self, id: &str) -> Result<&Zone, Refusal> {
        match self.zones.iter().find(|zone| zone.id == id) {
            Some(zone) => Ok(zone),
            None => refuse(404, "DNS.0302", "This zone does not exist."),
        }
    }

    fn new_id(&mut self) -> String {
        self.next_id += 1;
        format!("2c9eb155587194ec01587224c9{:06x}", self.next_id)
    }
}

/// A path with `{id}` in the place of ids.
pub(super) fn shorten(path: &str) -> String {
    let part = |part: &str| {
        if part.starts_with("2c9eb155") {
            "{id}".to_owned()
        } else {
            part.to_owned()
        }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}
