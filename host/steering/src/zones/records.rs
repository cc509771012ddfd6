//! A zone's wanted record sets as a request gives them, and whether they can be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::value::ValueSpec;
use crate::content::canonical;
use crate::decide::cannot_coexist;
use crate::error::SteeringError;
use crate::names::{BindingName, DomainName, LineCode, RecordType, SetId, Ttl, ZoneName};
use crate::plan::Wanted;
use crate::provider::{RecordKey, RecordValue};

/// What a request gives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordsSpec {
    /// May be left out; what an answer shows can be sent back.
    #[serde(default)]
    pub(super) zone: Option<ZoneName>,
    /// Likewise.
    #[serde(default, rename = "provider")]
    _provider: Option<BindingName>,
    pub(super) records: Vec<RecordSpec>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordSpec {
    name: String,
    #[serde(rename = "type")]
    rtype: RecordType,
    #[serde(default = "LineCode::default_line")]
    line: LineCode,
    #[serde(default = "SetId::none")]
    set_id: SetId,
    ttl: Ttl,
    values: Vec<ValueSpec>,
    #[serde(default)]
    adopt: bool,
}

/// Checks record by record, then what they are to one another. The answer is sorted by key.
pub(super) fn check(
    zone: &ZoneName,
    records: Vec<RecordSpec>,
) -> Result<Vec<Wanted>, SteeringError> {
    let mut checked: BTreeMap<RecordKey, (usize, Wanted)> = BTreeMap::new();
    for (index, record) in records.into_iter().enumerate() {
        let wanted = record.check(zone).map_err(|(field, message)| {
            SteeringError::invalid(format!("records[{index}].{field}"), message)
        })?;
        if let Some((first, _)) = checked.get(&wanted.key) {
            return Err(SteeringError::invalid(
                format!("records[{index}]"),
                format!(
                    "has the name, type, line and set_id of records[{first}]; join their values"
                ),
            ));
        }
        checked.insert(wanted.key.clone(), (index, wanted));
    }
    check_cnames(&checked)?;
    Ok(checked.into_values().map(|(_, wanted)| wanted).collect())
}

/// Keys of one name are neighbours in the map, so each set is compared with its own name's alone.
fn check_cnames(checked: &BTreeMap<RecordKey, (usize, Wanted)>) -> Result<(), SteeringError> {
    let mut by_name: BTreeMap<&DomainName, Vec<(&RecordKey, usize)>> = BTreeMap::new();
    for (key, (index, _)) in checked {
        by_name.entry(&key.name).or_default().push((key, *index));
    }
    for sets in by_name.values() {
        for (key, index) in sets.iter().filter(|(key, _)| key.rtype.is("CNAME")) {
            if let Some((other, at)) = sets.iter().find(|(other, _)| cannot_coexist(key, other)) {
                return Err(SteeringError::invalid(
                    format!("records[{index}]"),
                    format!("a CNAME stands alone at its name, but records[{at}] is {other}"),
                ));
            }
        }
    }
    Ok(())
}

impl RecordSpec {
    /// The error is the field and the sentence.
    fn check(self, zone: &ZoneName) -> Result<Wanted, (String, String)> {
        let name = DomainName::in_zone(&self.name, zone).map_err(|why| ("name".to_owned(), why))?;
        let (is_cname, is_apex) = (self.rtype.is("CNAME"), name.is_apex(zone));
        if is_cname && is_apex {
            return Err((
                "type".to_owned(),
                format!("the zone's own name cannot be a CNAME: {zone} has SOA and NS records"),
            ));
        }
        let mut values: Vec<RecordValue> = Vec::with_capacity(self.values.len());
        for (index, ValueSpec(mut value)) in self.values.into_iter().enumerate() {
            let at = || format!("values[{index}]");
            value.content = canonical(&self.rtype, &value.content).map_err(|why| (at(), why))?;
            if values.iter().any(|other| other.content == value.content) {
                return Err((at(), format!("{} stands there twice", value.content)));
            }
            values.push(value);
        }
        let fail = |message: &str| Err(("values".to_owned(), message.to_owned()));
        if values.is_empty() {
            return fail("is empty; leave the record out to have it deleted");
        }
        if values.iter().all(|value| !value.enabled) {
            return fail(
                "are all disabled, so nothing would be served; enable one, or leave the record out",
            );
        }
        if is_cname && values.len() > 1 && values.iter().any(|value| value.weight.is_none()) {
            return fail("are several, and a CNAME has one, save where each has a weight");
        }
        values.sort();
        let key = RecordKey {
            name,
            rtype: self.rtype,
            line: self.line,
            set_id: self.set_id,
        };
        Ok(Wanted {
            key,
            ttl: self.ttl,
            values,
            adopt: self.adopt,
            why: None,
        })
    }
}

impl From<Wanted> for RecordSpec {
    fn from(wanted: Wanted) -> Self {
        let RecordKey {
            name,
            rtype,
            line,
            set_id,
        } = wanted.key;
        Self {
            name: name.to_string(),
            rtype,
            line,
            set_id,
            ttl: wanted.ttl,
            values: wanted.values.into_iter().map(ValueSpec).collect(),
            adopt: wanted.adopt,
        }
    }
}

#[cfg(test)]
mod tests {
    use portolan_consensus::Revision;
    use serde_json::{Value, json};

    use super::*;
    use crate::input;
    use crate::zones::view;

    fn checked(records: Value) -> Result<Vec<Wanted>, SteeringError> {
        let zone = ZoneName::parse("example.com").unwrap();
        let spec: RecordsSpec = input::parse(json!({ "records": records }))?;
        check(&zone, spec.records)
    }

    #[test]
    fn records_are_read_in_both_spellings_of_values() {
        let wanted = checked(json!([
            {"name": "www", "type": "a", "ttl": 300, "values": ["192.0.2.2", "192.0.2.1"]},
            {"name": "@", "type": "MX", "ttl": 60, "values": ["10 Mail.example.com."]},
            {"name": "w.example.com.", "type": "AAAA", "line": "CT", "set_id": "x", "ttl": 1,
             "values": [{"content": "2001:DB8::1", "weight": 7},
                        {"content": "2001:db8::2", "enabled": false}], "adopt": true},
        ]))
        .unwrap();
        let keys: Vec<String> = wanted.iter().map(|wanted| wanted.key.to_string()).collect();
        assert_eq!(
            keys,
            [
                "example.com MX",
                "w.example.com AAAA line CT set x",
                "www.example.com A"
            ]
        );
        assert_eq!(wanted[0].values[0].content, "10 mail.example.com");
        assert_eq!(wanted[1].values[0].weight, Some(7));
        assert!(!wanted[1].values[1].enabled && wanted[1].adopt);
        assert_eq!(
            wanted[2].values[0].content, "192.0.2.1",
            "values are sorted"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        let www = json!({"name": "www", "type": "A", "ttl": 300, "values": ["192.0.2.1"]});
        let with = |field: &str, value: Value| {
            let mut record = www.clone();
            record[field] = value;
            json!([www, record])
        };
        let cname = |name: &str, values: Value| json!({"name": name, "type": "CNAME", "ttl": 1, "values": values});
        let cases = [
            (with("ttl", json!(0)), "records[1].ttl", "1 to 2147483647"),
            (with("ttl", json!("x")), "records[1].ttl", "invalid type"),
            (with("name", json!("a..b")), "records[1].name", "empty"),
            (
                with("name", json!("www.example.org.")),
                "records[1].name",
                "not within",
            ),
            (
                with("type", json!("A B")),
                "records[1].type",
                "not a record type",
            ),
            (with("line", json!("")), "records[1].line", "line code"),
            (with("values", json!([])), "records[1].values", "empty"),
            (
                with("values", json!(["1.2.3"])),
                "records[1].values[0]",
                "IPv4",
            ),
            (
                with("values", json!([7])),
                "records[1].values[0]",
                "a text, or an object",
            ),
            (
                with(
                    "values",
                    json!([{"content": "192.0.2.1", "enabled": false}]),
                ),
                "records[1].values",
                "all disabled",
            ),
            (
                with("values", json!(["192.0.2.1", "192.0.2.1"])),
                "records[1].values[1]",
                "twice",
            ),
            (
                with("values", json!([{"content": "192.0.2.1", "wight": 1}])),
                "records[1].values[0]",
                "wight",
            ),
            (with("tll", json!(1)), "records[1]", "tll"),
            (with("ttl", json!(600)), "records[1]", "records[0]"),
            (
                json!([www, cname("www", json!(["a.example.net"]))]),
                "records[1]",
                "records[0] is www.example.com A",
            ),
            (
                json!([cname("@", json!(["a.example.net"]))]),
                "records[0].type",
                "SOA",
            ),
            (
                json!([cname("a", json!(["a.example.net", "b.example.net"]))]),
                "records[0].values",
                "a CNAME has one",
            ),
            (json!({}), "records", "invalid type"),
        ];
        for (records, path, words) in cases {
            let error = checked(records.clone()).unwrap_err();
            assert!(
                error.at().unwrap_or_default().starts_with(path),
                "{records}: {error}"
            );
            assert!(error.message().contains(words), "{records}: {error}");
        }
    }

    #[test]
    fn a_cname_may_stand_beside_others_on_another_line() {
        let wanted = checked(json!([
            {"name": "www", "type": "A", "ttl": 300, "values": ["192.0.2.1"]},
            {"name": "www", "type": "CNAME", "line": "CT", "ttl": 300, "values": ["a.example.net"]},
        ]));
        assert_eq!(wanted.unwrap().len(), 2);
    }

    #[test]
    fn an_answer_can_be_sent_back() {
        let records = json!([
            {"name": "w.example.com", "type": "A", "line": "CT", "set_id": "", "ttl": 5,
             "values": ["192.0.2.1", {"content": "192.0.2.2", "weight": 3, "enabled": true}],
             "adopt": false},
        ]);
        let zone = ZoneName::parse("example.com").unwrap();
        let wanted = checked(records.clone()).unwrap();
        let shown = serde_json::to_value(view(zone, None, wanted.clone(), Revision(7))).unwrap();
        assert_eq!(shown["records"], records);
        assert_eq!(checked(shown["records"].clone()).unwrap(), wanted);
    }
}
