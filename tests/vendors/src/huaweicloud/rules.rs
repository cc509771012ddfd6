//! What a record set can be, by the vendor's rules for types and conflicts.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::state::{HuaweiSet, Refusal, refuse};

/// The types of public zones that can be written.
const TYPES: [&str; 8] = ["A", "AAAA", "MX", "CNAME", "TXT", "NS", "SRV", "CAA"];
/// The most values of one set.
const MAX_RECORDS: usize = 50;
/// The most weighted sets of one name, type and line.
const MAX_WEIGHTED: usize = 20;

/// Can the set stand in its zone, beside these others?
pub(super) fn check(set: &HuaweiSet, others: &[HuaweiSet]) -> Result<(), Refusal> {
    let within =
        set.name == format!("{}.", set.zone) || set.name.ends_with(&format!(".{}.", set.zone));
    if !within || set.name.len() > 254 {
        return refuse(400, "DNS.0304", "Invalid record set name.");
    }
    if !TYPES.contains(&set.rtype.as_str()) {
        return refuse(400, "DNS.0307", "Invalid record set type.");
    }
    if set.description.chars().count() > 255 {
        let message = "Invalid record set description. The description can contain a maximum of 255 characters.";
        return refuse(400, "DNS.0305", message);
    }
    if !(1..=2_147_483_647).contains(&set.ttl) {
        let message =
            "The TTL parameter has been out of range. The value ranges from 1 to 2147483647.";
        return refuse(400, "DNS.0319", message);
    }
    if set.weight.is_some_and(|weight| weight > 1_000) {
        return refuse(400, "DNS.0323", "Invalid weight value for the record set.");
    }
    let mut distinct = set.records.clone();
    distinct.sort();
    distinct.dedup();
    let most = if set.rtype == "CNAME" { 1 } else { MAX_RECORDS };
    let fits = (1..=most).contains(&set.records.len()) && distinct.len() == set.records.len();
    if !fits
        || !set
            .records
            .iter()
            .all(|record| is_value(&set.rtype, record))
    {
        return refuse(400, "DNS.0308", "Invalid record set value.");
    }

    // Those that are being deleted count: the service has not let go of them yet.
    let beside: Vec<&HuaweiSet> = others
        .iter()
        .filter(|other| {
            other.id != set.id
                && other.zone == set.zone
                && other.name == set.name
                && other.line == set.line
        })
        .collect();
    let alike = beside
        .iter()
        .filter(|other| other.rtype == set.rtype)
        .count();
    if alike >= MAX_WEIGHTED {
        let message = "The number of record sets of the same name, type, and resolution line exceeds the limit.";
        return refuse(400, "DNS.0324", message);
    }
    let clashing = beside.iter().find(|other| {
        exclude_each_other(set, other) || other.rtype == set.rtype && set.weight.is_none()
    });
    match clashing {
        Some(other) => refuse(
            400,
            "DNS.0312",
            format!(
                "Attribute 'name' conflicts with Record Set '{}' type '{}' in line '{}'.",
                other.name, other.rtype, other.line
            ),
        ),
        None => Ok(()),
    }
}

/// A CNAME stands alone on its line, but at the zone's own name beside what a zone must have.
fn exclude_each_other(one: &HuaweiSet, other: &HuaweiSet) -> bool {
    let (alias, plain) = match (one.rtype.as_str(), other.rtype.as_str()) {
        ("CNAME", plain) | (plain, "CNAME") if plain != "CNAME" => (one, plain),
        _ => return false,
    };
    let at_apex = alias.name == format!("{}.", alias.zone);
    !(at_apex && matches!(plain, "NS" | "SOA" | "MX" | "TXT"))
}

fn is_value(rtype: &str, record: &str) -> bool {
    let parts: Vec<&str> = record.split(' ').collect();
    match rtype {
        "A" => record.parse::<Ipv4Addr>().is_ok(),
        "AAAA" => record.parse::<Ipv6Addr>().is_ok(),
        "CNAME" | "NS" => is_host(record),
        "MX" => matches!(parts.as_slice(), [n, host] if is_number(n) && is_host(host)),
        "SRV" => matches!(
            parts.as_slice(),
            [a, b, c, host] if [a, b, c].iter().all(|n| is_number(n)) && is_host(host)
        ),
        "CAA" => {
            let value = record.splitn(3, ' ').collect::<Vec<_>>();
            matches!(
                value.as_slice(),
                [flags, tag, value] if flags.parse::<u8>().is_ok()
                    && ["issue", "issuewild", "iodef"].contains(tag)
                    && value.len() > 2 && value.starts_with('"') && value.ends_with('"')
            )
        }
        "TXT" => is_text(record),
        _ => false,
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

fn is_host(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    !name.is_empty()
        && name.is_ascii()
        && name.split('.').all(|label| (1..=63).contains(&label.len()))
        && !name.contains(' ')
}

/// One or more strings in quotation marks, a space between them, each of up to 255 characters, 4,096 in
/// all, and no backslash.
fn is_text(record: &str) -> bool {
    if record.contains('\\') || record.chars().count() > 4_096 {
        return false;
    }
    let Some(inside) = record
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return false;
    };
    inside
        .split("\" \"")
        .all(|text| (1..=255).contains(&text.chars().count()) && !text.contains('"'))
}
