//! The service's records.

use portolan_plugin::{
    content::{canonical, txt_content, txt_octets},
    dns::{RecordKey, RecordSet, RecordValue},
    names::without_dot,
    records::Record,
    sets::DEFAULT_LINE,
};
use serde::{Deserialize, Serialize};

/// The types that can be sets of values.
pub(crate) const RECORD_TYPES: &[&str] =
    &["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"];

/// The types whose records can be switched to the service's proxy.
pub(crate) const PROXIABLE: &[&str] = &["A", "AAAA", "CNAME"];

/// The TTL that stands for "automatic". Records behind the proxy have no other.
pub(crate) const AUTOMATIC_TTL: u32 = 1;

/// How the extras of a record behind the service's proxy begin.
const PROXIED: &str = "proxied";

/// What the service tells of a record or of a zone. One type, because the code to read each weighs some KB
/// in the component.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Of a record, `A`; of a zone, `full`.
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    /// Of a zone.
    pub(crate) status: Option<String>,
    /// Of a zone.
    pub(crate) plan: Option<Details>,
    /// All others are of a record.
    ttl: Option<u32>,
    content: Option<String>,
    /// Of an MX record, and of an SRV record in an older form.
    priority: Option<u16>,
    proxied: Option<bool>,
    comment: Option<String>,
    tags: Option<Vec<String>>,
    settings: Option<Details>,
}

/// What stands in objects of their own. One type, for the same reason.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Details {
    /// Of a zone's plan.
    pub(crate) legacy_id: Option<String>,
    /// Of a list.
    pub(crate) total_count: Option<usize>,
    /// All others are a record's settings.
    flatten_cname: Option<bool>,
    ipv4_only: Option<bool>,
    ipv6_only: Option<bool>,
}

impl Entry {
    /// A record as all providers see it.
    pub(crate) fn into_record(self) -> Record {
        let rtype = self.kind.to_ascii_uppercase();
        Record {
            value: RecordValue {
                content: self.content(&rtype),
                weight: None,
                enabled: true,
            },
            extras: self.extras(),
            id: self.id,
            key: RecordKey {
                name: without_dot(&self.name),
                rtype,
                line: DEFAULT_LINE.to_owned(),
                set_id: String::new(),
            },
            ttl: self.ttl.unwrap_or(AUTOMATIC_TTL),
            locked: None,
        }
    }

    /// The record's value in our spelling.
    fn content(&self, rtype: &str) -> String {
        let plain = self.content.clone().unwrap_or_default();
        let written = match (rtype, self.priority) {
            ("MX", Some(priority)) => format!("{priority} {plain}"),
            // Someone entered it without quotation marks.
            ("TXT", _) if !plain.starts_with('"') => return txt_content(plain.as_bytes()),
            // The service has kept the priority of SRV records apart, as that of MX records.
            ("SRV", Some(priority)) if plain.split_ascii_whitespace().count() == 3 => {
                format!("{priority} {plain}")
            }
            // There have been tabs between the parts.
            ("CAA", _) => plain.replace('\t', " "),
            _ => plain,
        };
        canonical(rtype, &written).unwrap_or(written)
    }

    /// What the service keeps beside the record's content and differs from its defaults.
    fn extras(&self) -> String {
        let mut extras = Vec::new();
        if self.proxied == Some(true) {
            extras.push(PROXIED.to_owned());
        }
        if let Some(settings) = &self.settings {
            let switches = [
                ("flatten-cname", settings.flatten_cname),
                ("ipv4-only", settings.ipv4_only),
                ("ipv6-only", settings.ipv6_only),
            ];
            let on = switches.iter().filter(|(_, on)| *on == Some(true));
            extras.extend(on.map(|(switch, _)| (*switch).to_owned()));
        }
        let tags = self.tags.iter().flatten();
        extras.extend(tags.map(|tag| format!("tag {}", on_one_line(tag))));
        if let Some(comment) = self.comment.as_deref().filter(|text| !text.is_empty()) {
            extras.push(format!("comment {}", on_one_line(comment)));
        }
        extras.join(" ")
    }
}

fn on_one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// Is this record behind the service's proxy?
pub(crate) fn is_proxied(record: &Record) -> bool {
    record.extras.starts_with(PROXIED)
}

/// A record in a batch: to be added, to be changed (with an id), or to be deleted (with an id alone). What
/// is not said of one that is changed stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Writing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    rtype: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// Of MX.
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxied: Option<bool>,
}

/// The parts of a content that the service wants in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Data {
    /// Of SRV.
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// Of CAA.
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

impl<'a> Writing<'a> {
    /// A record that goes.
    pub(crate) fn deletion(id: &'a str) -> Self {
        Self {
            id: Some(id),
            ..Self::default()
        }
    }

    /// A record of this set with a canonical content, or why the service cannot hold it.
    pub(crate) fn new(set: &'a RecordSet, content: &str) -> Result<Self, String> {
        let rtype = set.key.rtype.as_str();
        let wrong = || format!("`{content}` is not a canonical {rtype} content");
        let number = |text: &str| text.parse::<u16>().map(Some).map_err(|_| wrong());
        let mut writing = Self {
            name: Some(&set.key.name),
            rtype: Some(rtype),
            ttl: Some(set.ttl),
            ..Self::default()
        };
        match (rtype, content.split(' ').collect::<Vec<_>>().as_slice()) {
            ("MX", [priority, host]) => {
                writing.priority = number(priority)?;
                writing.content = Some((*host).to_owned());
            }
            ("SRV", [priority, weight, port, target]) => {
                writing.data = Some(Data {
                    priority: number(priority)?,
                    weight: number(weight)?,
                    port: number(port)?,
                    target: Some((*target).to_owned()),
                    ..Data::default()
                });
            }
            ("CAA", [flags, tag, ..]) => {
                let value = content.splitn(3, ' ').nth(2).ok_or_else(wrong)?;
                let value = String::from_utf8(txt_octets(value)?)
                    .map_err(|_| format!("the value of `{content}` is not UTF-8 text"))?;
                writing.data = Some(Data {
                    flags: number(flags)?,
                    tag: Some((*tag).to_owned()),
                    value: Some(value),
                    ..Data::default()
                });
            }
            ("MX" | "SRV" | "CAA", _) => return Err(wrong()),
            _ => writing.content = Some(content.to_owned()),
        }
        Ok(writing)
    }
}

#[cfg(test)]
mod tests {
    use portolan_plugin::testing::set;
    use serde_json::{Value, json};

    use super::*;

    fn record(json: Value) -> Record {
        let mut whole = json!({
            "id": "1", "name": "www.example.com", "type": "A", "content": "192.0.2.1", "ttl": 300,
            "proxiable": true, "proxied": false, "settings": {}, "meta": {}, "comment": null,
            "tags": [], "created_on": "2014-01-01T05:20:00.12345Z",
        });
        let given = json.as_object().unwrap().clone();
        whole.as_object_mut().unwrap().extend(given);
        let record: Entry = serde_json::from_value(whole).unwrap();
        record.into_record()
    }

    #[test]
    fn contents_are_written_as_the_service_wants_them() {
        for (rtype, content, expected) in [
            ("A", "192.0.2.1", json!({ "content": "192.0.2.1" })),
            (
                "MX",
                "10 mail.example.com",
                json!({ "content": "mail.example.com", "priority": 10 }),
            ),
            (
                "SRV",
                "1 2 443 host.example.com",
                json!({ "data": { "priority": 1, "weight": 2, "port": 443, "target": "host.example.com" } }),
            ),
            (
                "CAA",
                r#"0 issue "ca.example; a=\"b\"""#,
                json!({ "data": { "flags": 0, "tag": "issue", "value": "ca.example; a=\"b\"" } }),
            ),
            (
                "TXT",
                r#""a" "\"b\"""#,
                json!({ "content": r#""a" "\"b\"""# }),
            ),
        ] {
            let set = set("www.example.com", rtype, &[content]);
            let written = Writing::new(&set, content).unwrap();
            let mut whole = json!({ "name": "www.example.com", "type": rtype, "ttl": 600 });
            let expected = expected.as_object().unwrap().clone();
            whole.as_object_mut().unwrap().extend(expected);
            assert_eq!(serde_json::to_value(written).unwrap(), whole);
        }
        for (rtype, content) in [
            ("CAA", r#"0 issue "\255""#),
            ("MX", "mail.example.com"),
            ("SRV", "1 2 host.example.com"),
        ] {
            let set = set("www.example.com", rtype, &[content]);
            assert!(Writing::new(&set, content).is_err(), "{rtype}");
        }
    }

    #[test]
    fn every_form_of_a_content_reads_alike() {
        for (rtype, priority, content, expected) in [
            ("TXT", None, "v=spf1 -all", "\"v=spf1 -all\""),
            ("TXT", None, "\"é\"", r#""\195\169""#),
            ("MX", Some(10), "Mail.example.com", "10 mail.example.com"),
            (
                "SRV",
                Some(1),
                "2\t443\tHost.example.com",
                "1 2 443 host.example.com",
            ),
            (
                "SRV",
                Some(1),
                "1 2 443 host.example.com",
                "1 2 443 host.example.com",
            ),
            (
                "CAA",
                None,
                "0\tissue\t\"ca.example\"",
                "0 issue \"ca.example\"",
            ),
            ("AAAA", None, "2001:DB8::0:1", "2001:db8::1"),
        ] {
            // What other types have in `data` is of no concern.
            let json = json!({
                "type": rtype, "content": content, "priority": priority, "data": { "flags": "S" },
            });
            assert_eq!(record(json).value.content, expected, "{rtype}");
        }
    }

    #[test]
    fn what_is_not_managed_stands_in_the_extras() {
        assert_eq!(record(json!({})).extras, "");
        let noted = record(json!({
            "proxied": true, "comment": "rack\n7", "tags": ["owner:dns", "eu"],
            "settings": { "ipv4_only": true, "ipv6_only": false },
        }));
        assert_eq!(
            noted.extras,
            "proxied ipv4-only tag owner:dns tag eu comment rack 7"
        );
        assert!(is_proxied(&noted));
        assert!(!is_proxied(&record(json!({ "comment": "proxied" }))));
    }
}
