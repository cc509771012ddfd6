//! The address in a page.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::family::Family;

/// The one address of a family that a page holds. A page that holds several different ones is no
/// answer: there is no telling which is ours. The error is a sentence.
pub(super) fn only_address(page: &str, family: Family) -> Result<IpAddr, String> {
    let found = addresses(page, family);
    let mut found = found.iter();
    match (found.next(), found.next()) {
        (Some(address), None) => Ok(*address),
        (None, _) => Err(format!("the answer holds no {family} address")),
        (Some(first), Some(second)) => Err(format!(
            "the answer holds several addresses, among them {first} and {second}"
        )),
    }
}

/// All addresses of the family that stand by themselves in a text, in whatever markup. One that
/// touches a letter or digit is part of a word (`v1.2.3.4`) and does not count.
fn addresses(text: &str, family: Family) -> BTreeSet<IpAddr> {
    let part = |letter: char| match family {
        Family::Ipv4 => letter.is_ascii_digit() || letter == '.',
        Family::Ipv6 => letter.is_ascii_hexdigit() || letter == ':' || letter == '.',
    };
    let mut found = BTreeSet::new();
    let mut rest = text;
    let mut before = None;
    while let Some(start) = rest.find(part) {
        before = rest[..start].chars().next_back().or(before);
        let run = &rest[start..];
        let end = run.find(|letter| !part(letter)).unwrap_or(run.len());
        let after = run[end..].chars().next();
        let touches = |neighbour: Option<char>| {
            neighbour.is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        };
        if !touches(before) && !touches(after) {
            found.extend(parsed(&run[..end], family));
        }
        before = run[..end].chars().next_back();
        rest = &run[end..];
    }
    found
}

/// An address that punctuation may follow, as at the end of a sentence.
fn parsed(run: &str, family: Family) -> Option<IpAddr> {
    let bare = run.trim_matches('.');
    match family {
        Family::Ipv4 => bare.parse().ok().map(IpAddr::V4),
        Family::Ipv6 => bare.parse().ok().map(IpAddr::V6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_what_sources_answer() {
        let cases = [
            ("8.8.8.8", Family::Ipv4, "8.8.8.8"),
            ("8.8.8.8\n", Family::Ipv4, "8.8.8.8"),
            (
                "当前 IP：8.8.4.4  来自于：中国 上海",
                Family::Ipv4,
                "8.8.4.4",
            ),
            (r#"{"ip":"8.8.8.8"}"#, Family::Ipv4, "8.8.8.8"),
            (
                "<html><body>Current IP Address: 8.8.8.8.</body></html>",
                Family::Ipv4,
                "8.8.8.8",
            ),
            ("8.8.8.8 and again 8.8.8.8", Family::Ipv4, "8.8.8.8"),
            ("2400:3200::1\n", Family::Ipv6, "2400:3200::1"),
            (
                r#"{"ip":"2400:3200:0:0:0:0:0:1"}"#,
                Family::Ipv6,
                "2400:3200::1",
            ),
            (
                "your address: 2400:3200::1, since 12:30:45",
                Family::Ipv6,
                "2400:3200::1",
            ),
        ];
        for (page, family, address) in cases {
            let found = only_address(page, family);
            assert_eq!(found, Ok(address.parse().unwrap()), "{page}");
        }
    }

    #[test]
    fn what_is_no_answer_is_said() {
        let cases = [
            ("", Family::Ipv4, "no ipv4"),
            ("<html>blocked</html>", Family::Ipv4, "no ipv4"),
            ("2400:3200::1", Family::Ipv4, "no ipv4"),
            ("8.8.8.8", Family::Ipv6, "no ipv6"),
            ("1.2.3", Family::Ipv4, "no ipv4"),
            ("1.2.3.4.5", Family::Ipv4, "no ipv4"),
            ("256.1.1.1", Family::Ipv4, "no ipv4"),
            ("jquery-v1.2.3.4", Family::Ipv4, "no ipv4"),
            // Read without its neighbours, this would be the address 6:2400:3200::1.
            ("IPv6:2400:3200::1", Family::Ipv6, "no ipv6"),
            ("12:30:45", Family::Ipv6, "no ipv6"),
            ("8.8.8.8 8.8.4.4", Family::Ipv4, "several"),
        ];
        for (page, family, sentence) in cases {
            let why = only_address(page, family).unwrap_err();
            assert!(why.contains(sentence), "{page}: {why}");
        }
    }
}
