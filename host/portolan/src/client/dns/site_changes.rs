//! What `portolan dns sites set` changes, and how its flags say it.

use std::net::IpAddr;

use clap::Args;
use portolan_steering::{Family, LineCode};
use serde_json::{Value, json};

use super::check::CheckFlags;
use super::documents::Fields;

/// The word that takes something away.
pub(super) const NONE: &str = "none";

/// A site's fields. What is not given stays as it is.
#[derive(Debug, Default, Args)]
pub struct SiteChanges {
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// The member of the group that stands there
    #[arg(long, value_name = "ID|none", value_parser = number)]
    member: Option<Value>,
    /// A line that it serves, with its priority (the lowest first); all of them, one flag for each
    #[arg(long = "line", value_name = "LINE[:PRIORITY]|none", value_parser = line)]
    lines: Vec<Value>,
    /// How soon it takes over a line of others (the lowest first); none for never
    #[arg(long, value_name = "N|none", value_parser = number)]
    fallback: Option<Value>,
    /// Its IPv4 addresses, or {"detect":[...]} to have them found
    #[arg(long, value_name = "IP,...|JSON|none", value_parser = ipv4)]
    ipv4: Option<Value>,
    /// Its IPv6 addresses, or {"detect":[...]} to have them found
    #[arg(long, value_name = "IP,...|JSON|none", value_parser = ipv6)]
    ipv6: Option<Value>,
    /// Where it is checked, if not at the addresses in its records
    #[arg(long, value_name = "IP|none", value_parser = address)]
    check_address: Option<Value>,
    /// Its share where several sites serve a line at the same time
    #[arg(long, value_name = "N|none", value_parser = number)]
    weight: Option<Value>,
}

impl SiteChanges {
    /// The changes by field.
    pub(super) fn fields(self, check: CheckFlags) -> Fields {
        let mut changes = Fields::new();
        let mut set = |field: &str, value: Option<Value>| {
            if let Some(value) = value {
                changes.insert(field.to_owned(), value);
            }
        };
        set("name", self.name.map(Value::from));
        set("member", self.member);
        set("lines", lines(self.lines));
        set("fallback", self.fallback);
        set("check_address", self.check_address);
        set("weight", self.weight);
        let families = [(Family::Ipv4, self.ipv4), (Family::Ipv6, self.ipv6)];
        let given = families
            .into_iter()
            .filter_map(|(family, addresses)| Some((family.to_string(), addresses?)));
        let given: Fields = given.collect();
        set("addresses", (!given.is_empty()).then(|| given.into()));
        check.add_to(&mut changes);
        changes
    }
}

/// `none` among the lines stands for no line.
fn lines(given: Vec<Value>) -> Option<Value> {
    let any = !given.is_empty();
    let lines = given.into_iter().filter(|line| !line.is_null());
    let lines: Vec<Value> = lines.collect();
    any.then(|| lines.into())
}

/// `CT`, or `CT:10`. A provider's own codes may hold a colon, so only a number after the last one is a
/// priority.
fn line(text: &str) -> Result<Value, String> {
    if text == NONE {
        return Ok(Value::Null);
    }
    let parts = text.rsplit_once(':');
    let priority = parts.and_then(|(code, number)| Some((code, number.parse::<u32>().ok()?)));
    match priority {
        Some((code, priority)) => Ok(json!({"line": LineCode::parse(code)?, "priority": priority})),
        None => Ok(json!(LineCode::parse(text)?)),
    }
}

/// A number, or `none`.
fn number(text: &str) -> Result<Value, String> {
    match text {
        NONE => Ok(Value::Null),
        number => match number.parse::<u32>() {
            Ok(number) => Ok(number.into()),
            Err(error) => Err(format!("{error}; write a number or none")),
        },
    }
}

/// An address, or `none`.
fn address(text: &str) -> Result<Value, String> {
    match text {
        NONE => Ok(Value::Null),
        address => match address.parse::<IpAddr>() {
            Ok(address) => Ok(address.to_string().into()),
            Err(error) => Err(format!("{error}; write an address or none")),
        },
    }
}

fn ipv4(text: &str) -> Result<Value, String> {
    addresses(Family::Ipv4, text)
}

fn ipv6(text: &str) -> Result<Value, String> {
    addresses(Family::Ipv6, text)
}

/// Addresses of one family, the way to find them, or `none`.
fn addresses(family: Family, text: &str) -> Result<Value, String> {
    if text == NONE {
        return Ok(Value::Null);
    }
    if text.starts_with('{') {
        return serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"));
    }
    let one = |text: &str| match text.trim().parse::<IpAddr>() {
        Ok(address) if Family::of(address) == family => Ok(address.to_string().into()),
        Ok(address) => Err(format!("{address} is not an {family} address")),
        Err(error) => Err(format!("{text:?}: {error}")),
    };
    let addresses: Vec<Value> = text.split(',').map(one).collect::<Result<_, String>>()?;
    Ok(addresses.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_priorities_and_addresses_a_family() {
        assert_eq!(line("CT"), Ok(json!("CT")));
        assert_eq!(line("CT:10"), Ok(json!({"line": "CT", "priority": 10})));
        assert_eq!(line("a:b"), Ok(json!("a:b")));
        assert!(line("").is_err() && line("a b").is_err());
        let v4 = addresses(Family::Ipv4, "192.0.2.1, 192.0.2.2");
        assert_eq!(v4, Ok(json!(["192.0.2.1", "192.0.2.2"])));
        let wrong = addresses(Family::Ipv6, "192.0.2.1").unwrap_err();
        assert_eq!(wrong, "192.0.2.1 is not an ipv6 address");
        assert!(addresses(Family::Ipv4, "192.0.2.1,").is_err());
        let found = addresses(Family::Ipv4, r#"{"detect": []}"#);
        assert_eq!(found, Ok(json!({"detect": []})));
    }

    #[test]
    fn only_what_was_given_is_changed() {
        assert_eq!(
            SiteChanges::default().fields(CheckFlags::default()),
            Fields::new()
        );
        let changes = SiteChanges {
            lines: vec![line("CT:10").unwrap(), line("default").unwrap()],
            fallback: number(NONE).ok(),
            ipv6: addresses(Family::Ipv6, NONE).ok(),
            ..SiteChanges::default()
        };
        let expected = json!({"lines": [{"line": "CT", "priority": 10}, "default"],
                              "fallback": null, "addresses": {"ipv6": null}});
        assert_eq!(Value::from(changes.fields(CheckFlags::default())), expected);
        let changes = SiteChanges {
            lines: vec![Value::Null],
            ..SiteChanges::default()
        };
        let expected = json!({"lines": []});
        assert_eq!(Value::from(changes.fields(CheckFlags::default())), expected);
    }
}
