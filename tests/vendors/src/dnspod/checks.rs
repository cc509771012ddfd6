//! What values, lines and packages there are.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::state::{Refusal, refuse};

/// A package: its code, the smallest TTL, and the most enabled records of one name, type and line. The
/// figures are of the order of the real ones.
pub(super) const PACKAGES: [(&str, u32, usize); 3] = [
    ("DP_Free", 600, 2),
    ("DP_Plus", 120, 10),
    ("DP_Ultra", 1, 60),
];

/// Ids and names of lines. The last two are no lines that other providers have; the last one is of the
/// account's own and has a name that misleads.
pub(super) const LINES: [(&str, &str); 8] = [
    ("0", "默认"),
    ("10=0", "电信"),
    ("10=1", "联通"),
    ("10=3", "移动"),
    ("10=2", "教育网"),
    ("3=0", "境外"),
    ("10=22", "浙江电信"),
    ("80=7", "default"),
];

/// The types of records.
const TYPES: [&str; 13] = [
    "A",
    "AAAA",
    "CAA",
    "CNAME",
    "HTTPS",
    "MX",
    "NS",
    "SPF",
    "SRV",
    "TXT",
    "SVCB",
    "显性URL",
    "隐性URL",
];

/// The name of the line with this id.
pub(super) fn line_name(id: &str) -> &'static str {
    let line = LINES.iter().find(|(known, _)| *known == id);
    line.expect("a line that there is").1
}

/// The id of a line by its id, which comes first, or its name.
pub(super) fn line_id(id: Option<&str>, name: &str) -> Result<String, Refusal> {
    let line = match id {
        Some(id) => LINES.iter().find(|(known, _)| *known == id),
        None => LINES.iter().find(|(_, known)| *known == name),
    };
    match line {
        Some((id, _)) => Ok((*id).to_owned()),
        None => refuse("InvalidParameter.RecordLineInvalid", "记录线路不正确。"),
    }
}

/// The value as the service keeps it: with trailing dots on host names.
pub(super) fn as_kept(rtype: &str, value: &str) -> String {
    match rtype {
        "CNAME" | "MX" | "NS" | "SRV" if !value.ends_with('.') => format!("{value}."),
        _ => value.to_owned(),
    }
}

/// Is this a value of this type?
pub(super) fn check_value(rtype: &str, value: &str) -> Result<(), Refusal> {
    if !TYPES.contains(&rtype) {
        return refuse("InvalidParameter.RecordTypeInvalid", "记录类型不正确。");
    }
    let is_number = |text: &str| text.parse::<u16>().is_ok();
    let is_fine = match rtype {
        "A" => value.parse::<Ipv4Addr>().is_ok(),
        "AAAA" => value.parse::<Ipv6Addr>().is_ok(),
        "CNAME" | "MX" | "NS" => is_host(value),
        "SRV" => match value.split(' ').collect::<Vec<_>>().as_slice() {
            [numbers @ .., host] => {
                numbers.len() == 3 && numbers.iter().all(|n| is_number(n)) && is_host(host)
            }
            [] => false,
        },
        "CAA" => match value.splitn(3, ' ').collect::<Vec<_>>().as_slice() {
            [flags, tag, value] => {
                flags.parse::<u8>().is_ok()
                    && ["issue", "issuewild", "iodef"].contains(tag)
                    && value.len() > 2
                    && value.starts_with('"')
                    && value.ends_with('"')
            }
            _ => false,
        },
        _ => !value.trim().is_empty(),
    };
    if is_fine {
        Ok(())
    } else {
        refuse("InvalidParameter.RecordValueInvalid", "记录的值不正确。")
    }
}

/// Is this a name relative to a zone?
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    let below_star = name.strip_prefix("*.").unwrap_or(name);
    if name == "@" || name == "*" || is_host(below_star) {
        Ok(())
    } else {
        refuse("InvalidParameter.SubdomainInvalid", "子域名不正确。")
    }
}

fn is_host(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    name.len() <= 253
        && name
            .split('.')
            .all(|label| (1..=63).contains(&label.len()) && label.bytes().all(fits))
}
