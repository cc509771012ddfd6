//! How a site's address is found, as operators write it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv6Addr;

use hickory_proto::rr::Name;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::family::Family;

/// Two must agree, so fewer could never answer; more than this would take too long to ask.
const SOURCES: std::ops::RangeInclusive<usize> = 2..=16;
/// Linux: `IFNAMSIZ` without the final zero.
const MAX_INTERFACE: usize = 15;
/// The network part of an IPv6 address where addresses are autoconfigured (RFC 4291 §2.5.4).
pub(super) const DEFAULT_PREFIX_LENGTH: u8 = 64;
const DNS_PORT: u16 = 53;

/// One method of finding an address of one family. A site has a list of them per family; the first
/// that yields wins. The usual order is the interface first, then sources:
///
/// ```json
/// [{"method": "interface", "name": "eth0"},
///  {"method": "sources"}]
/// ```
///
/// Each takes `"allow_private": true`: addresses that are not global count then, and those that are
/// asked may have such. That is for private networks and tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum Detection {
    /// An address that a network interface of the member holds.
    Interface(ByInterface),
    /// Web pages that show the address from which they are asked; two must agree.
    Sources(BySources),
    /// Name servers that answer with the address from which they are asked; two must agree.
    Dns(ByDns),
    /// A command that prints it.
    Command(ByCommand),
}

/// `{"method": "interface", "name": "eth0", "index": 0, "suffix": "::1234", "prefix_length": 64}`.
///
/// Of an interface's addresses those count that are global and neither temporary (RFC 8981) nor
/// deprecated, tentative or duplicate. They are ordered by their last 64 bits, then by the others, so
/// that a new prefix from the provider does not change their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByInterface {
    /// The interface's name.
    pub name: String,
    /// Which of its addresses, counted from 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub index: usize,
    /// IPv6: the address's last bits. An address of the interface that ends so is taken; where none
    /// does, the suffix is put onto the prefix of the address at `index`, which is how a member names
    /// another host of its network behind the same router, whose prefix changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<Ipv6Addr>,
    /// How many bits stay of the interface's address under a suffix; 64 if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_length: Option<u8>,
    /// See [`Detection`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_private: bool,
}

/// `{"method": "sources", "urls": ["https://api.ipify.org", "https://4.ipw.cn"]}`.
///
/// They are asked two at a time, over the family alone, until two agree. A page counts if it holds
/// exactly one address. It may be plain `http`: an attacker on the way would have to change two
/// answers alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BySources {
    /// None: a list of well-known ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<Vec<String>>,
    /// See [`Detection`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_private: bool,
}

/// `{"method": "dns", "resolvers": [{"server": "resolver1.opendns.com", "name": "myip.opendns.com"}]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByDns {
    /// None: those of OpenDNS, Google and Akamai.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolvers: Option<Vec<Reflector>>,
    /// See [`Detection`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_private: bool,
}

/// A name server that tells who asks, and the question it answers so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reflector {
    /// A host, or a host and port: `resolver1.opendns.com`, `192.0.2.1:5353`, `[2001:db8::1]:53`.
    pub server: String,
    /// The name to ask for.
    pub name: String,
    /// In what kind of record it answers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub record: AddressRecord,
}

/// The kind of record in which a reflector answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressRecord {
    /// A or AAAA, as the family has it.
    #[default]
    Address,
    /// TXT.
    Txt,
}

/// `{"method": "command", "command": "router-address"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByCommand {
    /// The name of a command that the member's configuration enables. It finds the family as `ipv4`
    /// or `ipv6` in the environment variable `PORTOLAN_FAMILY`, and prints the addresses.
    pub command: String,
    /// See [`Detection`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_private: bool,
}

/// The field's path and the sentence.
type Wrong = (String, String);

/// Checks a family's list of methods. The error is the field's path, as in `[1].urls[0]`, and a
/// sentence.
pub fn validate_methods(family: Family, methods: &[Detection]) -> Result<(), (String, String)> {
    for (index, method) in methods.iter().enumerate() {
        method
            .validate(family)
            .map_err(|(field, message)| (format!("[{index}].{field}"), message))?;
    }
    Ok(())
}

impl Detection {
    /// Checks what the types do not. The error is the field's path within the method, and a sentence.
    pub fn validate(&self, family: Family) -> Result<(), (String, String)> {
        match self {
            Self::Interface(by) => by.validate(family),
            Self::Sources(by) => by.validate(),
            Self::Dns(by) => by.validate(),
            Self::Command(by) => by.validate(),
        }
    }
}

impl ByInterface {
    fn validate(&self, family: Family) -> Result<(), Wrong> {
        let letters = |letter: char| letter.is_whitespace() || letter == '/' || letter == '\0';
        if self.name.is_empty() || self.name.len() > MAX_INTERFACE || self.name.contains(letters) {
            return wrong("name", "is not an interface's name, such as eth0");
        }
        let Some(suffix) = self.suffix else {
            return match self.prefix_length {
                Some(_) => wrong("prefix_length", "goes with a `suffix`, which is left out"),
                None => Ok(()),
            };
        };
        if family == Family::Ipv4 {
            return wrong("suffix", "is for ipv6; an ipv4 address is taken as it is");
        }
        let length = self.prefix_length();
        if !(1..=127).contains(&length) {
            return wrong("prefix_length", "must be 1 to 127");
        }
        if suffix.is_unspecified() {
            return wrong("suffix", "is all zeros; write the address's end: ::1234");
        }
        if suffix.to_bits() >> (128 - u32::from(length)) != 0 {
            let message =
                format!("reaches into the first {length} bits; write the last ones alone: ::1234");
            return wrong("suffix", &message);
        }
        Ok(())
    }

    pub(super) fn prefix_length(&self) -> u8 {
        self.prefix_length.unwrap_or(DEFAULT_PREFIX_LENGTH)
    }
}

impl BySources {
    fn validate(&self) -> Result<(), Wrong> {
        let Some(urls) = &self.urls else {
            return Ok(());
        };
        enough("urls", urls.len())?;
        let mut origins = BTreeMap::new();
        for (index, text) in urls.iter().enumerate() {
            let at = format!("urls[{index}]");
            let url =
                Url::parse(text).map_err(|error| (at.clone(), format!("is not a URL: {error}")))?;
            if !matches!(url.scheme(), "http" | "https") {
                return wrong(&at, "is neither http nor https");
            }
            let origin = url.origin().ascii_serialization();
            if let Some(first) = origins.insert(origin, index) {
                let message =
                    format!("asks the server of urls[{first}] again; two that agree must be two");
                return wrong(&at, &message);
            }
        }
        Ok(())
    }

    /// Each list names independent operators, in China and elsewhere.
    pub(super) fn urls_for(&self, family: Family) -> Vec<String> {
        let well_known: &[&str] = match family {
            Family::Ipv4 => &[
                "https://api.ipify.org",
                "https://4.ipw.cn",
                "https://myip.ipip.net",
                "https://ip.3322.net",
            ],
            Family::Ipv6 => &[
                "https://api64.ipify.org",
                "https://6.ipw.cn",
                "https://v6.ident.me",
            ],
        };
        let well_known = || well_known.iter().map(|url| (*url).to_owned()).collect();
        self.urls.clone().unwrap_or_else(well_known)
    }
}

impl ByDns {
    fn validate(&self) -> Result<(), Wrong> {
        let Some(resolvers) = &self.resolvers else {
            return Ok(());
        };
        enough("resolvers", resolvers.len())?;
        let mut servers = BTreeMap::new();
        for (index, reflector) in resolvers.iter().enumerate() {
            let at = |field: &str| format!("resolvers[{index}].{field}");
            let (host, port) = reflector
                .host_and_port()
                .map_err(|message| (at("server"), message))?;
            Name::from_ascii(&reflector.name)
                .map_err(|error| (at("name"), format!("is not a name: {error}")))?;
            if reflector.name.is_empty() {
                return wrong(&at("name"), "is empty");
            }
            if let Some(first) = servers.insert((host.to_ascii_lowercase(), port), index) {
                let message =
                    format!("is that of resolvers[{first}] again; two that agree must be two");
                return wrong(&at("server"), &message);
            }
        }
        Ok(())
    }

    pub(super) fn reflectors(&self) -> Vec<Reflector> {
        use AddressRecord::{Address, Txt};
        let well_known = || {
            [
                ("resolver1.opendns.com", "myip.opendns.com.", Address),
                ("ns1.google.com", "o-o.myaddr.l.google.com.", Txt),
                ("ns1-1.akamaitech.net", "whoami.akamai.net.", Address),
            ]
            .map(|(server, name, record)| Reflector {
                server: server.to_owned(),
                name: name.to_owned(),
                record,
            })
            .into()
        };
        self.resolvers.clone().unwrap_or_else(well_known)
    }
}

impl Reflector {
    /// The error is a sentence.
    pub(super) fn host_and_port(&self) -> Result<(&str, u16), String> {
        let text = self.server.as_str();
        let bad = || format!("`{text}` is not a host or host:port, such as resolver1.opendns.com");
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(bad)?;
                let port = match port {
                    "" => None,
                    port => Some(port.strip_prefix(':').ok_or_else(bad)?),
                };
                (host, port)
            }
            None if text.matches(':').count() > 1 => (text, None),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(bad());
        }
        match port {
            None => Ok((host, DNS_PORT)),
            Some(port) => Ok((host, port.parse().map_err(|_| bad())?)),
        }
    }
}

impl ByCommand {
    fn validate(&self) -> Result<(), Wrong> {
        if self.command.is_empty() {
            return wrong(
                "command",
                "is empty; name one that the daemon's configuration enables",
            );
        }
        Ok(())
    }
}

impl fmt::Display for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(by) => write!(f, "interface {}", by.name),
            Self::Sources(_) => f.write_str("sources"),
            Self::Dns(_) => f.write_str("dns"),
            Self::Command(by) => write!(f, "command {}", by.command),
        }
    }
}

impl fmt::Display for Reflector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} @{}", self.name.trim_end_matches('.'), self.server)
    }
}

fn enough(field: &str, count: usize) -> Result<(), Wrong> {
    if SOURCES.contains(&count) {
        return Ok(());
    }
    let (least, most) = (SOURCES.start(), SOURCES.end());
    let message = format!(
        "holds {count}; give {least} to {most}, for two must agree, or leave it out for well-known \
         ones"
    );
    wrong(field, &message)
}

fn wrong(field: &str, message: &str) -> Result<(), Wrong> {
    Err((field.to_owned(), message.to_owned()))
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn checked(family: Family, method: Value) -> Result<(), String> {
        let methods: Vec<Detection> =
            serde_json::from_value(json!([method])).map_err(|error| error.to_string())?;
        assert_eq!(
            serde_json::to_value(&methods).unwrap(),
            json!([method]),
            "is shown as it was given"
        );
        validate_methods(family, &methods).map_err(|(field, message)| format!("{field}: {message}"))
    }

    #[test]
    fn methods_are_read_as_documented() {
        for method in [
            json!({"method": "interface", "name": "eth0"}),
            json!({"method": "interface", "name": "eth0", "index": 1, "suffix": "::1234",
                   "prefix_length": 56, "allow_private": true}),
            json!({"method": "sources"}),
            json!({"method": "sources", "urls": ["https://a.example.com", "http://b.example.com/x"]}),
            json!({"method": "dns"}),
            json!({"method": "dns", "resolvers": [
                {"server": "resolver1.opendns.com", "name": "myip.opendns.com"},
                {"server": "[2001:db8::1]:5353", "name": "whoami.example.com.", "record": "txt"}]}),
            json!({"method": "command", "command": "router"}),
        ] {
            assert_eq!(checked(Family::Ipv6, method.clone()), Ok(()), "{method}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        let interface = |field: &str, value: Value| {
            let mut method = json!({"method": "interface", "name": "eth0"});
            method[field] = value;
            method
        };
        let sources = |urls: Value| json!({"method": "sources", "urls": urls});
        let server = |server: &str| {
            json!({"method": "dns", "resolvers": [
                {"server": server, "name": "x.example.com"}, {"server": "b", "name": "x.example.com"}]})
        };
        let (a, b) = ("https://a.example.com/1", "https://b.example.com");
        let cases = [
            (json!({"method": "magic"}), "unknown variant `magic`"),
            (
                json!({"method": "sources", "url": []}),
                "unknown field `url`",
            ),
            (interface("name", json!("")), "[0].name"),
            (
                interface("name", json!("a-very-long-interface")),
                "[0].name",
            ),
            (interface("suffix", json!("::")), "[0].suffix: is all zeros"),
            (
                interface("suffix", json!("::1:0:0:0:1")),
                "[0].suffix: reaches into the first 64 bits",
            ),
            (
                interface("prefix_length", json!(64)),
                "[0].prefix_length: goes with",
            ),
            (sources(json!([])), "[0].urls: holds 0"),
            (sources(json!([a])), "[0].urls: holds 1; give 2 to 16"),
            (sources(json!([a, "x"])), "[0].urls[1]: is not a URL"),
            (
                sources(json!([a, "ftp://x.example.com"])),
                "[0].urls[1]: is neither http",
            ),
            (
                sources(json!([a, b, "https://a.example.com/2"])),
                "[0].urls[2]: asks the server of urls[0]",
            ),
            (server("a b"), "[0].resolvers[0].server"),
            (server("a:port"), "[0].resolvers[0].server"),
            (server("[::1"), "[0].resolvers[0].server"),
            (
                server("B:53"),
                "[0].resolvers[1].server: is that of resolvers[0]",
            ),
            (
                json!({"method": "command", "command": ""}),
                "[0].command: is empty",
            ),
        ];
        for (method, expected) in cases {
            let error = checked(Family::Ipv6, method.clone()).unwrap_err();
            assert!(error.contains(expected), "{method}: {error}");
        }
        let error = checked(Family::Ipv4, interface("suffix", json!("::1"))).unwrap_err();
        assert!(error.contains("[0].suffix: is for ipv6"), "{error}");
    }

    #[test]
    fn the_well_known_ones_pass_their_own_check() {
        for family in Family::ALL {
            let by = BySources {
                urls: None,
                allow_private: false,
            };
            let urls = Some(by.urls_for(family));
            assert_eq!(BySources { urls, ..by }.validate(), Ok(()));
        }
        let by = ByDns {
            resolvers: None,
            allow_private: false,
        };
        let resolvers = Some(by.reflectors());
        assert_eq!(ByDns { resolvers, ..by }.validate(), Ok(()));
    }
}
