//! The service's records.

use portolan_plugin::{
    content::{canonical, txt_from_plain, txt_to_plain},
    dns::{RecordKey, RecordValue},
    names::absolute,
    records::Record,
};
use serde::Deserialize;

use crate::line;

/// The types that can be sets of values. The service has more that are not DNS (`REDIRECT_URL`).
pub(crate) const RECORD_TYPES: &[&str] = &["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"];

/// A record as the service tells of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ServiceRecord {
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

impl ServiceRecord {
    /// The same as all providers see it.
    pub(crate) fn into_record(self, zone: &str) -> Record {
        let locked = "is locked; unlock it in the Alibaba Cloud DNS console";
        Record {
            key: RecordKey {
                name: absolute(&self.rr, zone),
                rtype: self.rtype.to_ascii_uppercase(),
                line: line::from_service(&self.line).to_owned(),
                set_id: String::new(),
            },
            ttl: self.ttl,
            value: RecordValue {
                content: self.content(),
                weight: None,
                enabled: !self.status.eq_ignore_ascii_case("disable"),
            },
            locked: self.locked.then(|| locked.to_owned()),
            extras: self.extras(),
            id: self.record_id,
        }
    }

    /// The record's value in our spelling.
    fn content(&self) -> String {
        let written = match (self.rtype.as_str(), self.priority) {
            ("MX", Some(priority)) => format!("{priority} {}", self.value),
            ("TXT", _) => return txt_from_plain(&self.value),
            _ => self.value.clone(),
        };
        canonical(&self.rtype, &written).unwrap_or(written)
    }

    /// What the service keeps beside the record's content and differs from its defaults.
    fn extras(&self) -> String {
        let mut extras = Vec::new();
        if let Some(weight) = self.weight.filter(|weight| *weight != 1) {
            extras.push(format!("weight {weight}"));
        }
        if let Some(remark) = self.remark.as_deref().filter(|remark| !remark.is_empty()) {
            extras.push(format!("remark {remark}"));
        }
        extras.join(" ")
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
        "TXT" => (txt_to_plain(content)?, None),
        _ => (content.to_owned(), None),
    };
    Ok(Written { value, priority })
}

/// How a canonical content reads back: TXT values lose the bounds of their strings.
pub(crate) fn round_trip(rtype: &str, content: &str) -> Result<String, String> {
    let written = write(rtype, content)?;
    Ok(if rtype == "TXT" {
        txt_from_plain(&written.value)
    } else {
        content.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use portolan_plugin::records::sets;

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
        let record: ServiceRecord = serde_json::from_value(whole).unwrap();
        record.into_record("example.com")
    }

    #[test]
    fn records_of_one_name_type_and_line_are_one_set() {
        let records = vec![
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
        let sets = sets(records, RECORD_TYPES);
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
            assert_eq!(record.value.content, content, "{rtype}");
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
            txt_from_plain("\"entered in quotes\""),
            "\"entered in quotes\""
        );
        assert_eq!(txt_from_plain("a\"b"), r#""a\"b""#);
        for refused in [r#""\255""#, r#""\"x\"""#, r#""""#] {
            assert!(write("TXT", refused).is_err(), "{refused}");
        }
    }
}
