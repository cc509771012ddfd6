//! What steering shows, as far as it is printed. A field that a server does not send is empty here, and
//! one that is unknown here is passed over.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// A site.
#[derive(Debug, Deserialize)]
pub(in crate::client) struct Site {
    pub(in crate::client) code: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) member: Option<u64>,
    #[serde(default)]
    pub(super) lines: Vec<Line>,
    pub(in crate::client) state: String,
    #[serde(default)]
    pub(in crate::client) reason: String,
    #[serde(default)]
    pub(in crate::client) since_ms: Option<u64>,
    #[serde(default)]
    pub(super) known_addresses: Vec<String>,
}

/// A line that a site serves.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    Code(String),
    Full {
        line: String,
        #[serde(default)]
        priority: Value,
    },
}

/// A service.
#[derive(Debug, Deserialize)]
pub(super) struct Service {
    pub(super) name: String,
    #[serde(default)]
    pub(super) zone: String,
    #[serde(default)]
    pub(super) domain: Option<String>,
    #[serde(default)]
    pub(super) types: Vec<String>,
    #[serde(default)]
    pub(super) ttl: Value,
    #[serde(default)]
    pub(super) provider: Option<String>,
    #[serde(default)]
    pub(super) target: Target,
    #[serde(default)]
    pub(super) check: Option<Value>,
    /// By line and family.
    #[serde(default)]
    pub(super) served_by: BTreeMap<String, BTreeMap<String, Owner>>,
}

/// Whose addresses a service's records hold.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Target {
    sites: Value,
    namespace: String,
    cluster: String,
    shard: Option<u64>,
    role: String,
}

/// Who serves a line.
#[derive(Debug, Deserialize)]
pub(super) struct Owner {
    #[serde(default)]
    pub(super) sites: Vec<String>,
    #[serde(default)]
    pub(super) since_ms: Option<u64>,
    #[serde(default)]
    pub(super) why: String,
}

/// A provider account.
#[derive(Debug, Deserialize)]
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) plugin: String,
    #[serde(default)]
    pub(super) zones: Vec<String>,
    #[serde(default)]
    pub(super) hosts: Vec<Value>,
    #[serde(default)]
    pub(super) credentials: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) settings: BTreeMap<String, Value>,
}

/// A zone in short.
#[derive(Debug, Deserialize)]
pub(super) struct Zone {
    pub(super) zone: String,
    #[serde(default)]
    pub(super) provider: Option<String>,
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    pub(super) records: usize,
    #[serde(default)]
    pub(super) services: Vec<String>,
}

/// How survivor mode stands in a zone, at one member.
#[derive(Debug, Deserialize)]
pub(super) struct SurvivorZone {
    pub(super) zone: String,
    pub(super) site: String,
    pub(super) quorum: String,
    pub(super) live: Vec<String>,
    pub(super) held: Vec<String>,
    pub(super) wanted: Vec<String>,
    #[serde(default)]
    pub(super) error: Option<String>,
    pub(super) left_out: Vec<String>,
}

/// How it stands with a zone.
#[derive(Debug, Deserialize)]
pub(in crate::client) struct ZoneStatus {
    pub(in crate::client) zone: String,
    #[serde(default)]
    pub(in crate::client) state: String,
    #[serde(default)]
    pub(in crate::client) error: Option<String>,
    #[serde(default)]
    pub(in crate::client) pending: usize,
    #[serde(default)]
    pub(in crate::client) refused: usize,
    #[serde(default)]
    pub(in crate::client) troubles: Vec<Trouble>,
    #[serde(default)]
    pub(in crate::client) last_good_ms: Option<u64>,
}

/// A record set that is not as wanted.
#[derive(Debug, Deserialize)]
pub(in crate::client) struct Trouble {
    pub(in crate::client) key: Key,
    pub(in crate::client) kind: String,
    #[serde(default)]
    pub(in crate::client) reason: String,
}

/// What identifies a record set.
#[derive(Debug, Deserialize)]
pub(in crate::client) struct Key {
    name: String,
    #[serde(rename = "type")]
    rtype: String,
    #[serde(default = "default_line")]
    line: String,
    #[serde(default)]
    set_id: String,
}

/// What a record set says.
#[derive(Debug, Deserialize)]
pub(super) struct Data {
    #[serde(default)]
    ttl: u64,
    #[serde(default)]
    values: Vec<RecordValue>,
}

/// A value of a record set: its content alone where there is no more to it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum RecordValue {
    Content(String),
    Full {
        content: String,
        #[serde(default)]
        weight: Option<u64>,
        #[serde(default = "enabled")]
        enabled: bool,
    },
}

/// A record set that an operator wants.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) rtype: String,
    #[serde(default)]
    pub(super) line: String,
    #[serde(default)]
    pub(super) set_id: String,
    #[serde(default)]
    pub(super) ttl: u64,
    #[serde(default)]
    pub(super) values: Vec<RecordValue>,
    #[serde(default)]
    pub(super) adopt: bool,
}

/// A zone's plan.
#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    pub(super) zone: String,
    #[serde(default)]
    pub(super) provider: Option<String>,
    #[serde(default)]
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) actions: Vec<Action>,
    #[serde(default)]
    pub(super) refused: Vec<Refusal>,
    #[serde(default)]
    pub(super) warnings: Vec<Refusal>,
    #[serde(default)]
    pub(super) unmanaged: usize,
}

/// What would be done with a record set.
#[derive(Debug, Deserialize)]
pub(super) struct Action {
    pub(super) action: String,
    pub(super) key: Key,
    #[serde(default)]
    pub(super) before: Option<Data>,
    #[serde(default)]
    pub(super) after: Option<Data>,
    #[serde(default)]
    pub(super) reason: String,
}

/// What would not be done, or otherwise than it was asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) key: Key,
    #[serde(default)]
    pub(super) reason: String,
}

/// A change that was made.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    /// None in the history of one zone.
    #[serde(default)]
    pub(super) zone: Option<String>,
    pub(super) at_ms: u64,
    #[serde(default)]
    pub(super) by: Option<u64>,
    #[serde(flatten)]
    pub(super) action: Action,
}

fn default_line() -> String {
    DEFAULT_LINE.to_owned()
}

fn enabled() -> bool {
    true
}

/// The line that answers whoever no other line answers.
const DEFAULT_LINE: &str = "default";

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(line) => f.write_str(line),
            Self::Full { line, priority } => match priority.as_u64() {
                Some(priority) if priority != STANDARD_PRIORITY => write!(f, "{line}:{priority}"),
                _ => f.write_str(line),
            },
        }
    }
}

/// The server's, which is not worth a word.
const STANDARD_PRIORITY: u64 = 100;

impl fmt::Display for Target {
    /// `all sites`, `sh, bj`, or `ns/cluster/0 replica`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cluster.is_empty() {
            return match &self.sites {
                Value::Array(codes) => {
                    let codes = codes.iter().filter_map(Value::as_str);
                    f.write_str(&codes.collect::<Vec<_>>().join(", "))
                }
                _ => f.write_str("all sites"),
            };
        }
        write!(f, "{}/{}", self.namespace, self.cluster)?;
        if let Some(shard) = self.shard {
            write!(f, "/{shard}")?;
        }
        match self.role.as_str() {
            "" | "master" => Ok(()),
            role => write!(f, " {role}"),
        }
    }
}

impl fmt::Display for Key {
    /// `www.example.com A line CT`, as the daemon's log has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.rtype)?;
        if self.line != DEFAULT_LINE {
            write!(f, " line {}", self.line)?;
        }
        if !self.set_id.is_empty() {
            write!(f, " set {}", self.set_id)?;
        }
        Ok(())
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.ttl)?;
        for value in &self.values {
            write!(f, " {value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for RecordValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(content) => f.write_str(content),
            Self::Full {
                content,
                weight,
                enabled,
            } => {
                f.write_str(content)?;
                if let Some(weight) = weight {
                    write!(f, " (weight {weight})")?;
                }
                match enabled {
                    true => Ok(()),
                    false => f.write_str(" (disabled)"),
                }
            }
        }
    }
}

impl Action {
    /// Whether it changes something.
    pub(super) fn changes(&self) -> bool {
        self.action != "none"
    }

    /// Whether it is left undone only until the last change shows.
    pub(super) fn waits(&self) -> bool {
        !self.changes() && self.reason == portolan_steering::Action::WAITING
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn what_is_usual_needs_no_word() {
        let line = |value: Value| from_value::<Line>(value).unwrap().to_string();
        assert_eq!(line(json!("CT")), "CT");
        assert_eq!(line(json!({"line": "CT", "priority": 100})), "CT");
        assert_eq!(line(json!({"line": "CT", "priority": 10})), "CT:10");
        let target = |value: Value| from_value::<Target>(value).unwrap().to_string();
        assert_eq!(target(json!({"sites": "all"})), "all sites");
        assert_eq!(target(json!({"sites": ["bj", "sh"]})), "bj, sh");
        let cluster = json!({"namespace": "ns", "cluster": "c", "shard": 0, "role": "replica"});
        assert_eq!(target(cluster), "ns/c/0 replica");
        let cluster = json!({"namespace": "ns", "cluster": "c", "role": "master"});
        assert_eq!(target(cluster), "ns/c");
    }

    #[test]
    fn record_sets_read_like_in_the_log() {
        let key = json!({"name": "a.example", "type": "A", "line": "CT", "set_id": "1"});
        let key: Key = from_value(key).unwrap();
        assert_eq!(key.to_string(), "a.example A line CT set 1");
        let plain: Key = from_value(json!({"name": "a.example", "type": "A"})).unwrap();
        assert_eq!(plain.to_string(), "a.example A");
        let values = json!(["192.0.2.1",
                            {"content": "192.0.2.2", "weight": 3, "enabled": false}]);
        let data: Data = from_value(json!({"ttl": 60, "values": values})).unwrap();
        let expected = "60s 192.0.2.1 192.0.2.2 (weight 3) (disabled)";
        assert_eq!(data.to_string(), expected);
    }
}
