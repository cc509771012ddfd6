//! The service's records, and how contents are written in them.

use portolan_plugin::{
    content::{canonical, txt_content, txt_octets},
    dns::{RecordKey, RecordValue},
    names::{absolute, with_dot},
    records,
    sets::DEFAULT_LINE,
};
use serde::{Deserialize, Serialize};

/// The types that can be sets of values. The service shows the zone's SOA, too.
pub(crate) const TYPES: &[&str] = &["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"];

/// The tags of CAA that the service knows.
const TAGS: [&str; 3] = ["issue", "issuewild", "iodef"];

/// The longest TXT value in presentation format, in octets. The service refuses more than 512 and
/// counts quotation marks, escapes and the spaces between strings, in a way that nobody documents;
/// 509 is what others found to pass (DNSControl, issue 370).
const MAX_TXT: usize = 509;

/// How the service writes the zone's own name as a value.
const APEX: &str = "@";

/// A record as the service tells of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Record {
    id: u64,
    #[serde(rename = "type")]
    rtype: String,
    name: String,
    data: Option<String>,
    priority: Option<u32>,
    port: Option<u32>,
    ttl: u32,
    weight: Option<u32>,
    flags: Option<u32>,
    tag: Option<String>,
}

impl Record {
    /// The record as every service's records are seen.
    pub(crate) fn seen(&self, zone: &str) -> records::Record {
        records::Record {
            id: self.id.to_string(),
            key: RecordKey {
                name: absolute(&self.name, zone),
                rtype: self.rtype.to_ascii_uppercase(),
                line: DEFAULT_LINE.to_owned(),
                set_id: String::new(),
            },
            ttl: self.ttl,
            value: RecordValue {
                content: self.content(zone),
                weight: None,
                enabled: true,
            },
            locked: None,
            extras: String::new(),
        }
    }

    /// The record's value in our spelling.
    fn content(&self, zone: &str) -> String {
        let data = self.data.as_deref().unwrap_or_default();
        let host = if data == APEX { zone } else { data };
        let number = |number: Option<u32>| number.unwrap_or_default();
        let priority = number(self.priority);
        let written = match self.rtype.as_str() {
            "TXT" => return txt_from_service(data),
            "CNAME" | "NS" => host.to_owned(),
            "MX" => format!("{priority} {host}"),
            "SRV" => {
                let (weight, port) = (number(self.weight), number(self.port));
                format!("{priority} {weight} {port} {host}")
            }
            "CAA" => {
                let tag = self.tag.as_deref().unwrap_or_default();
                format!("{} {tag} {}", number(self.flags), without_dots(data))
            }
            _ => data.to_owned(),
        };
        canonical(&self.rtype, &written).unwrap_or(written)
    }
}

/// A record as it is written: every field with every request, those that its type has not as null.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Written<'a> {
    #[serde(rename = "type")]
    rtype: &'a str,
    /// Relative to the zone; `@` for its own name.
    name: &'a str,
    data: String,
    priority: Option<u16>,
    port: Option<u16>,
    ttl: u32,
    weight: Option<u16>,
    flags: Option<u16>,
    tag: Option<&'a str>,
}

/// A canonical content as the service wants it, or why it cannot hold it.
pub(crate) fn write<'a>(
    rtype: &'a str,
    name: &'a str,
    ttl: u32,
    content: &'a str,
) -> Result<Written<'a>, String> {
    let mut written = Written {
        rtype,
        name,
        ttl,
        ..Written::default()
    };
    let parts: Vec<&str> = content.split(' ').collect();
    let number = |text: &str| text.parse().ok();
    match (rtype, parts.as_slice()) {
        ("CNAME" | "NS", [host]) => written.data = host_to_service(host)?,
        ("MX", [priority, host]) => {
            written.priority = number(priority);
            written.data = host_to_service(host)?;
        }
        ("SRV", [priority, weight, port, host]) => {
            written.priority = number(priority);
            written.weight = number(weight);
            written.port = number(port);
            // A single dot says that there is no such service (RFC 2782), and is understood here.
            written.data = with_dot(host);
        }
        ("CAA", [flags, tag, ..]) => {
            written.flags = number(flags);
            written.tag = Some(tag);
            let value = authority(tag, content)?;
            // What is no host name, an address to report to, takes no dot.
            written.data = match *tag {
                "iodef" => value,
                _ => with_dot(&value),
            };
        }
        ("TXT", _) => written.data = txt_to_service(content)?,
        ("A" | "AAAA", _) => content.clone_into(&mut written.data),
        _ => return Err(format!("`{content}` is no value of type {rtype}")),
    }
    Ok(written)
}

/// How a canonical content reads back.
pub(crate) fn round_trip(rtype: &str, content: &str) -> Result<String, String> {
    let written = write(rtype, APEX, 0, content)?;
    Ok(match (rtype, written.tag) {
        // The bounds between strings get lost.
        ("TXT", _) => txt_from_service(&written.data),
        ("CAA", Some(tag)) => {
            let flags = written.flags.unwrap_or_default();
            format!("{flags} {tag} \"{}\"", without_dots(&written.data))
        }
        _ => content.to_owned(),
    })
}

/// Names of hosts leave with a dot at their end and come back without it.
fn host_to_service(host: &str) -> Result<String, String> {
    match host {
        "." => Err("this service cannot hold the root as a host".to_owned()),
        host => Ok(with_dot(host)),
    }
}

/// The value of a CAA content, which the service keeps as the name of a host.
fn authority(tag: &str, content: &str) -> Result<String, String> {
    if !TAGS.contains(&tag) {
        return Err(format!("the tag `{tag}` is not one of {}", TAGS.join(", ")));
    }
    let quoted = content.splitn(3, ' ').last().unwrap_or_default();
    let value = String::from_utf8(txt_octets(quoted)?).unwrap_or_default();
    let value = without_dots(&value);
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if value.is_empty() || !value.bytes().all(fits) {
        return Err(format!(
            "this service holds a CAA value without spaces, quotation marks and backslashes, and \
             {quoted} is none"
        ));
    }
    Ok(value.to_owned())
}

fn without_dots(text: &str) -> &str {
    text.trim_end_matches('.')
}

/// The service takes a TXT value as plain text. One that someone entered in quotation marks is what
/// stands between them.
fn txt_from_service(data: &str) -> String {
    let plain = || data.as_bytes().to_vec();
    let quoted = data
        .starts_with('"')
        .then(|| txt_octets(data).ok())
        .flatten();
    txt_content(&quoted.unwrap_or_else(plain))
}

fn txt_to_service(content: &str) -> Result<String, String> {
    let octets = txt_octets(content)?;
    let refuse = |reason: &str| Err(format!("the TXT value {content} {reason}"));
    if octets.is_empty() {
        return refuse("is empty, which this service does not allow");
    }
    if octets.starts_with(b"\"") {
        return refuse("begins with a quotation mark itself, which this service may drop");
    }
    if octets.contains(&b'\\') {
        return refuse("has a backslash, which this service does not keep");
    }
    if !octets.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return refuse(
            "is not printable ASCII, of which alone it is known that this service keeps it",
        );
    }
    let length = txt_content(&octets).len();
    if length > MAX_TXT {
        return refuse(&format!(
            "has {length} octets with its quotation marks, and {MAX_TXT} fit this service"
        ));
    }
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the service makes of a written record.
    fn stored(content: &str, written: &Written<'_>) -> Record {
        let mut json = serde_json::to_value(written).unwrap();
        json["id"] = 1.into();
        if written.rtype != "TXT" && written.data != "." {
            let data = written.data.trim_end_matches('.');
            json["data"] = if data == "example.com" { "@" } else { data }.into();
        }
        serde_json::from_value(json).unwrap_or_else(|error| panic!("{content}: {error}"))
    }

    #[test]
    fn contents_survive_the_way_there_and_back() {
        let longest = format!("\"{}\" \"{}\"", "x".repeat(255), "y".repeat(249));
        for (rtype, content, data) in [
            ("A", "192.0.2.1", "192.0.2.1"),
            ("AAAA", "2001:db8::1", "2001:db8::1"),
            ("CNAME", "www.example.net", "www.example.net."),
            ("CNAME", "example.com", "example.com."),
            ("NS", "ns1.example.net", "ns1.example.net."),
            ("MX", "10 mail.example.com", "mail.example.com."),
            ("MX", "0 example.com", "example.com."),
            ("SRV", "1 2 443 host.example.com", "host.example.com."),
            ("SRV", "0 0 0 .", "."),
            ("CAA", "0 issue \"letsencrypt.org\"", "letsencrypt.org."),
            ("CAA", "128 issuewild \";\"", ";."),
            (
                "CAA",
                "0 iodef \"mailto:ca@example.com\"",
                "mailto:ca@example.com",
            ),
            (
                "TXT",
                "\"v=spf1 include:a.example ~all\"",
                "v=spf1 include:a.example ~all",
            ),
            ("TXT", r#""say \"ah\"; + * %20 ""#, "say \"ah\"; + * %20 "),
            (
                "TXT",
                &longest,
                &longest.replace("\" \"", "").replace('"', ""),
            ),
        ] {
            let written = write(rtype, "www", 600, content).unwrap();
            assert_eq!(written.data, data);
            assert_eq!(stored(content, &written).content("example.com"), content);
            assert_eq!(round_trip(rtype, content).as_deref(), Ok(content));
        }
    }

    #[test]
    fn numbers_have_fields_of_their_own() {
        let written = write("SRV", "_sip._tcp", 60, "1 2 443 host.example.com").unwrap();
        let json = json!({
            "type": "SRV", "name": "_sip._tcp", "data": "host.example.com.", "priority": 1,
            "port": 443, "ttl": 60, "weight": 2, "flags": null, "tag": null,
        });
        assert_eq!(serde_json::to_value(&written).unwrap(), json);
    }

    #[test]
    fn some_contents_read_back_otherwise() {
        let back = |rtype, content| round_trip(rtype, content).unwrap();
        assert_eq!(back("TXT", "\"a b\" \"c\""), "\"a bc\"");
        assert_eq!(
            back("CAA", "0 issue \"ca.example.\""),
            "0 issue \"ca.example\""
        );
        assert_eq!(
            txt_from_service("\"entered in quotes\""),
            "\"entered in quotes\""
        );
        assert_eq!(txt_from_service("a\"b"), r#""a\"b""#);
    }

    #[test]
    fn what_the_service_cannot_hold_is_refused() {
        let too_long = format!("\"{}\" \"{}\"", "x".repeat(255), "y".repeat(250));
        for (rtype, content, reason) in [
            ("TXT", r#""""#, "empty"),
            ("TXT", r#""a\\b""#, "backslash"),
            ("TXT", r#""\"x\"""#, "quotation mark"),
            ("TXT", r#""\195\169""#, "ASCII"),
            ("TXT", too_long.as_str(), "510 octets"),
            ("MX", "0 .", "root"),
            ("CNAME", ".", "root"),
            ("CAA", "0 contactemail \"ca@example.com\"", "contactemail"),
            ("CAA", "0 issue \"ca.example; a=b\"", "spaces"),
            ("CAA", "0 issue \"\"", "spaces"),
        ] {
            let refused = write(rtype, "www", 600, content).unwrap_err();
            assert!(refused.contains(reason), "{content}: {refused}");
        }
    }

    #[test]
    fn an_unreadable_value_is_shown_as_it_is() {
        let record = json!({ "id": 7, "type": "A", "name": "@", "data": "pending", "ttl": 30 });
        let record: Record = serde_json::from_value(record).unwrap();
        let seen = record.seen("example.com");
        assert_eq!(seen.value.content, "pending");
        assert_eq!(
            (seen.key.name.as_str(), seen.id.as_str()),
            ("example.com", "7")
        );
    }
}
