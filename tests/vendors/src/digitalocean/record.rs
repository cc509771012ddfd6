//! A record, and which ones the service takes.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::{Refusal, unprocessable};

/// The TTL of a record whose creator names none, in seconds.
const DEFAULT_TTL: u32 = 1800;
/// "All DNS records require a minimum TTL value of 30 seconds."
const MIN_TTL: u32 = 30;
/// The most octets of a TXT value as a zone file writes it.
const MAX_TXT: usize = 512;

const TYPES: [&str; 8] = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"];
const TAGS: [&str; 3] = ["issue", "issuewild", "iodef"];

/// A record as the service keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoRecord {
    /// The service's id.
    pub id: u64,
    /// The domain.
    pub zone: String,
    /// The name relative to the domain; `@` for the domain's own.
    pub name: String,
    /// `A`, `CNAME`, …
    pub rtype: String,
    /// The value: a host name without its trailing dot, `@` for the domain's own name.
    pub data: String,
    /// Of MX and SRV.
    pub priority: Option<u16>,
    /// Of SRV.
    pub port: Option<u16>,
    /// Of SRV.
    pub weight: Option<u16>,
    /// Seconds.
    pub ttl: u32,
    /// Of CAA.
    pub flags: Option<u8>,
    /// Of CAA.
    pub tag: Option<String>,
}

impl DoRecord {
    /// A record of the account's first domain, with the default TTL.
    pub fn new(name: &str, rtype: &str, data: &str) -> Self {
        Self {
            name: name.to_owned(),
            rtype: rtype.to_owned(),
            data: data.to_owned(),
            ..Self::blank("")
        }
    }

    pub(super) fn blank(zone: &str) -> Self {
        Self {
            id: 0,
            zone: zone.to_owned(),
            name: String::new(),
            rtype: String::new(),
            data: String::new(),
            priority: None,
            port: None,
            weight: None,
            ttl: DEFAULT_TTL,
            flags: None,
            tag: None,
        }
    }

    /// Its name with the domain's behind it.
    pub fn absolute(&self) -> String {
        match self.name.as_str() {
            "@" => self.zone.clone(),
            name => format!("{name}.{}", self.zone),
        }
    }

    /// Are both of one name and type?
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.zone == other.zone && self.name == other.name && self.rtype == other.rtype
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "id": self.id, "type": self.rtype, "name": self.name, "data": self.data,
            "priority": self.priority, "port": self.port, "ttl": self.ttl, "weight": self.weight,
            "flags": self.flags, "tag": self.tag,
        })
    }

    /// Gives it a content in presentation format, unchecked.
    pub(super) fn set_content(&mut self, content: &str) {
        match (self.rtype.as_str(), content.split_once(' ')) {
            ("MX", Some((priority, host))) => {
                self.priority = priority.parse().ok();
                self.data = self.read_back(host);
            }
            ("TXT", _) => content.trim_matches('"').clone_into(&mut self.data),
            _ => self.data = self.read_back(content),
        }
    }

    /// The record with what a request says; what it leaves out, or null, stays.
    pub(super) fn with(mut self, body: &Value) -> Result<Self, Refusal> {
        let rtype = text(body, "type").unwrap_or(&self.rtype);
        if !TYPES.contains(&rtype) {
            return Err(unprocessable("Type is not a valid record type"));
        }
        if !self.rtype.is_empty() && self.rtype != rtype {
            return Err(unprocessable("Type cannot be changed"));
        }
        self.rtype = rtype.to_owned();
        self.take_name(text(body, "name"))?;

        let number = |name: &str, old: Option<u16>| match &body[name] {
            Value::Null => Ok(old),
            value => match value.as_u64().and_then(|value| u16::try_from(value).ok()) {
                None => Err(unprocessable(&format!(
                    "{name} must be between 0 and 65535"
                ))),
                number => Ok(number),
            },
        };
        self.priority = number("priority", self.priority)?;
        self.port = number("port", self.port)?;
        self.weight = number("weight", self.weight)?;
        if let Some(flags) = number("flags", self.flags.map(u16::from))? {
            let flags = u8::try_from(flags);
            self.flags = Some(flags.map_err(|_| unprocessable("Flags must be 255 at most"))?);
        }
        self.tag = text(body, "tag").map(str::to_owned).or(self.tag);
        match &body["ttl"] {
            Value::Null => {}
            ttl => match ttl.as_u64().and_then(|ttl| u32::try_from(ttl).ok()) {
                Some(ttl) if (MIN_TTL..=u32::MAX / 2).contains(&ttl) => self.ttl = ttl,
                _ => {
                    let message = format!("Ttl must be greater than or equal to {MIN_TTL}");
                    return Err(unprocessable(&message));
                }
            },
        }
        self.check_fields()?;

        // The dot is asked of what is stored, too, which has none: an update that leaves the value out
        // is refused (digitalocean/doctl, issue 919).
        let data = text(body, "data").unwrap_or(&self.data).to_owned();
        self.check_data(&data)?;
        self.data = self.read_back(&data);
        Ok(self)
    }

    /// A name with a dot at its end is absolute, any other relative to the domain.
    fn take_name(&mut self, name: Option<&str>) -> Result<(), Refusal> {
        let name = match name {
            Some(name) => name.to_ascii_lowercase(),
            None if !self.name.is_empty() => return Ok(()),
            None if self.rtype == "MX" => "@".to_owned(),
            None => return Err(unprocessable("Name can't be blank")),
        };
        let apex = format!("{}.", self.zone);
        let relative = match name.strip_suffix(&apex) {
            None => name.as_str(),
            Some("") => "@",
            Some(below) => below.trim_end_matches('.'),
        };
        let is_label = |label: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_*@".contains(&byte);
            (1..=63).contains(&label.len()) && label.bytes().all(allowed)
        };
        if !relative.split('.').all(is_label) {
            let message = "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, ., _ and -) \
                           Or a single record of '@'.";
            return Err(unprocessable(message));
        }
        self.name = relative.to_owned();
        Ok(())
    }

    fn check_fields(&self) -> Result<(), Refusal> {
        let missing = match self.rtype.as_str() {
            "MX" | "SRV" if self.priority.is_none() => "Priority",
            "SRV" if self.port.is_none() => "Port",
            "SRV" if self.weight.is_none() => "Weight",
            "CAA" if self.flags.is_none() => "Flags",
            "CAA" if self.tag.is_none() => "Tag",
            _ => return self.check_tag(),
        };
        Err(unprocessable(&format!("{missing} can't be blank")))
    }

    fn check_tag(&self) -> Result<(), Refusal> {
        match self.tag.as_deref() {
            Some(tag) if self.rtype == "CAA" && !TAGS.contains(&tag) => {
                Err(unprocessable("Tag is not included in the list"))
            }
            _ => Ok(()),
        }
    }

    fn check_data(&self, data: &str) -> Result<(), Refusal> {
        let wrong = |message: &str| Err(unprocessable(message));
        let takes_dot = match self.rtype.as_str() {
            "CAA" => self.tag.as_deref() != Some("iodef"),
            "CNAME" | "MX" | "NS" | "SRV" => data != "@",
            _ => false,
        };
        match self.rtype.as_str() {
            _ if data.is_empty() => wrong("Data can't be blank"),
            "A" if data.parse::<Ipv4Addr>().is_err() => {
                wrong("IP address did not match IPv4 format (e.g. 127.0.0.1).")
            }
            "AAAA" if data.parse::<Ipv6Addr>().is_err() => {
                wrong("IP address did not match IPv6 format (e.g. 2001:db8::ff00:42:8329).")
            }
            "TXT" if data.contains('\\') || zone_file_octets(data) > MAX_TXT => {
                wrong("Data is invalid")
            }
            "CAA" if data.contains(char::is_whitespace) => wrong("Data is invalid"),
            "CNAME" | "MX" | "NS" if data == "." => wrong("Data is invalid"),
            _ if takes_dot && !data.ends_with('.') => wrong("Data needs to end with a dot (.)"),
            _ => Ok(()),
        }
    }

    /// How a value reads back.
    fn read_back(&self, data: &str) -> String {
        if matches!(self.rtype.as_str(), "A" | "AAAA" | "TXT") || data == "." {
            return data.to_owned();
        }
        let data = data.strip_suffix('.').unwrap_or(data);
        if data == self.zone && self.rtype != "CAA" {
            return "@".to_owned();
        }
        data.to_owned()
    }
}

/// How long a TXT value is with its quotation marks and escapes, in strings of 255 octets.
fn zone_file_octets(data: &str) -> usize {
    let strings = data.len().div_ceil(255);
    let escapes = data.bytes().filter(|byte| *byte == b'"').count();
    data.len() + escapes + strings * 2 + strings.saturating_sub(1)
}

/// A text of a request; none where it is missing, null or empty.
fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body[name].as_str().filter(|text| !text.is_empty())
}
