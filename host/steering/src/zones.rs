//! A zone's wanted record sets, as operators give and see them.

use std::collections::BTreeMap;
use std::fmt;

use portolan_consensus::{Consistency, Revision, Space, Txn};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::content::canonical;
use crate::decide::cannot_coexist;
use crate::documents::{History, HistoryEntry, Serves, ZoneRecords, encode, keys};
use crate::error::SteeringError;
use crate::input;
use crate::names::{BindingName, DomainName, LineCode, RecordType, SetId, Ttl, ZoneName};
use crate::plan::Wanted;
use crate::provider::{RecordKey, RecordValue};
use crate::steering::Steering;
use crate::store::{check_revision, revision_of, until_settled};

/// The largest document of wanted records. What is ours of a zone is remembered in one document
/// too, with more around each set, and the store takes values up to 1.5 MiB.
const MAX_ZONE_BYTES: usize = 512 * 1024;

/// What a request gives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordsSpec {
    /// May be left out; what an answer shows can be sent back.
    #[serde(default)]
    zone: Option<ZoneName>,
    /// Likewise.
    #[serde(default, rename = "provider")]
    _provider: Option<BindingName>,
    records: Vec<RecordSpec>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordSpec {
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

/// A value: its content alone, or an object with weight and switch.
#[derive(Debug)]
struct ValueSpec(RecordValue);

/// What an answer shows. It can be sent back as it is.
#[derive(Debug, Serialize)]
pub struct RecordsView {
    /// The zone.
    pub zone: ZoneName,
    /// The binding that serves it, if any.
    pub provider: Option<BindingName>,
    records: Vec<RecordSpec>,
    /// The document's revision, for `ETag` and `If-Match`; zero where nothing was ever wanted.
    #[serde(skip)]
    pub revision: Revision,
}

impl Steering {
    /// A zone's wanted record sets.
    pub async fn records(&self, zone: &str) -> Result<RecordsView, SteeringError> {
        let zone = zone_name(zone)?;
        let records = self
            .store
            .load::<ZoneRecords>(&keys::zone(&zone), Consistency::Linearizable)
            .await?;
        let provider = self
            .serving(&zone, Consistency::Linearizable)
            .await?
            .map(|(name, _)| name);
        if records.is_none() && provider.is_none() {
            return Err(not_served(&zone));
        }
        let revision = revision_of(&records);
        let wanted = records
            .map(|stored| stored.document.records)
            .unwrap_or_default();
        Ok(view(zone, provider, wanted, revision))
    }

    /// Replaces a zone's wanted record sets. To want none at all takes `allow_empty`, for it deletes
    /// all that is ours. `revision` is as in [`Steering::put_binding`].
    pub async fn put_records(
        &self,
        zone: &str,
        body: Value,
        revision: Option<Revision>,
        allow_empty: bool,
    ) -> Result<RecordsView, SteeringError> {
        let zone = zone_name(zone)?;
        let spec: RecordsSpec = input::parse(body)?;
        if spec.zone.as_ref().is_some_and(|given| *given != zone) {
            return Err(SteeringError::invalid(
                "zone",
                format!("the path says {zone}"),
            ));
        }
        let records = check(&zone, spec.records)?;
        if records.is_empty() && !allow_empty {
            return Err(SteeringError::invalid(
                "records",
                "is empty, which would delete every record set of ours in the zone; repeat with \
                 ?allow_empty=true if that is meant",
            ));
        }
        let document = ZoneRecords { records };
        let encoded = encode(&document);
        if encoded.len() > MAX_ZONE_BYTES {
            return Err(SteeringError::invalid(
                "records",
                format!(
                    "take {} bytes, more than the {MAX_ZONE_BYTES} of one zone",
                    encoded.len()
                ),
            ));
        }
        until_settled(|| async {
            let key = keys::zone(&zone);
            let standing = self
                .store
                .load::<ZoneRecords>(&key, Consistency::Linearizable)
                .await?;
            check_revision(
                &format!("the zone {zone}"),
                revision,
                revision_of(&standing),
            )?;
            let (provider, serves) = self
                .serving(&zone, Consistency::Linearizable)
                .await?
                .ok_or_else(|| not_served(&zone))?;
            let txn = Txn::new()
                .guard(Space::Steering, key.as_str(), revision_of(&standing))
                .guard(Space::Steering, keys::serves(&zone), serves)
                .put(Space::Steering, key, encoded.clone());
            let revision = self.store.commit(txn).await?;
            tracing::info!(%zone, records = document.records.len(), "wanted records set");
            Ok(view(
                zone.clone(),
                Some(provider),
                document.records.clone(),
                revision,
            ))
        })
        .await
    }

    /// The last changes that were made in a zone, newest first.
    pub async fn history(&self, zone: &str) -> Result<Vec<HistoryEntry>, SteeringError> {
        let key = keys::history(&zone_name(zone)?);
        let history = self
            .store
            .load::<History>(&key, Consistency::Linearizable)
            .await?;
        let entries = history
            .map(|stored| stored.document.entries)
            .unwrap_or_default();
        Ok(entries.into_iter().rev().collect())
    }

    /// The binding that serves a zone, and the revision of that fact.
    pub(crate) async fn serving(
        &self,
        zone: &ZoneName,
        consistency: Consistency,
    ) -> Result<Option<(BindingName, Revision)>, SteeringError> {
        let serves = self
            .store
            .load::<Serves>(&keys::serves(zone), consistency)
            .await?;
        Ok(serves.map(|stored| (stored.document.binding, stored.modified)))
    }
}

pub(crate) fn zone_name(text: &str) -> Result<ZoneName, SteeringError> {
    ZoneName::parse(text).map_err(|message| SteeringError::invalid("zone", message))
}

pub(crate) fn not_served(zone: &ZoneName) -> SteeringError {
    SteeringError::NotFound(format!(
        "no provider serves the zone {zone}; name it in \"zones\" of PUT /api/v1/dns/providers/<name>"
    ))
}

fn view(
    zone: ZoneName,
    provider: Option<BindingName>,
    records: Vec<Wanted>,
    revision: Revision,
) -> RecordsView {
    let records = records.into_iter().map(RecordSpec::from).collect();
    RecordsView {
        zone,
        provider,
        records,
        revision,
    }
}

/// Checks record by record, then what they are to one another. The answer is sorted by key.
fn check(zone: &ZoneName, records: Vec<RecordSpec>) -> Result<Vec<Wanted>, SteeringError> {
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

impl Serialize for ValueSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            RecordValue {
                content,
                weight: None,
                enabled: true,
            } => serializer.serialize_str(content),
            value => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ValueSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            content: String,
            #[serde(default)]
            weight: Option<u32>,
            #[serde(default = "enabled")]
            enabled: bool,
        }
        fn enabled() -> bool {
            true
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ValueSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or an object with `content`, `weight` and `enabled`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ValueSpec, E> {
                Ok(ValueSpec(RecordValue {
                    content: text.to_owned(),
                    weight: None,
                    enabled: true,
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ValueSpec, A::Error> {
                let full = Full::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let Full {
                    content,
                    weight,
                    enabled,
                } = full;
                Ok(ValueSpec(RecordValue {
                    content,
                    weight,
                    enabled,
                }))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
