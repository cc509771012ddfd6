//! The words of DNS, parsed at the edge and trusted inside: zones, names, types, lines, TTLs.
//!
//! Every name is absolute, in lower case and A-label form, without the trailing dot, which is how
//! the plugins' contract writes names too.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// RFC 1035 §3.1: 255 octets on the wire are 253 characters without the trailing dot.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
/// Far above the longest line code in use; keeps keys small.
const MAX_LINE: usize = 64;
const MAX_SET_ID: usize = 128;
const MAX_TYPE: usize = 32;
const MAX_BINDING: usize = 63;

/// Defines a string type whose values have passed `$parse`, cheap to clone, a string in JSON.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $parse:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and brings into its one spelling; the error is a sentence for the user.
            pub fn parse(text: &str) -> Result<Self, String> {
                $parse(text).map(|text| Self(text.into()))
            }

            /// The text in its one spelling.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text! {
    /// A zone's name: `example.com`.
    ZoneName, zone_name
}
checked_text! {
    /// An absolute name: `www.example.com`, `_acme-challenge.example.com`, `*.example.com`.
    DomainName, domain_name
}
checked_text! {
    /// A record type in upper case: `A`, `AAAA`, `CNAME`, or whatever a provider calls its own.
    RecordType, record_type
}
checked_text! {
    /// A line's code: `default`, `CT`, `CU`, `CMCC`, `CNEdu`, `OverSea`, or a provider's own.
    LineCode, line_code
}
checked_text! {
    /// Tells apart several sets of one name, type and line; mostly empty.
    SetId, set_id
}
checked_text! {
    /// What an operator calls a provider account.
    BindingName, binding_name
}
checked_text! {
    /// A site's code: `sh`, `beijing-2`. Its case is kept, and no two sites differ in case alone.
    SiteCode, site_code
}
checked_text! {
    /// What an operator calls a service: `shop`.
    ServiceName, service_name
}

impl DomainName {
    /// Reads a name as a person writes it in a zone: `@` is the apex; a name that ends in a dot or
    /// in the zone's name is absolute; any other is relative to the zone.
    pub fn in_zone(text: &str, zone: &ZoneName) -> Result<Self, String> {
        if text == "@" {
            return Ok(Self::apex(zone));
        }
        let absolute = Self::parse(text)?;
        if absolute.is_within(zone) {
            return Ok(absolute);
        }
        if text.ends_with('.') {
            return Err(format!("`{text}` is not within the zone {zone}"));
        }
        Self::parse(&format!("{absolute}.{zone}"))
    }

    /// The zone's own name.
    pub fn apex(zone: &ZoneName) -> Self {
        Self(zone.0.clone())
    }

    /// Whether this is the zone's name or ends in it.
    pub fn is_within(&self, zone: &ZoneName) -> bool {
        self.is_apex(zone)
            || self
                .0
                .strip_suffix(zone.as_str())
                .is_some_and(|rest| rest.ends_with('.'))
    }

    /// Whether this is the zone's own name.
    pub fn is_apex(&self, zone: &ZoneName) -> bool {
        self.0 == zone.0
    }
}

impl RecordType {
    /// The type whose records hold addresses of this family.
    pub(crate) fn of_family(family: crate::family::Family) -> Self {
        Self(family.record_type().into())
    }

    /// Free text.
    pub(crate) fn txt() -> Self {
        Self("TXT".into())
    }

    /// Whether this is the type called `name`.
    pub fn is(&self, name: &str) -> bool {
        self.as_str() == name
    }
}

impl LineCode {
    /// The line that answers whoever no other line answers.
    pub fn default_line() -> Self {
        Self("default".into())
    }

    /// Whether this is the line `default`.
    pub fn is_default(&self) -> bool {
        self.as_str() == "default"
    }
}

impl SetId {
    /// The only set of its name, type and line.
    pub fn none() -> Self {
        Self("".into())
    }

    /// Whether it tells nothing apart.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

/// How long an answer may be cached, in seconds: 1 to 2³¹−1 (RFC 2181 §8; 0 means "never cache" and
/// no provider takes it reliably).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u32")]
pub struct Ttl(u32);

impl Ttl {
    /// The longest.
    pub(crate) const MAX: Self = Self(0x7fff_ffff);

    /// Checks the range.
    pub fn new(seconds: i64) -> Result<Self, String> {
        match u32::try_from(seconds) {
            Ok(value @ 1..=0x7fff_ffff) => Ok(Self(value)),
            _ => Err(format!("a TTL is 1 to 2147483647 seconds, not {seconds}")),
        }
    }

    /// In seconds.
    pub fn seconds(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for Ttl {
    type Error = String;
    fn try_from(seconds: i64) -> Result<Self, String> {
        Self::new(seconds)
    }
}

impl From<Ttl> for u32 {
    fn from(ttl: Ttl) -> u32 {
        ttl.0
    }
}

/// A host name as the target of a CNAME, an MX or the like. `.` ("no such host") stays as it is.
pub(crate) fn host_name(text: &str) -> Result<String, String> {
    if text == "." {
        return Ok(text.to_owned());
    }
    let name = domain_name(text)?;
    if name.starts_with('*') {
        return Err(format!(
            "`{text}` is a wildcard, which cannot be the target of a record"
        ));
    }
    Ok(name)
}

fn zone_name(text: &str) -> Result<String, String> {
    let name = domain_name(text)?;
    if name.starts_with('*') {
        return Err(format!("`{text}` is a wildcard, not a zone"));
    }
    Ok(name)
}

fn domain_name(text: &str) -> Result<String, String> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    if bare.is_empty() {
        return Err("a name is empty; write `@` for the zone's own name".to_owned());
    }
    let name = if bare.is_ascii() {
        bare.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(bare)
            .map_err(|_| format!("`{text}` is not a valid internationalised name (UTS 46)"))?
    };
    if name.len() > MAX_NAME {
        return Err(format!(
            "`{text}` has {} characters, more than {MAX_NAME}",
            name.len()
        ));
    }
    for (position, label) in name.split('.').enumerate() {
        check_label(label, position == 0).map_err(|reason| format!("`{text}`: {reason}"))?;
    }
    Ok(name)
}

fn check_label(label: &str, leftmost: bool) -> Result<(), String> {
    if label.is_empty() {
        return Err("a label is empty (two dots in a row, or a dot at the start)".to_owned());
    }
    if label.len() > MAX_LABEL {
        return Err(format!(
            "the label `{label}` is longer than {MAX_LABEL} characters"
        ));
    }
    if label == "*" && leftmost {
        return Ok(());
    }
    // `_` for service labels, `/` for classless reverse zones (RFC 2317).
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_/".contains(c);
    if let Some(wrong) = label.chars().find(|c| !allowed(*c)) {
        return Err(match wrong {
            '*' => "`*` can only be the whole leftmost label".to_owned(),
            _ => format!("the label `{label}` holds the character {wrong:?}"),
        });
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(format!("the label `{label}` begins or ends with a hyphen"));
    }
    Ok(())
}

fn record_type(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase();
    let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if upper.is_empty() || upper.len() > MAX_TYPE || !upper.chars().all(allowed) {
        return Err(format!(
            "`{text}` is not a record type; write A, AAAA, CNAME, TXT, …"
        ));
    }
    Ok(upper)
}

fn line_code(text: &str) -> Result<String, String> {
    let odd = |c: char| c.is_control() || c.is_whitespace();
    if text.is_empty() || text.len() > MAX_LINE || text.chars().any(odd) {
        return Err(format!(
            "`{}` is not a line code; write `default`, `CT`, `CU`, `CMCC`, `CNEdu`, `OverSea`, or a \
             code of the provider, without spaces and at most {MAX_LINE} bytes",
            text.escape_debug()
        ));
    }
    Ok(text.to_owned())
}

fn set_id(text: &str) -> Result<String, String> {
    if text.len() > MAX_SET_ID || text.chars().any(char::is_control) {
        return Err(format!(
            "a set id has no control characters and at most {MAX_SET_ID} bytes"
        ));
    }
    Ok(text.to_owned())
}

/// A site's code is also a label in the names that it writes for itself (RFC 1035 §2.3.1).
fn site_code(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let edge = |c: char| c.is_ascii_alphanumeric();
    let well = text.starts_with(edge) && text.ends_with(edge);
    if !well || text.len() > MAX_LABEL || !text.chars().all(allowed) {
        return Err(format!(
            "`{}` cannot be a site's code: use letters, digits and `-`, begin and end with a letter or \
             digit, at most {MAX_LABEL} characters",
            text.escape_debug()
        ));
    }
    Ok(text.to_owned())
}

/// People name services in their own language: `测试`. What would be awkward in a URL or a log is left
/// out.
fn service_name(text: &str) -> Result<String, String> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '/';
    if text.is_empty() || text.chars().count() > MAX_BINDING || text.chars().any(odd) {
        return Err(format!(
            "`{}` cannot name a service: use no spaces, `/` or control characters, and at most \
             {MAX_BINDING} characters",
            text.escape_debug()
        ));
    }
    Ok(text.to_owned())
}

fn binding_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let begins_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !begins_well || text.len() > MAX_BINDING || !text.chars().all(allowed) {
        return Err(format!(
            "`{}` cannot name a provider: use a-z, 0-9, `-`, `_` and `.`, begin with a letter or \
             digit, at most {MAX_BINDING} characters",
            text.escape_debug()
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> ZoneName {
        ZoneName::parse("Example.COM.").unwrap()
    }

    #[test]
    fn names_are_read_as_people_write_them() {
        let cases = [
            ("@", "example.com"),
            ("www", "www.example.com"),
            ("a.b", "a.b.example.com"),
            ("WWW.example.com", "www.example.com"),
            ("www.example.com.", "www.example.com"),
            ("*", "*.example.com"),
            ("_acme-challenge.www", "_acme-challenge.www.example.com"),
            ("bücher", "xn--bcher-kva.example.com"),
            ("notexample.com", "notexample.com.example.com"),
        ];
        for (written, absolute) in cases {
            assert_eq!(
                DomainName::in_zone(written, &zone()).unwrap().as_str(),
                absolute,
                "{written}"
            );
        }
    }

    #[test]
    fn bad_names_are_refused_with_the_reason() {
        let long = "a".repeat(64);
        let cases = [
            ("", "empty"),
            ("a..b", "empty"),
            (".a", "empty"),
            ("a b", "character ' '"),
            ("a.*.b", "leftmost"),
            ("-a", "hyphen"),
            ("www.example.org.", "not within the zone"),
            (long.as_str(), "longer than 63"),
        ];
        for (written, reason) in cases {
            let error = DomainName::in_zone(written, &zone()).unwrap_err();
            assert!(error.contains(reason), "{written:?}: {error}");
        }
        let too_long = vec!["a".repeat(60); 5].join(".");
        assert!(
            DomainName::parse(&too_long)
                .unwrap_err()
                .contains("more than 253")
        );
    }

    #[test]
    fn a_zone_contains_itself_and_what_ends_in_it() {
        assert!(DomainName::parse("example.com").unwrap().is_within(&zone()));
        assert!(
            DomainName::parse("a.example.com")
                .unwrap()
                .is_within(&zone())
        );
        assert!(
            !DomainName::parse("aexample.com")
                .unwrap()
                .is_within(&zone())
        );
        assert!(ZoneName::parse("*.example.com").is_err());
    }

    #[test]
    fn ttl_types_lines_and_bindings_have_limits() {
        assert_eq!(Ttl::new(1).unwrap().seconds(), 1);
        assert_eq!(Ttl::new(0x7fff_ffff).unwrap().seconds(), 0x7fff_ffff);
        for wrong in [0, -1, 0x8000_0000, i64::MAX] {
            assert!(Ttl::new(wrong).is_err(), "{wrong}");
        }
        assert_eq!(RecordType::parse("aaaa").unwrap().as_str(), "AAAA");
        assert!(RecordType::parse("A A").is_err());
        assert_eq!(LineCode::parse("10=0").unwrap().as_str(), "10=0");
        assert!(LineCode::parse("").is_err());
        assert!(LineCode::parse("a b").is_err());
        assert!(BindingName::parse("ali.main-2").is_ok());
        assert!(BindingName::parse("Ali").is_err());
        assert!(BindingName::parse("a/b").is_err());
    }
}
