//! The service's record sets in our terms, and back.

use portolan_plugin::{
    content::{canonical, with_dots},
    dns::{Error, RecordKey, RecordSet, RecordValue},
    names::{is_within, without_dot},
    sets::{DEFAULT_LINE, show},
};
use serde::Deserialize;

use crate::line;

/// The types of public zones that can be sets of values; the service makes SOA itself.
pub(crate) const RECORD_TYPES: [&str; 8] = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"];
/// The longest TXT value, all its strings with their quotation marks, in characters.
const MAX_TXT: usize = 4096;

/// A record set as the service tells of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Set {
    pub(crate) id: String,
    /// With its trailing dot.
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) rtype: String,
    pub(crate) ttl: Option<u32>,
    pub(crate) records: Option<Vec<String>>,
    line: Option<String>,
    #[serde(default)]
    status: String,
    /// Up to 20 sets of one name, type and line share the queries by weight.
    pub(crate) weight: Option<u32>,
    pub(crate) description: Option<String>,
    alias_target: Option<Alias>,
}

/// What a set points to that follows another resource of the account.
#[derive(Clone, Debug, Deserialize)]
struct Alias {
    resource_domain_name: Option<String>,
}

/// What becomes of a set at the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is answered with, or soon will be.
    Served,
    /// Someone has switched it off.
    Paused,
    /// The service has switched it off: the account owes money, or an authority wants it so.
    Frozen,
    /// The last change of it failed.
    Failed,
    /// It is being deleted, and does not stand any more.
    Leaving,
}

impl Set {
    pub(crate) fn state(&self) -> State {
        match self.status.as_str() {
            "DISABLE" | "PENDING_DISABLE" => State::Paused,
            "FREEZE" | "PENDING_FREEZE" | "ILLEGAL" | "POLICE" => State::Frozen,
            "ERROR" => State::Failed,
            "PENDING_DELETE" => State::Leaving,
            _ => State::Served,
        }
    }

    fn is_alias(&self) -> bool {
        let alias = self.alias_target.as_ref();
        alias.is_some_and(|alias| alias.resource_domain_name.is_some())
            || self.records.as_ref().is_none_or(Vec::is_empty)
    }

    pub(crate) fn key(&self) -> RecordKey {
        let line = self
            .line
            .as_deref()
            .map_or(DEFAULT_LINE, line::from_service);
        RecordKey {
            name: without_dot(&self.name),
            rtype: self.rtype.to_ascii_uppercase(),
            line: line.to_owned(),
            set_id: String::new(),
        }
    }

    pub(crate) fn record_set(&self) -> RecordSet {
        let enabled = self.state() == State::Served;
        let value = |record: &String| RecordValue {
            content: canonical(&self.rtype, record).unwrap_or_else(|_| record.clone()),
            weight: None,
            enabled,
        };
        RecordSet {
            key: self.key(),
            ttl: self.ttl.unwrap_or_default(),
            values: self.records.iter().flatten().map(value).collect(),
            comment: None,
            handle: self.id.clone(),
            extras: self.extras(),
        }
    }

    /// What the service keeps beside the values and differs from its defaults.
    fn extras(&self) -> String {
        let mut extras = String::new();
        if let Some(weight) = self.weight.filter(|weight| *weight != 1) {
            extras.push_str(&format!("weight {weight}\n"));
        }
        if let Some(description) = self.description() {
            extras.push_str(&format!("description {description}\n"));
        }
        extras
    }

    pub(crate) fn description(&self) -> Option<&str> {
        self.description.as_deref().filter(|text| !text.is_empty())
    }
}

/// What stands under a key.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    /// Nothing.
    Free,
    /// One set, which the daemon can be told of.
    One(&'a Set),
    /// What the daemon's terms cannot express, and why.
    Closed(&'static str),
}

/// What stands under `key` among these sets of the zone.
pub(crate) fn place<'a>(key: &RecordKey, sets: &'a [Set]) -> Place<'a> {
    let mut found = Place::Free;
    for set in sets {
        if set.state() == State::Leaving || set.key() != *key {
            continue;
        }
        found = match found {
            Place::Free if set.is_alias() => {
                Place::Closed("an alias of another resource stands there")
            }
            Place::Free => Place::One(set),
            _ => Place::Closed("several sets with weights stand there"),
        };
    }
    found
}

/// The zone's sets that the daemon can be told of.
pub(crate) fn record_sets(zone: &str, sets: &[Set]) -> Vec<RecordSet> {
    let keys: Vec<RecordKey> = sets.iter().map(Set::key).collect();
    let mut order: Vec<usize> = (0..sets.len())
        .filter(|&index| sets[index].state() != State::Leaving)
        .collect();
    // Those of one key come to lie beside each other.
    order.sort_unstable_by(|&one, &other| text(&keys[one]).cmp(&text(&keys[other])));
    order
        .chunk_by(|&one, &other| text(&keys[one]) == text(&keys[other]))
        .filter_map(|alike| match alike {
            [only] => Some((&keys[*only], &sets[*only])),
            _ => None,
        })
        .filter(|(key, set)| {
            is_within(&key.name, zone)
                && key.name.is_ascii()
                && RECORD_TYPES.contains(&key.rtype.as_str())
                && !set.is_alias()
        })
        .map(|(_, set)| set.record_set())
        .collect()
}

fn text(key: &RecordKey) -> (&str, &str, &str) {
    (&key.name, &key.rtype, &key.line)
}

/// The values as the service wants them.
pub(crate) fn records(set: &RecordSet) -> Vec<String> {
    let record = |value: &RecordValue| with_dots(&set.key.rtype, &value.content);
    set.values.iter().map(record).collect()
}

/// Says why the service cannot hold one of the values, which are canonical.
pub(crate) fn check_values(set: &RecordSet) -> Result<(), Error> {
    let unsupported = |reason: String| Err(Error::Unsupported(format!("{}: {reason}", show(set))));
    for RecordValue { content, .. } in &set.values {
        if !matches!(set.key.rtype.as_str(), "TXT" | "CAA") {
            continue;
        }
        if content.contains('\\') {
            return unsupported(format!(
                "`{content}` needs a backslash, which the service does not take: plain letters, \
                 digits, spaces and marks, but no quotation mark, are what a value can have"
            ));
        }
        if content == "\"\"" {
            return unsupported("a TXT value cannot be empty here".to_owned());
        }
        if content.len() > MAX_TXT {
            return unsupported(format!(
                "a value has {} characters and may have {MAX_TXT}",
                content.len()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(json: serde_json::Value) -> Set {
        let mut whole = serde_json::json!({
            "id": "1", "name": "WWW.example.com.", "type": "A", "ttl": 300,
            "records": ["192.0.2.1"], "line": "default_view", "status": "ACTIVE", "weight": 1,
            "description": "", "alias_target": null, "default": false, "tags": [],
        });
        whole
            .as_object_mut()
            .unwrap()
            .extend(json.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn a_set_is_told_of_in_our_terms() {
        let told = set(serde_json::json!({
            "line": "Dianxin", "weight": 0, "description": "rack 7", "type": "MX",
            "records": ["10 Mail.example.com."], "status": "PENDING_UPDATE",
        }))
        .record_set();
        assert_eq!(told.key.name, "www.example.com");
        assert_eq!(told.key.line, "CT");
        assert_eq!(told.values[0].content, "10 mail.example.com");
        assert!(told.values[0].enabled);
        assert_eq!(told.extras, "weight 0\ndescription rack 7\n");
        assert_eq!(records(&told), ["10 mail.example.com."]);
    }

    #[test]
    fn only_what_is_served_is_enabled() {
        for (status, enabled) in [
            ("ACTIVE", true),
            ("PENDING_CREATE", true),
            ("DISABLE", false),
            ("PENDING_DISABLE", false),
            ("FREEZE", false),
            ("ERROR", false),
        ] {
            let told = set(serde_json::json!({ "status": status })).record_set();
            assert_eq!(told.values[0].enabled, enabled, "{status}");
        }
    }

    #[test]
    fn what_a_key_cannot_express_is_left_out() {
        let sets = [
            set(serde_json::json!({ "id": "1", "weight": 3 })),
            set(serde_json::json!({ "id": "2", "weight": 1 })),
            set(serde_json::json!({ "id": "3", "line": "Abroad" })),
            set(serde_json::json!({ "id": "4", "line": "Abroad", "status": "PENDING_DELETE" })),
            set(serde_json::json!({ "id": "5", "type": "AAAA", "records": [] })),
            set(serde_json::json!({
                "id": "6", "line": "Yidong", "alias_target": { "resource_domain_name": "x." },
            })),
            set(serde_json::json!({ "id": "7", "type": "SOA", "records": ["a. b. 1 2 3 4 5"] })),
            set(serde_json::json!({ "id": "8", "name": "www.example.net." })),
        ];
        let told = record_sets("example.com", &sets);
        let ids: Vec<&str> = told.iter().map(|set| set.handle.as_str()).collect();
        assert_eq!(ids, ["3"]);
        let weighted = place(&sets[0].key(), &sets);
        assert!(matches!(weighted, Place::Closed(why) if why.contains("weights")));
        let alias = place(&sets[5].key(), &sets);
        assert!(matches!(alias, Place::Closed(why) if why.contains("alias")));
        assert!(matches!(place(&sets[2].key(), &sets), Place::One(set) if set.id == "3"));
        let free = RecordKey {
            line: "CT".to_owned(),
            ..sets[0].key()
        };
        assert!(matches!(place(&free, &sets), Place::Free));
    }

    #[test]
    fn txt_values_have_no_backslashes() {
        let txt = |content: String| {
            let told = set(serde_json::json!({ "type": "TXT", "records": [content] })).record_set();
            check_values(&told)
        };
        assert_eq!(txt("\"v=spf1 -all\" \"b\"".to_owned()), Ok(()));
        for refused in [
            r#""a\"b""#.to_owned(),
            "\"é\"".to_owned(),
            "\"\"".to_owned(),
        ] {
            assert!(matches!(txt(refused), Err(Error::Unsupported(_))));
        }
        let long = format!("\"{}\"", "x".repeat(5_000));
        assert!(matches!(txt(long), Err(Error::Unsupported(text)) if text.contains("4096")));
    }
}
