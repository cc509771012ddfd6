//! One spelling for record contents.
//!
//! Two texts can mean the same record: `2001:DB8::0:1`, a trailing dot, a TXT value with needless
//! escapes. What the operator wants and what the provider reads back are both brought to the spelling
//! of [`canonical`], so that only real differences are differences.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::names::{with_dot, without_dot};

/// The longest character-string of a TXT record, in octets (RFC 1035, 3.3).
const MAX_STRING: usize = 255;
/// The longest host name in presentation format without its trailing dot (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
/// The longest label of a host name.
const MAX_LABEL: usize = 63;

/// The canonical spelling of a content, or what is wrong with it. Types that are not known here are
/// only trimmed.
pub fn canonical(rtype: &str, content: &str) -> Result<String, String> {
    let content = content.trim_ascii();
    match rtype {
        "A" => content
            .parse::<Ipv4Addr>()
            .map(|address| address.to_string())
            .map_err(|_| format!("`{content}` is not an IPv4 address")),
        "AAAA" => content
            .parse::<Ipv6Addr>()
            .map(|address| address.to_string())
            .map_err(|_| format!("`{content}` is not an IPv6 address")),
        "CNAME" | "NS" | "PTR" => host_name(content),
        "MX" => numbers_and_host(
            1,
            content,
            "`preference host`, such as `10 mail.example.com`",
        ),
        "SRV" => numbers_and_host(3, content, "`priority weight port host`"),
        "CAA" => certification_authority(content),
        "TXT" => Ok(quote_strings(&strings(content)?)),
        _ => Ok(content.to_owned()),
    }
}

/// A canonical content with the trailing dots that many APIs want on host names.
pub fn with_dots(rtype: &str, content: &str) -> String {
    match rtype {
        "CNAME" | "NS" | "PTR" | "MX" | "SRV" => with_dot(content),
        _ => content.to_owned(),
    }
}

/// The octets of a TXT content, its character-strings joined.
pub fn txt_octets(content: &str) -> Result<Vec<u8>, String> {
    Ok(strings(content)?.concat())
}

/// The character-strings of a TXT content, or of another text in quotation marks.
pub fn txt_strings(content: &str) -> Result<Vec<Vec<u8>>, String> {
    strings(content)
}

/// The canonical TXT content for these character-strings.
pub fn txt_of_strings(strings: &[Vec<u8>]) -> String {
    quote_strings(strings)
}

/// The canonical TXT content for these octets, in as many character-strings as they need.
pub fn txt_content(octets: &[u8]) -> String {
    quote_strings(&[octets.to_vec()])
}

/// The canonical content of a TXT value at services that take it as plain text. A value that someone
/// entered in quotation marks is what stands between them.
pub fn txt_from_plain(value: &str) -> String {
    let quoted = value.starts_with('"').then(|| txt_octets(value).ok());
    txt_content(
        &quoted
            .flatten()
            .unwrap_or_else(|| value.as_bytes().to_vec()),
    )
}

/// A canonical TXT content as plain text, or why it cannot be said so. The bounds of its strings get
/// lost.
pub fn txt_to_plain(content: &str) -> Result<String, String> {
    let text = String::from_utf8(txt_octets(content)?)
        .map_err(|_| format!("the TXT value `{content}` is not UTF-8 text"))?;
    if text.is_empty() {
        return Err("a TXT value cannot be empty here".to_owned());
    }
    if text.starts_with('"') {
        return Err(format!(
            "the TXT value `{content}` begins with a quotation mark itself"
        ));
    }
    Ok(text)
}

fn host_name(text: &str) -> Result<String, String> {
    let name = without_dot(text);
    let fits = name == "."
        || (name.len() <= MAX_NAME
            && name.split('.').all(|label| {
                (1..=MAX_LABEL).contains(&label.len())
                    && label.bytes().all(|byte| byte.is_ascii_graphic())
            }));
    if fits {
        Ok(name)
    } else {
        Err(format!("`{text}` is not a host name in A-label form"))
    }
}

fn numbers_and_host(numbers: usize, content: &str, shape: &str) -> Result<String, String> {
    let wrong = || format!("`{content}` is not of the form {shape}");
    let parts: Vec<&str> = content.split_ascii_whitespace().collect();
    let (host, leading) = parts.split_last().ok_or_else(wrong)?;
    if leading.len() != numbers {
        return Err(wrong());
    }
    let mut canonical = String::new();
    for number in leading {
        let number: u16 = number.parse().map_err(|_| wrong())?;
        canonical.push_str(&format!("{number} "));
    }
    canonical.push_str(&host_name(host)?);
    Ok(canonical)
}

fn certification_authority(content: &str) -> Result<String, String> {
    let wrong = || format!("`{content}` is not of the form `0 issue \"ca.example\"`");
    let (flags, rest) = content.split_once(' ').ok_or_else(wrong)?;
    let (tag, value) = rest.trim_ascii_start().split_once(' ').ok_or_else(wrong)?;
    let flags: u8 = flags.parse().map_err(|_| wrong())?;
    let value = value.trim_ascii_start();
    let value = if value.starts_with('"') {
        strings(value)?.concat()
    } else {
        value.as_bytes().to_vec()
    };
    Ok(format!(
        "{flags} {} {}",
        tag.to_ascii_lowercase(),
        quote(&value)
    ))
}

/// The character-strings of a TXT content, each in quotation marks.
fn strings(content: &str) -> Result<Vec<Vec<u8>>, String> {
    let wrong = |reason: &str| {
        format!(
            "the TXT value `{content}` {reason}: write it in quotation marks, as \"v=spf1 -all\""
        )
    };
    let mut strings = Vec::new();
    let mut rest = content.as_bytes();
    while let Some((first, inside)) = rest.split_first() {
        if *first != b'"' {
            return Err(wrong("has something outside quotation marks"));
        }
        let (string, after) = quoted(inside)
            .ok_or_else(|| wrong("has an unfinished string or a malformed escape"))?;
        strings.push(string);
        rest = after.trim_ascii_start();
    }
    if strings.is_empty() {
        Err(wrong("is empty"))
    } else {
        Ok(strings)
    }
}

/// The octets up to the closing quotation mark, and what follows it.
fn quoted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut string = Vec::new();
    loop {
        match rest {
            [b'"', after @ ..] => return Some((string, after)),
            [
                b'\\',
                a @ b'0'..=b'9',
                b @ b'0'..=b'9',
                c @ b'0'..=b'9',
                after @ ..,
            ] => {
                let digit = |byte: &u8| u16::from(byte - b'0');
                string.push(u8::try_from(digit(a) * 100 + digit(b) * 10 + digit(c)).ok()?);
                rest = after;
            }
            [b'\\', b'0'..=b'9', ..] | [b'\\'] | [] => return None,
            [b'\\', escaped, after @ ..] => {
                string.push(*escaped);
                rest = after;
            }
            [plain, after @ ..] => {
                string.push(*plain);
                rest = after;
            }
        }
    }
}

fn quote_strings(strings: &[Vec<u8>]) -> String {
    let mut quoted = String::new();
    for string in strings {
        let mut rest = string.as_slice();
        // An empty string is one, too.
        loop {
            let (chunk, after) = rest.split_at(rest.len().min(MAX_STRING));
            if !quoted.is_empty() {
                quoted.push(' ');
            }
            quoted.push_str(&quote(chunk));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    quoted
}

fn quote(octets: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for &octet in octets {
        match octet {
            b'"' | b'\\' => quoted.extend(['\\', char::from(octet)]),
            b' '..=b'~' => quoted.push(char::from(octet)),
            other => quoted.push_str(&format!("\\{other:03}")),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_contents_get_one_spelling() {
        for (rtype, given, expected) in [
            ("A", " 192.0.2.1 ", "192.0.2.1"),
            ("AAAA", "2001:DB8:0:0::0:1", "2001:db8::1"),
            ("CNAME", "Target.Example.COM.", "target.example.com"),
            ("MX", "010  Mail.example.com.", "10 mail.example.com"),
            ("MX", "0 .", "0 ."),
            ("SRV", "1 2 443 host.example.", "1 2 443 host.example"),
            (
                "CAA",
                "0 ISSUE letsencrypt.org",
                "0 issue \"letsencrypt.org\"",
            ),
            ("TXT", r#""a\098c"   "\d\"\\""#, r#""abc" "d\"\\""#),
            ("TXT", r#""""#, r#""""#),
            ("TXT", "\"é\"", r#""\195\169""#),
            ("TLSA", "3 1 1 00", "3 1 1 00"),
        ] {
            assert_eq!(
                canonical(rtype, given).as_deref(),
                Ok(expected),
                "{rtype} {given}"
            );
            assert_eq!(
                canonical(rtype, expected).as_deref(),
                Ok(expected),
                "twice: {rtype} {given}"
            );
        }
    }

    #[test]
    fn wrong_contents_are_refused_with_their_text() {
        for (rtype, content) in [
            ("A", "2001:db8::1"),
            ("A", "192.0.2.256"),
            ("AAAA", "192.0.2.1"),
            ("CNAME", "two words"),
            ("CNAME", "a..b"),
            ("MX", "mail.example.com"),
            ("MX", "70000 mail.example.com"),
            ("SRV", "1 2 host.example"),
            ("CAA", "issue \"ca.example\""),
            ("TXT", "v=spf1 -all"),
            ("TXT", "\"open"),
            ("TXT", r#""\30""#),
            ("TXT", r#""\300""#),
            ("TXT", ""),
        ] {
            let reason = canonical(rtype, content).unwrap_err();
            assert!(reason.contains(content), "{rtype} {content}: {reason}");
        }
    }

    #[test]
    fn a_long_txt_value_is_cut_into_strings_and_joined_again() {
        let long = "x".repeat(600);
        let content = canonical("TXT", &format!("\"{long}\"")).unwrap();
        let lengths: Vec<usize> = strings(&content).unwrap().iter().map(Vec::len).collect();
        assert_eq!(lengths, [255, 255, 90]);
        assert_eq!(txt_octets(&content).unwrap(), long.as_bytes());
        assert_eq!(txt_content(long.as_bytes()), content);
    }

    #[test]
    fn dots_return_only_to_host_names() {
        assert_eq!(
            with_dots("MX", "10 mail.example.com"),
            "10 mail.example.com."
        );
        assert_eq!(with_dots("MX", "0 ."), "0 .");
        assert_eq!(with_dots("A", "192.0.2.1"), "192.0.2.1");
        assert_eq!(with_dots("TXT", "\"a\""), "\"a\"");
    }

    #[test]
    fn plain_txt_values_are_text_of_one_piece() {
        assert_eq!(txt_to_plain("\"a b\" \"c\"").as_deref(), Ok("a bc"));
        assert_eq!(txt_from_plain("a bc"), "\"a bc\"");
        assert_eq!(txt_from_plain("\"in quotes\""), "\"in quotes\"");
        assert_eq!(txt_from_plain("a\"b"), r#""a\"b""#);
        for refused in [r#""\255""#, r#""\"x\"""#, r#""""#] {
            assert!(txt_to_plain(refused).is_err(), "{refused}");
        }
    }
}
