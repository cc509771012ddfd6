//! The service's records, and record sets made of them.

use portolan_plugin::{
    content::{canonical, txt_content, txt_octets},
    dns::{RecordKey, RecordSet, RecordValue},
    names::absolute,
};
use serde::Deserialize;

use crate::line;

/// The types that can be sets of values. The service has more that are not DNS (`REDIRECT_URL`).
pub(crate) const RECORD_TYPES: [&str; 8] = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"];

/// A record as the service tells of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Record {
    pub(crate) record_id: String,
    #[serde(rename = "RR")]
    pub(crate) rr: String,
    #[serde(rename = "Type")]
    pub(crate) rtype: String,
    pub(crate) value: String,
    pub(crate) line: String,
    #[serde(rename = "TTL")]
    pub(crate) ttl: u32,
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) locked: bool,
    #[serde(default)]
    pub(crate) priority: Option<u16>,
    #[serde(default)]
    pub(crate) weight: Option<u32>,
    #[serde(default)]
    pub(crate) remark: Option<String>,
}

impl Record {
    pub(crate) fn enabled(&self) -> bool {
        !self.status.eq_ignore_ascii_case("disable")
    }

    /// The record's value in our spelling.
    pub(crate) fn content(&self) -> String {
        let written = match (self.rtype.as_str(), self.priority) {
            ("MX", Some(priority)) => format!("{priority} {}", self.value),
            ("TXT", _) => return txt_from_service(&self.value),
            _ => self.value.clone(),
        };
        canonical(&self.rtype, &written).unwrap_or(written)
    }

    pub(crate) fn key(&self, zone: &str) -> RecordKey {
        RecordKey {
            name: absolute(&self.rr, zone),
            rtype: self.rtype.to_ascii_uppercase(),
            line: line::from_service(&self.line).to_owned(),
            set_id: String::new(),
        }
    }
}

/// A content as the service wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) value: String,
    /// Of an MX record alone.
    pub(crate) priority: Option<String>,
}

/// A canonical content as the service wants it, or why it cannot hold it.
pub(crate) fn write(rtype: &str, content: &str) -> Result<Written, String> {
    let (value, priority) = match rtype {
        "MX" => {
            let (priority, host) = content
                .split_once(' ')
                .ok_or_else(|| format!("`{content}` is not of the form `preference host`"))?;
            (host.to_owned(), Some(priority.to_owned()))
        }
        "TXT" => (txt_to_service(content)?, None),
        _ => (content.to_owned(), None),
    };
    Ok(Written { value, priority })
}

/// The service takes a TXT value as plain text. One that someone entered in quotation marks is what
/// stands between them.
fn txt_from_service(value: &str) -> String {
    let plain = || value.as_bytes().to_vec();
    let quoted = value
        .starts_with('"')
        .then(|| txt_octets(value).ok())
        .flatten();
    txt_content(&quoted.unwrap_or_else(plain))
}

fn txt_to_service(content: &str) -> Result<String, String> {
    let text = String::from_utf8(txt_octets(content)?)
        .map_err(|_| format!("the TXT value `{content}` is not UTF-8 text"))?;
    if text.is_empty() {
        return Err("a TXT value cannot be empty here".to_owned());
    }
    if text.starts_with('"') {
        return Err(format!(
            "the TXT value `{content}` begins with a quotation mark itself"
        ));
    }
    Ok(text)
}

/// How a canonical content reads back: TXT values lose the bounds of their strings.
pub(crate) fn round_trip(rtype: &str, content: &str) -> Result<String, String> {
    let written = write(rtype, content)?;
    Ok(if rtype == "TXT" {
        txt_from_service(&written.value)
    } else {
        content.to_owned()
    })
}

/// What the service keeps beside the records' contents and differs from its defaults: a line for each
/// record that has such.
fn extras(records: &[&Record]) -> String {
    let mut extras = String::new();
    for record in records {
        let weight = record.weight.filter(|weight| *weight != 1);
        let remark = record.remark.as_deref().filter(|remark| !remark.is_empty());
        if weight.is_none() && remark.is_none() {
            continue;
        }
        extras.push_str(&record.record_id);
        if let Some(weight) = weight {
            extras.push_str(&format!(" weight {weight}"));
        }
        if let Some(remark) = remark {
            extras.push_str(&format!(" remark {remark}"));
        }
        extras.push('\n');
    }
    extras
}

/// The records of one key, which is not empty, as a set.
pub(crate) fn set(zone: &str, records: &[&Record]) -> Option<RecordSet> {
    let first = records.first()?;
    let ids: Vec<&str> = records
        .iter()
        .map(|record| record.record_id.as_str())
        .collect();
    Some(RecordSet {
        key: first.key(zone),
        // Records of one set can differ; an applied set has one TTL again.
        ttl: records.iter().map(|record| record.ttl).min()?,
        values: records
            .iter()
            .map(|record| RecordValue {
                content: record.content(),
                weight: None,
                enabled: record.enabled(),
            })
            .collect(),
        comment: None,
        handle: ids.join(","),
        extras: extras(records),
    })
}

/// Sorted records as sets; those of other types are left out.
pub(crate) fn sets(zone: &str, mut records: Vec<Record>) -> Vec<RecordSet> {
    records.retain(|record| RECORD_TYPES.contains(&record.rtype.to_ascii_uppercase().as_str()));
    records
        .chunk_by(|one, other| one.key(zone) == other.key(zone))
        .filter_map(|records| set(zone, &records.iter().collect::<Vec<_>>()))
        .collect()
}

/// Puts records of one key beside each other, in an order that does not depend on the service's.
pub(crate) fn sort(records: &mut [Record]) {
    fn order(record: &Record) -> (&str, &str, &str, &str) {
        (&record.rr, &record.rtype, &record.line, &record.record_id)
    }
    records.sort_unstable_by(|one, other| order(one).cmp(&order(other)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: serde_json::Value) -> Record {
        let mut whole = serde_json::json!({
            "RecordId": "1", "RR": "www", "Type": "A", "Value": "192.0.2.1", "Line": "default",
            "TTL": 600, "Status": "ENABLE", "Locked": false,
        });
        whole
            .as_object_mut()
            .unwrap()
            .extend(json.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn records_of_one_name_type_and_line_are_one_set() {
        let mut records = vec![
            record(serde_json::json!({ "RecordId": "3", "Line": "telecom", "Weight": 1 })),
            record(
                serde_json::json!({ "RecordId": "2", "Value": "192.0.2.2", "TTL": 60, "Status": "Disable" }),
            ),
            record(serde_json::json!({ "RecordId": "4", "Type": "REDIRECT_URL" })),
            record(serde_json::json!({ "RecordId": "1", "Weight": 5, "Remark": "eu" })),
            record(
                serde_json::json!({ "RecordId": "5", "RR": "@", "Type": "MX", "Value": "mail.example.com", "Priority": 10 }),
            ),
        ];
        sort(&mut records);
        let sets = sets("example.com", records);
        let keys: Vec<_> = sets
            .iter()
            .map(|s| {
                (
                    s.key.name.as_str(),
                    s.key.rtype.as_str(),
                    s.key.line.as_str(),
                )
            })
            .collect();
        assert_eq!(
            keys,
            [
                ("example.com", "MX", "default"),
                ("www.example.com", "A", "default"),
                ("www.example.com", "A", "CT")
            ]
        );
        assert_eq!(sets[0].values[0].content, "10 mail.example.com");
        assert_eq!(sets[1].handle, "1,2");
        assert_eq!(sets[1].ttl, 60);
        assert!(sets[1].values[0].enabled);
        assert!(!sets[1].values[1].enabled);
        assert_eq!(sets[1].extras, "1 weight 5 remark eu\n");
        assert_eq!(sets[2].extras, "");
    }

    #[test]
    fn contents_survive_the_way_there_and_back() {
        for (rtype, content) in [
            ("A", "192.0.2.1"),
            ("MX", "10 mail.example.com"),
            ("SRV", "1 2 443 host.example.com"),
            ("CAA", "0 issue \"letsencrypt.org\""),
            ("TXT", "\"v=spf1 include:a.example ~all\""),
            ("TXT", r#""a \"quoted\" word \\ and \195\169""#),
        ] {
            let written = write(rtype, content).unwrap();
            let priority = written
                .priority
                .map(|priority| priority.parse::<u16>().unwrap());
            let record = record(
                serde_json::json!({ "Type": rtype, "Value": written.value, "Priority": priority }),
            );
            assert_eq!(record.content(), content, "{rtype}");
            assert_eq!(round_trip(rtype, content).as_deref(), Ok(content));
        }
    }

    #[test]
    fn txt_values_are_plain_text_of_one_piece() {
        assert_eq!(write("TXT", "\"a b\" \"c\"").unwrap().value, "a bc");
        assert_eq!(
            round_trip("TXT", "\"a b\" \"c\"").as_deref(),
            Ok("\"a bc\"")
        );
        assert_eq!(
            txt_from_service("\"entered in quotes\""),
            "\"entered in quotes\""
        );
        assert_eq!(txt_from_service("a\"b"), r#""a\"b""#);
        for refused in [r#""\255""#, r#""\"x\"""#, r#""""#] {
            assert!(write("TXT", refused).is_err(), "{refused}");
        }
    }
}
