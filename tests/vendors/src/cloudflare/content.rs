//! What the service makes of a record's content: checks, and one way to write it.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::state::{Refusal, invalid};

/// The longest string of a TXT record, in octets.
const MAX_STRING: usize = 255;
/// The largest record on the wire, in octets.
const MAX_WIRE: usize = 4_096;

/// A content as it is kept, from what a request says.
pub(super) fn kept(rtype: &str, content: &str, data: &Value) -> Result<String, Refusal> {
    let wrong = |code, kind: &str| {
        invalid(
            code,
            &format!("Content for {rtype} record must be a valid {kind}."),
        )
    };
    match rtype {
        "A" => match content.parse::<Ipv4Addr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => Err(wrong(9005, "IPv4 address")),
        },
        "AAAA" => match content.parse::<Ipv6Addr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => Err(wrong(9006, "IPv6 address")),
        },
        "CNAME" | "NS" | "PTR" => host_name(content).ok_or_else(|| wrong(9007, "hostname")),
        "MX" => host_name(content).ok_or_else(|| wrong(9009, "hostname")),
        "TXT" => text(content),
        "SRV" => {
            let number = |name: &str| data[name].as_u64().filter(|it| *it <= 65_535);
            let parts = (number("priority"), number("weight"), number("port"));
            let (Some(priority), Some(weight), Some(port)) = parts else {
                return Err(invalid(
                    9101,
                    "priority, weight and port are required data fields.",
                ));
            };
            let target = data["target"].as_str().and_then(host_name);
            let target = target.ok_or_else(|| invalid(9101, "target is a required data field."))?;
            Ok(format!("{priority} {weight} {port} {target}"))
        }
        "CAA" => {
            let flags = data["flags"].as_u64().filter(|it| *it <= 255);
            let (Some(flags), Some(tag), Some(value)) =
                (flags, data["tag"].as_str(), data["value"].as_str())
            else {
                return Err(invalid(
                    9101,
                    "flags, tag and value are required data fields.",
                ));
            };
            if !matches!(
                tag,
                "issue" | "issuewild" | "iodef" | "issuemail" | "issuevmc"
            ) {
                return Err(invalid(9101, "tag is not a known property."));
            }
            Ok(format!("{flags} {tag} {value:?}"))
        }
        _ => Err(invalid(9000, "DNS record type is invalid.")),
    }
}

fn host_name(text: &str) -> Option<String> {
    if text == "." {
        return Some(text.to_owned());
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_lowercase();
    let fits = |label: &str| (1..=63).contains(&label.len()) && !label.contains([' ', '"']);
    (name.len() <= 253 && name.split('.').all(fits)).then_some(name)
}

/// A TXT content: character-strings in quotation marks. Strings that are too long are split.
fn text(content: &str) -> Result<String, Refusal> {
    let strings = strings(content)
        .ok_or_else(|| invalid(9207, "Content for TXT record must be quoted strings."))?;
    let wire: usize = strings.iter().map(|string| string.len() + 1).sum();
    if wire > MAX_WIRE {
        return Err(invalid(
            9207,
            "Content for TXT record exceeds the maximum size.",
        ));
    }
    if strings.iter().all(|string| string.len() <= MAX_STRING) {
        return Ok(content.to_owned());
    }
    let pieces = strings.iter().flat_map(|string| string.chunks(MAX_STRING));
    Ok(pieces.map(quoted).collect::<Vec<_>>().join(" "))
}

fn strings(content: &str) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    let mut bytes = content.bytes().peekable();
    loop {
        while bytes.next_if_eq(&b' ').is_some() {}
        match bytes.next() {
            None => return (!strings.is_empty()).then_some(strings),
            Some(b'"') => {}
            Some(_) => return None,
        }
        let mut string = Vec::new();
        loop {
            match bytes.next()? {
                b'"' => break,
                b'\\' => {
                    let first = bytes.next()?;
                    if !first.is_ascii_digit() {
                        string.push(first);
                        continue;
                    }
                    let digits = [first, bytes.next()?, bytes.next()?];
                    let number = std::str::from_utf8(&digits).ok()?;
                    string.push(number.parse().ok()?);
                }
                plain => string.push(plain),
            }
        }
        strings.push(string);
    }
}

fn quoted(octets: &[u8]) -> String {
    let mut text = String::from('"');
    for octet in octets {
        match octet {
            b'"' | b'\\' => text.extend(['\\', char::from(*octet)]),
            0x20..=0x7e => text.push(char::from(*octet)),
            _ => text.push_str(&format!("\\{octet:03}")),
        }
    }
    text.push('"');
    text
}
