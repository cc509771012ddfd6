//! What is in records: contents as the daemon writes them, and octets as they travel.

use std::net::{Ipv4Addr, Ipv6Addr};

use portolan_plugin::content::{canonical, txt_of_strings, txt_strings};

use crate::name;

/// The types that are read and written, and their numbers.
pub(crate) const TYPES: [(&str, u16); 9] = [
    ("A", 1),
    ("AAAA", 28),
    ("CAA", 257),
    ("CNAME", CNAME),
    ("MX", 15),
    ("NS", NS),
    ("PTR", 12),
    ("SRV", 33),
    ("TXT", 16),
];
/// A nameserver of a zone.
pub(crate) const NS: u16 = 2;
/// An alias, which stands alone at its name.
pub(crate) const CNAME: u16 = 5;
/// The record that a zone begins with.
pub(crate) const SOA: u16 = 6;

/// The number of a type.
pub(crate) fn code(rtype: &str) -> Option<u16> {
    let known = TYPES.iter().find(|(name, _)| *name == rtype);
    known.map(|(_, code)| *code)
}

/// The type of a number.
pub(crate) fn rtype(code: u16) -> Option<&'static str> {
    let known = TYPES.iter().find(|(_, number)| *number == code);
    known.map(|(name, _)| *name)
}

/// Where a type's data ends in a host name: how many octets stand before it.
fn octets_before_host(rtype: &str) -> Option<usize> {
    match rtype {
        "CNAME" | "NS" | "PTR" => Some(0),
        "MX" => Some(2),
        "SRV" => Some(6),
        _ => None,
    }
}

/// The data of a record in a message, from `start` to `end`, without pointers to other places of it.
pub(crate) fn expand(rtype: &str, message: &[u8], start: usize, end: usize) -> Option<Vec<u8>> {
    let Some(before) = octets_before_host(rtype) else {
        return Some(message.get(start..end)?.to_vec());
    };
    let (host, after) = name::decode(message, start + before)?;
    let mut data = message.get(start..start + before)?.to_vec();
    data.extend(host);
    (after == end).then_some(data)
}

/// The content of a record; none where the daemon could not write it back.
pub(crate) fn content(rtype: &str, data: &[u8]) -> Option<String> {
    if let Some(before) = octets_before_host(rtype) {
        let (numbers, host) = data.split_at_checked(before)?;
        let mut text = String::new();
        for number in numbers.chunks_exact(2) {
            text.push_str(&format!("{} ", u16::from_be_bytes([number[0], number[1]])));
        }
        text.push_str(&name::text(host)?);
        return Some(text);
    }
    match rtype {
        "A" => Some(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).to_string()),
        "AAAA" => Some(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).to_string()),
        "TXT" => Some(txt_of_strings(&strings(data)?)),
        "CAA" => authority(data),
        _ => None,
    }
}

fn strings(mut data: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    while let Some((&length, after)) = data.split_first() {
        let (string, after) = after.split_at_checked(usize::from(length))?;
        strings.push(string.to_vec());
        data = after;
    }
    (!strings.is_empty()).then_some(strings)
}

fn authority(data: &[u8]) -> Option<String> {
    let [flags, length, rest @ ..] = data else {
        return None;
    };
    let (tag, value) = rest.split_at_checked(usize::from(*length))?;
    if tag.is_empty() || !tag.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    let value = txt_of_strings(&[value.to_vec()]);
    let tag = String::from_utf8_lossy(tag);
    canonical("CAA", &format!("{flags} {tag} {value}")).ok()
}

/// The octets of a canonical content; none where it does not fit the type.
pub(crate) fn encode(rtype: &str, content: &str) -> Option<Vec<u8>> {
    if octets_before_host(rtype).is_some() {
        let mut parts = content.split(' ');
        let host = parts.next_back()?;
        let mut data = Vec::new();
        for number in parts {
            data.extend(number.parse::<u16>().ok()?.to_be_bytes());
        }
        data.extend(name::encode(host)?);
        return Some(data);
    }
    match rtype {
        "A" => Some(content.parse::<Ipv4Addr>().ok()?.octets().to_vec()),
        "AAAA" => Some(content.parse::<Ipv6Addr>().ok()?.octets().to_vec()),
        "TXT" => {
            let mut data = Vec::new();
            for string in txt_strings(content).ok()? {
                data.push(u8::try_from(string.len()).ok()?);
                data.extend(string);
            }
            Some(data)
        }
        "CAA" => {
            let (flags, rest) = content.split_once(' ')?;
            let (tag, value) = rest.split_once(' ')?;
            let mut data = vec![flags.parse().ok()?, u8::try_from(tag.len()).ok()?];
            data.extend_from_slice(tag.as_bytes());
            data.extend(txt_strings(value).ok()?.concat());
            Some(data)
        }
        _ => None,
    }
}
