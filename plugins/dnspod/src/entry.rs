//! What replies hold, and the service's records.

use portolan_plugin::{
    content::{canonical, txt_from_plain, txt_to_plain, with_dots},
    dns::{RecordKey, RecordValue},
    names::{absolute, without_dot},
    records::Record,
};
use serde::Deserialize;

use crate::line;

/// The types that can be sets of values. The service has more that are not DNS (`显性URL`).
pub(crate) const RECORD_TYPES: &[&str] = &["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"];

/// What a remark is called among the extras.
const REMARK: &str = "remark ";

/// A record, a zone, a line, a package, a count or an error: each fills in its own part. One type,
/// because the code to read each weighs some KB in the component; one type of number for the same reason.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Entry {
    record_id: Option<u64>,
    pub(crate) name: Option<String>,
    #[serde(rename = "Type")]
    rtype: Option<String>,
    value: Option<String>,
    line: Option<String>,
    pub(crate) line_id: Option<String>,
    #[serde(rename = "TTL")]
    ttl: Option<u64>,
    #[serde(rename = "MX")]
    mx: Option<u64>,
    weight: Option<u64>,
    status: Option<String>,
    remark: Option<String>,
    #[serde(rename = "DefaultNS")]
    default_ns: Option<bool>,
    /// Of a zone: its A-label form.
    pub(crate) punycode: Option<String>,
    /// Of a zone: its package.
    pub(crate) grade: Option<String>,
    /// Of a package: its code.
    pub(crate) domain_grade: Option<String>,
    /// Of a package: the smallest TTL.
    pub(crate) min_ttl: Option<u64>,
    /// Of records.
    pub(crate) total_count: Option<u64>,
    /// Of zones.
    pub(crate) domain_total: Option<u64>,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Entry {
    /// The record as all providers see it; none where the service told only a part of it.
    pub(crate) fn into_record(self, zone: &str) -> Option<Record> {
        let rtype = self.rtype?.to_ascii_uppercase();
        let value = self.value?;
        let written = match (rtype.as_str(), self.mx) {
            ("MX", Some(preference)) => format!("{preference} {value}"),
            ("TXT", _) => txt_from_plain(&value),
            _ => value,
        };
        let remark = self.remark.filter(|remark| !remark.is_empty());
        let default_ns = "is one of the zone's own name servers, which DNSPod keeps";
        Some(Record {
            id: self.record_id?.to_string(),
            ttl: u32::try_from(self.ttl?).ok()?,
            value: RecordValue {
                content: canonical(&rtype, &written).unwrap_or(written),
                weight: self.weight.and_then(weight),
                enabled: !self.status?.eq_ignore_ascii_case("disable"),
            },
            key: RecordKey {
                name: absolute(&self.name?, zone),
                rtype,
                line: line::from_service(&self.line_id?, &self.line?).to_owned(),
                set_id: String::new(),
            },
            locked: (self.default_ns == Some(true)).then(|| default_ns.to_owned()),
            extras: remark
                .map(|remark| format!("{REMARK}{remark}"))
                .unwrap_or_default(),
        })
    }

    /// What the service says of a list that is empty, where it says so at all.
    pub(crate) fn count_of_nothing() -> Self {
        Self {
            total_count: Some(0),
            domain_total: Some(0),
            ..Self::default()
        }
    }

    /// The name of the zone that this is.
    pub(crate) fn zone_name(&self) -> Option<String> {
        let a_labels = self.punycode.as_ref().filter(|name| !name.is_empty());
        a_labels
            .or(self.name.as_ref())
            .map(|name| without_dot(name))
    }
}

/// 0 is how the service writes that there is none.
fn weight(written: u64) -> Option<u32> {
    u32::try_from(written).ok().filter(|weight| *weight != 0)
}

/// The remark of a record, which has to be sent along with an update.
pub(crate) fn remark(record: &Record) -> Option<&str> {
    record.extras.strip_prefix(REMARK)
}

/// A canonical content as the service wants it, and the preference where it is of an MX record; or why
/// it cannot hold it.
pub(crate) fn write(rtype: &str, content: &str) -> Result<(String, Option<u64>), String> {
    match rtype {
        "MX" => content
            .split_once(' ')
            .and_then(|(preference, host)| {
                let preference: u64 = preference.parse().ok()?;
                Some((with_dots("MX", host), Some(preference)))
            })
            .ok_or_else(|| format!("`{content}` is not of the form `preference host`")),
        "TXT" => Ok((txt_to_plain(content)?, None)),
        _ => Ok((with_dots(rtype, content), None)),
    }
}

/// How a canonical content reads back: TXT values lose the bounds of their strings.
pub(crate) fn round_trip(rtype: &str, content: &str) -> Result<String, String> {
    let (value, _) = write(rtype, content)?;
    Ok(if rtype == "TXT" {
        txt_from_plain(&value)
    } else {
        content.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: serde_json::Value) -> Record {
        let mut whole = serde_json::json!({
            "RecordId": 1, "Name": "www", "Type": "A", "Value": "192.0.2.1", "Line": "默认",
            "LineId": "0", "TTL": 600, "MX": 0, "Weight": null, "Status": "ENABLE", "Remark": "",
            "MonitorStatus": "", "UpdatedOn": "2021-03-28 11:27:09", "DefaultNS": false,
        });
        whole
            .as_object_mut()
            .unwrap()
            .extend(json.as_object().unwrap().clone());
        let entry: Entry = serde_json::from_value(whole).unwrap();
        entry.into_record("example.com").unwrap()
    }

    #[test]
    fn a_record_is_told_with_all_that_the_daemon_knows() {
        let plain = record(serde_json::json!({}));
        assert_eq!((plain.id.as_str(), plain.ttl), ("1", 600));
        assert_eq!(plain.key.name, "www.example.com");
        assert_eq!(plain.key.line, "default");
        assert_eq!((plain.value.weight, plain.value.enabled), (None, true));
        assert_eq!((plain.locked, plain.extras.as_str()), (None, ""));

        let other = record(serde_json::json!({
            "Name": "@", "Line": "电信", "LineId": "10=0", "Weight": 20, "Status": "DISABLE",
            "Remark": "rack 7", "DefaultNS": true,
        }));
        assert_eq!(other.key.name, "example.com");
        assert_eq!(other.key.line, "CT");
        assert_eq!((other.value.weight, other.value.enabled), (Some(20), false));
        assert!(other.locked.is_some());
        assert_eq!(remark(&other), Some("rack 7"));
        assert_eq!(
            record(serde_json::json!({ "Weight": 0 })).value.weight,
            None
        );
    }

    #[test]
    fn a_record_of_which_a_part_is_missing_is_none() {
        for missing in [
            "RecordId", "Name", "Type", "Value", "LineId", "Line", "TTL", "Status",
        ] {
            let mut whole = serde_json::json!({
                "RecordId": 1, "Name": "www", "Type": "A", "Value": "192.0.2.1", "Line": "默认",
                "LineId": "0", "TTL": 600, "Status": "ENABLE",
            });
            whole.as_object_mut().unwrap().remove(missing);
            let entry: Entry = serde_json::from_value(whole).unwrap();
            assert_eq!(entry.into_record("example.com"), None, "{missing}");
        }
    }

    #[test]
    fn contents_survive_the_way_there_and_back() {
        for (rtype, content) in [
            ("A", "192.0.2.1"),
            ("CNAME", "www.example.net"),
            ("MX", "10 mail.example.com"),
            ("SRV", "1 2 443 host.example.com"),
            ("CAA", "0 issue \"letsencrypt.org\""),
            ("TXT", "\"v=spf1 include:a.example ~all\""),
            ("TXT", r#""a \"quoted\" word \\ and \195\169""#),
        ] {
            let (value, mx) = write(rtype, content).unwrap();
            let record = record(serde_json::json!({ "Type": rtype, "Value": value, "MX": mx }));
            assert_eq!(record.value.content, content, "{rtype}");
            assert_eq!(round_trip(rtype, content).as_deref(), Ok(content));
        }
        assert!(write("MX", "mail.example.com").is_err());
        assert_eq!(
            round_trip("TXT", "\"a b\" \"c\"").as_deref(),
            Ok("\"a bc\"")
        );
    }
}
