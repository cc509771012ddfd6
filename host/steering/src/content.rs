//! Record contents: checked by type and brought into one spelling, so that the same data compares
//! equal however it was written.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::names::{RecordType, host_name};

/// Enough for the longest keys in TXT records; keeps one record from filling a document.
const MAX_CONTENT: usize = 8 * 1024;
/// RFC 1035 §3.3: the length of one character-string.
const MAX_STRING: usize = 255;

/// Checks `text` as the content of a record of type `rtype` and answers its one spelling, in the
/// presentation format that the plugins' contract speaks. Types that are not known here pass with a
/// check of form alone: their provider knows them.
pub fn canonical(rtype: &RecordType, text: &str) -> Result<String, String> {
    let trimmed = text.trim();
    if trimmed.is_empty() && !rtype.is("TXT") {
        return Err("is empty".to_owned());
    }
    if text.len() > MAX_CONTENT {
        return Err(format!("has {} bytes, more than {MAX_CONTENT}", text.len()));
    }
    match rtype.as_str() {
        "A" => trimmed
            .parse::<Ipv4Addr>()
            .map(|address| address.to_string())
            .map_err(|_| format!("`{text}` is not an IPv4 address")),
        "AAAA" => ipv6(trimmed),
        "CNAME" | "NS" | "PTR" | "DNAME" | "ALIAS" => named_host(trimmed),
        "MX" => fields(trimmed, "MX", &[Field::U16("preference"), Field::Host]),
        "SRV" => fields(
            trimmed,
            "SRV",
            &[
                Field::U16("priority"),
                Field::U16("weight"),
                Field::U16("port"),
                Field::Host,
            ],
        ),
        "TXT" | "SPF" => strings(text),
        "CAA" => caa(trimmed),
        "SOA" => Err("the zone's SOA is its provider's own; leave it out".to_owned()),
        _ if text.chars().any(char::is_control) => Err("holds control characters".to_owned()),
        _ => Ok(trimmed.to_owned()),
    }
}

fn ipv6(text: &str) -> Result<String, String> {
    let address: Ipv6Addr = text
        .parse()
        .map_err(|_| format!("`{text}` is not an IPv6 address"))?;
    match address.to_ipv4_mapped() {
        Some(inner) => Err(format!(
            "`{text}` is the IPv4 address {inner}; use an A record"
        )),
        None => Ok(address.to_string()),
    }
}

fn named_host(text: &str) -> Result<String, String> {
    match host_name(text)?.as_str() {
        "." => Err("`.` is not a host".to_owned()),
        host => Ok(host.to_owned()),
    }
}

/// One blank-separated field of a content.
enum Field {
    U16(&'static str),
    Host,
}

fn fields(text: &str, rtype: &str, shape: &[Field]) -> Result<String, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() != shape.len() {
        let expected: Vec<&str> = shape
            .iter()
            .map(|field| match field {
                Field::U16(name) => *name,
                Field::Host => "host",
            })
            .collect();
        return Err(format!(
            "`{text}` is not an {rtype} value; write `{}`",
            expected.join(" ")
        ));
    }
    let checked: Result<Vec<String>, String> = shape
        .iter()
        .zip(&words)
        .map(|(field, word)| match field {
            Field::U16(name) => word
                .parse::<u16>()
                .map(|number| number.to_string())
                .map_err(|_| format!("the {name} `{word}` is not a number from 0 to 65535")),
            Field::Host => host_name(word),
        })
        .collect();
    Ok(checked?.join(" "))
}

/// RFC 8659 §4: `flags tag value`.
fn caa(text: &str) -> Result<String, String> {
    let malformed = || format!("`{text}` is not a CAA value; write `0 issue \"ca.example.net\"`");
    let (flags, rest) = text.split_once(char::is_whitespace).ok_or_else(malformed)?;
    let (tag, value) = rest
        .trim_start()
        .split_once(char::is_whitespace)
        .ok_or_else(malformed)?;
    let flags: u8 = flags.parse().map_err(|_| malformed())?;
    if tag.is_empty() || !tag.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(malformed());
    }
    let value = character_strings(value.trim())?.concat();
    Ok(format!(
        "{flags} {} {}",
        tag.to_ascii_lowercase(),
        quoted(&value)
    ))
}

/// A TXT content: what begins with a quote is presentation format, one string or several; anything
/// else is the bare value, which is quoted here and cut where it is longer than one string can be.
fn strings(text: &str) -> Result<String, String> {
    let strings = character_strings(text)?;
    Ok(strings
        .iter()
        .map(|string| quoted(string))
        .collect::<Vec<_>>()
        .join(" "))
}

fn character_strings(text: &str) -> Result<Vec<Vec<u8>>, String> {
    if !text.trim_start().starts_with('"') {
        let bytes = text.as_bytes();
        return Ok(match bytes.is_empty() {
            true => vec![Vec::new()],
            false => bytes.chunks(MAX_STRING).map(<[u8]>::to_vec).collect(),
        });
    }
    let mut strings = Vec::new();
    let mut rest = text.trim().as_bytes();
    while !rest.is_empty() {
        let (string, after) = quoted_string(rest).map_err(|why| format!("`{text}`: {why}"))?;
        if string.len() > MAX_STRING {
            return Err(format!(
                "a quoted string has {} bytes, more than {MAX_STRING}; split it into several",
                string.len()
            ));
        }
        strings.push(string);
        rest = after.trim_ascii_start();
    }
    Ok(strings)
}

/// Reads one `"…"` with its escapes (RFC 1035 §5.1) from the front of `text`.
fn quoted_string(text: &[u8]) -> Result<(Vec<u8>, &[u8]), String> {
    let [b'"', rest @ ..] = text else {
        return Err("text between or after the quoted strings".to_owned());
    };
    let mut rest = rest;
    let mut string = Vec::new();
    loop {
        match rest {
            [b'"', after @ ..] => return Ok((string, after)),
            [
                b'\\',
                a @ b'0'..=b'9',
                b @ b'0'..=b'9',
                c @ b'0'..=b'9',
                after @ ..,
            ] => {
                let code = [a, b, c]
                    .iter()
                    .fold(0u16, |sum, d| sum * 10 + u16::from(**d - b'0'));
                string.push(u8::try_from(code).map_err(|_| format!("\\{code} is above \\255"))?);
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                string.push(*escaped);
                rest = after;
            }
            [byte, after @ ..] => {
                string.push(*byte);
                rest = after;
            }
            [] => return Err("the closing quote is missing".to_owned()),
        }
    }
}

fn quoted(string: &[u8]) -> String {
    let mut text = String::with_capacity(string.len() + 2);
    text.push('"');
    for byte in string {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(*byte));
            }
            0x20..=0x7e => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\{other:03}")),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(rtype: &str, text: &str) -> Result<String, String> {
        canonical(&RecordType::parse(rtype).unwrap(), text)
    }

    #[test]
    fn each_type_has_one_spelling() {
        let cases = [
            ("A", " 192.0.2.1 ", "192.0.2.1"),
            ("AAAA", "2001:DB8:0:0::1", "2001:db8::1"),
            ("CNAME", "WWW.Example.net.", "www.example.net"),
            ("MX", "10   Mail.example.com.", "10 mail.example.com"),
            ("MX", "0 .", "0 ."),
            (
                "SRV",
                "0 5 5060 sip.example.com.",
                "0 5 5060 sip.example.com",
            ),
            ("TXT", "v=spf1 -all", "\"v=spf1 -all\""),
            ("TXT", "\"v=spf1 -all\"", "\"v=spf1 -all\""),
            ("TXT", "\"a\"   \"b\"", "\"a\" \"b\""),
            ("TXT", "say \"hi\"", "\"say \\\"hi\\\"\""),
            ("TXT", "\"\\065\\\"\"", "\"A\\\"\""),
            ("TXT", "é", "\"\\195\\169\""),
            ("TXT", "", "\"\""),
            (
                "CAA",
                "0 ISSUE ca.example.net",
                "0 issue \"ca.example.net\"",
            ),
            ("TLSA", " 3 1 1 ab ", "3 1 1 ab"),
        ];
        for (rtype, written, spelling) in cases {
            assert_eq!(
                check(rtype, written).unwrap(),
                spelling,
                "{rtype} {written}"
            );
        }
    }

    #[test]
    fn wrong_contents_are_refused_with_the_reason() {
        let cases = [
            ("A", "1.2.3", "not an IPv4"),
            ("A", "010.0.0.1", "not an IPv4"),
            ("AAAA", "1.2.3.4", "not an IPv6"),
            ("AAAA", "::ffff:1.2.3.4", "use an A record"),
            ("CNAME", "", "empty"),
            ("CNAME", "a b", "character"),
            ("CNAME", "*.example.com", "wildcard"),
            ("CNAME", ".", "not a host"),
            ("MX", "mail.example.com", "preference host"),
            ("MX", "70000 mail.example.com", "0 to 65535"),
            ("SRV", "1 2 3", "priority weight port host"),
            ("TXT", "\"open", "closing quote"),
            ("TXT", "\"a\" b", "between or after"),
            ("TXT", "\"\\999\"", "above \\255"),
            ("CAA", "300 issue x", "CAA"),
            ("SOA", "anything", "provider's own"),
            ("LUA", "a\nb", "control"),
        ];
        for (rtype, written, reason) in cases {
            let error = check(rtype, written).unwrap_err();
            assert!(error.contains(reason), "{rtype} {written:?}: {error}");
        }
        assert!(check("TXT", &format!("\"{}\"", "a".repeat(256))).is_err());
        assert!(check("TXT", &"a".repeat(9000)).is_err());
    }

    #[test]
    fn a_long_bare_text_is_cut_into_strings() {
        let spelling = check("TXT", &"a".repeat(300)).unwrap();
        assert_eq!(
            spelling,
            format!("\"{}\" \"{}\"", "a".repeat(255), "a".repeat(45))
        );
    }

    proptest! {
        /// A canonical spelling is its own canonical spelling, whatever was written.
        #[test]
        fn canonical_is_stable(
            rtype in prop::sample::select(vec!["A", "AAAA", "CNAME", "MX", "SRV", "TXT", "CAA", "TLSA"]),
            text in "\\PC{0,40}|[0-9a-f.: ]{1,20}|\"[ -~]{0,20}\"",
        ) {
            if let Ok(once) = check(rtype, &text) {
                prop_assert_eq!(check(rtype, &once), Ok(once.clone()));
            }
        }
    }
}
