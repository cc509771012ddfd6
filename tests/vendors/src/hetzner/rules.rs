//! What the service takes.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::state::{HetznerRecord, HetznerRrSet, Zone};

const TYPES: [&str; 16] = [
    "A", "AAAA", "CAA", "CNAME", "DS", "HINFO", "HTTPS", "MX", "NS", "PTR", "RP", "SOA", "SRV",
    "SVCB", "TLSA", "TXT",
];
const TTLS: std::ops::RangeInclusive<u64> = 60..=2_147_483_647;
/// The most characters of one string of a TXT record.
const MAX_STRING: usize = 255;

/// The field and what is wrong with it.
pub(super) type Wrong = (&'static str, String);

pub(super) fn name(name: &str, zone: &str) -> Result<(), Wrong> {
    let wrong = |why: &str| Err(("name", format!("`{name}` {why}")));
    if name == "@" {
        return Ok(());
    }
    if name.is_empty() || name.ends_with('.') {
        return wrong("is empty or ends with a dot");
    }
    if name == zone || name.ends_with(&format!(".{zone}")) {
        return wrong("ends with the name of the zone");
    }
    let fits = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && byte != b'@';
    if !name.bytes().all(fits) {
        return wrong("is not in lower case or not in its ASCII form");
    }
    let labels = name.split('.').all(|label| (1..=63).contains(&label.len()));
    if labels {
        Ok(())
    } else {
        wrong("has a label of a wrong length")
    }
}

pub(super) fn rtype(rtype: &str) -> Result<(), Wrong> {
    if TYPES.contains(&rtype) {
        Ok(())
    } else {
        Err(("type", format!("`{rtype}` is not allowed")))
    }
}

pub(super) fn ttl(ttl: &Value) -> Result<Option<u32>, Wrong> {
    if ttl.is_null() {
        return Ok(None);
    }
    let seconds = ttl.as_u64().filter(|seconds| TTLS.contains(seconds));
    let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
    let wrong = || ("ttl", "must be between 60s and 2147483647s".to_owned());
    seconds.map(Some).ok_or_else(wrong)
}

pub(super) fn records(rtype: &str, records: &Value) -> Result<Vec<HetznerRecord>, Wrong> {
    let wrong = |why: String| ("records", why);
    let given = records.as_array().filter(|records| !records.is_empty());
    let given = given.ok_or_else(|| wrong("must not be empty".to_owned()))?;
    let mut read: Vec<HetznerRecord> = Vec::new();
    for record in given {
        let value = record["value"].as_str().unwrap_or_default().to_owned();
        if !fits(rtype, &value) {
            return Err(wrong(format!("`{value}` is not a value of type {rtype}")));
        }
        if read.iter().any(|other| other.value == value) {
            return Err(wrong(format!("`{value}` is not distinct")));
        }
        let comment = record["comment"]
            .as_str()
            .filter(|comment| !comment.is_empty());
        let comment = comment.map(str::to_owned);
        read.push(HetznerRecord { value, comment });
    }
    if rtype == "CNAME" && read.len() > 1 {
        return Err(wrong("a CNAME has one record".to_owned()));
    }
    Ok(read)
}

/// Whether a CNAME would stand beside another set.
pub(super) fn clash(zone: &Zone, new: &HetznerRrSet) -> Result<(), Wrong> {
    let clashes = |other: &HetznerRrSet| {
        other.name == new.name && (other.rtype == "CNAME") != (new.rtype == "CNAME")
    };
    if zone.rrsets.values().any(clashes) {
        return Err((
            "type",
            "a CNAME and other types exclude each other".to_owned(),
        ));
    }
    Ok(())
}

fn fits(rtype: &str, value: &str) -> bool {
    let host = |text: &str| {
        let name = text.strip_suffix('.').unwrap_or(text);
        let labels = name.split('.').all(|label| (1..=63).contains(&label.len()));
        text == "." || text == "@" || (labels && name.len() <= 253 && !name.contains(['"', ' ']))
    };
    let numbers_and_host = |numbers: usize| {
        let parts: Vec<&str> = value.split(' ').collect();
        let split = parts.split_last();
        split.is_some_and(|(last, first)| {
            let all_numbers = first.iter().all(|number| number.parse::<u16>().is_ok());
            first.len() == numbers && all_numbers && host(last)
        })
    };
    match rtype {
        "A" => value.parse::<Ipv4Addr>().is_ok(),
        "AAAA" => value.parse::<Ipv6Addr>().is_ok(),
        "CNAME" | "NS" | "PTR" => host(value),
        "MX" => numbers_and_host(1),
        "SRV" => numbers_and_host(3),
        "TXT" => quoted_strings(value).is_some_and(|count| count > 0),
        "CAA" => {
            let mut parts = value.splitn(3, ' ');
            let flags = parts
                .next()
                .is_some_and(|flags| flags.parse::<u8>().is_ok());
            let tag = parts
                .next()
                .is_some_and(|tag| tag.bytes().all(|b| b.is_ascii_alphanumeric()));
            let rest = parts.next().and_then(quoted_strings);
            flags && tag && rest == Some(1)
        }
        _ => !value.is_empty(),
    }
}

/// How many quoted strings of allowed length these are; none where they are something else.
fn quoted_strings(text: &str) -> Option<usize> {
    let mut count = 0;
    let mut rest = text.as_bytes();
    while let [b'"', inside @ ..] = rest {
        let mut length = 0;
        rest = inside;
        loop {
            rest = match rest {
                [b'"', after @ ..] => break rest = after,
                [b'\\', a, b, c, after @ ..] if [a, b, c].iter().all(|d| d.is_ascii_digit()) => {
                    after
                }
                [b'\\', escaped, after @ ..] if !escaped.is_ascii_digit() => after,
                [b'\\', ..] | [] => return None,
                [_, after @ ..] => after,
            };
            length += 1;
        }
        if length > MAX_STRING {
            return None;
        }
        count += 1;
        rest = rest.trim_ascii_start();
    }
    rest.is_empty().then_some(count)
}
