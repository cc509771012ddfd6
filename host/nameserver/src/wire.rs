//! Names and contents as the store spells them, into the forms of the wire.

use hickory_proto::rr::rdata::{A, AAAA, CAA, CNAME, MX, NS, PTR, SRV, TXT};
use hickory_proto::rr::{Name, RData, RecordType as WireType};
use portolan_steering::RecordType;

/// The types that the server serves, by both names.
pub(crate) const TYPES: [(&str, WireType); 9] = [
    ("A", WireType::A),
    ("AAAA", WireType::AAAA),
    ("CAA", WireType::CAA),
    ("CNAME", WireType::CNAME),
    ("MX", WireType::MX),
    ("NS", WireType::NS),
    ("PTR", WireType::PTR),
    ("SRV", WireType::SRV),
    ("TXT", WireType::TXT),
];

/// The type on the wire, if the server serves it.
pub(crate) fn wire_type(rtype: &RecordType) -> Option<WireType> {
    TYPES
        .iter()
        .find(|(name, _)| rtype.is(name))
        .map(|(_, wire)| *wire)
}

/// A name without the trailing dot and without escapes, as all names in the store are; `.` is the
/// root.
pub(crate) fn name(text: &str) -> Result<Name, String> {
    if text == "." {
        return Ok(Name::root());
    }
    Name::from_labels(text.split('.').map(str::as_bytes)).map_err(|error| error.to_string())
}

/// A content in its one spelling ([`portolan_steering::canonical`]).
pub(crate) fn rdata(rtype: WireType, content: &str) -> Result<RData, String> {
    let words: Vec<&str> = content.split(' ').collect();
    let malformed = || format!("`{content}` is not a content of type {rtype}");
    match (rtype, words.as_slice()) {
        (WireType::A, [address]) => {
            let address = address.parse().map_err(|_| malformed())?;
            Ok(RData::A(A(address)))
        }
        (WireType::AAAA, [address]) => {
            let address = address.parse().map_err(|_| malformed())?;
            Ok(RData::AAAA(AAAA(address)))
        }
        (WireType::CNAME, [host]) => Ok(RData::CNAME(CNAME(name(host)?))),
        (WireType::NS, [host]) => Ok(RData::NS(NS(name(host)?))),
        (WireType::PTR, [host]) => Ok(RData::PTR(PTR(name(host)?))),
        (WireType::MX, [preference, host]) => {
            let preference = preference.parse().map_err(|_| malformed())?;
            Ok(RData::MX(MX::new(preference, name(host)?)))
        }
        (WireType::SRV, [priority, weight, port, host]) => {
            let number = |word: &str| word.parse::<u16>().map_err(|_| malformed());
            let (priority, weight, port) = (number(priority)?, number(weight)?, number(port)?);
            Ok(RData::SRV(SRV::new(priority, weight, port, name(host)?)))
        }
        (WireType::TXT, _) => {
            let strings = strings(content).ok_or_else(malformed)?;
            let strings = strings.iter().map(Vec::as_slice).collect();
            Ok(RData::TXT(TXT::from_bytes(strings)))
        }
        (WireType::CAA, [flags, tag, ..]) => {
            let flags: u8 = flags.parse().map_err(|_| malformed())?;
            let value = content.splitn(3, ' ').nth(2).ok_or_else(malformed)?;
            let value = strings(value).ok_or_else(malformed)?;
            Ok(caa(flags, tag, value.concat()))
        }
        _ => Err(malformed()),
    }
}

fn caa(flags: u8, tag: &str, value: Vec<u8>) -> RData {
    // Its constructors know three tags; any other is as good.
    let mut caa = CAA::new_issue(flags & 0x80 != 0, None, Vec::new());
    caa.reserved_flags = flags & 0x7f;
    caa.tag = tag.to_owned();
    caa.value = value;
    RData::CAA(caa)
}

/// Quoted strings between blanks, with `\"`, `\\` and `\ddd`: the one spelling of texts.
fn strings(text: &str) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        let (string, after) = string(rest.strip_prefix(b"\"")?)?;
        strings.push(string);
        match after {
            [] => return Some(strings),
            [b' ', next @ ..] => rest = next,
            _ => return None,
        }
    }
}

/// Up to the closing quote, and what follows it.
fn string(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut string = Vec::new();
    loop {
        match rest {
            [b'"', after @ ..] => return Some((string, after)),
            [b'\\', a, b, c, after @ ..] if a.is_ascii_digit() => {
                let code = std::str::from_utf8(&[*a, *b, *c]).ok()?.parse().ok()?;
                string.push(code);
                rest = after;
            }
            [b'\\', escaped, after @ ..] | [escaped, after @ ..] => {
                string.push(*escaped);
                rest = after;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::serialize::binary::BinEncodable;
    use portolan_steering::canonical;

    use super::*;

    fn wire(rtype: &str, written: &str) -> Result<Vec<u8>, String> {
        let known = RecordType::parse(rtype)?;
        let content = canonical(&known, written)?;
        let rdata = rdata(wire_type(&known).unwrap(), &content)?;
        Ok(rdata.to_bytes().unwrap())
    }

    #[test]
    fn contents_take_the_form_of_the_wire() {
        let cases: [(&str, &str, &[u8]); 11] = [
            ("A", "192.0.2.1", &[192, 0, 2, 1]),
            (
                "AAAA",
                "::1",
                &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            ),
            ("CNAME", "a.b.", b"\x01a\x01b\0"),
            ("NS", "_x.0/25.b", b"\x02_x\x040/25\x01b\0"),
            ("MX", "10 a.b", b"\0\x0a\x01a\x01b\0"),
            ("MX", "0 .", b"\0\0\0"),
            ("SRV", "1 2 258 a", b"\0\x01\0\x02\x01\x02\x01a\0"),
            ("TXT", "a \"b\" \\", b"\x07a \"b\" \\"),
            ("TXT", "\"a b\" \"\\200\"", b"\x03a b\x01\xc8"),
            ("TXT", "", b"\0"),
            (
                "CAA",
                "128 issue \"ca.example; x=1\"",
                b"\x80\x05issueca.example; x=1",
            ),
        ];
        for (rtype, written, expected) in cases {
            assert_eq!(wire(rtype, written).unwrap(), expected, "{rtype} {written}");
        }
    }

    #[test]
    fn what_is_not_in_its_one_spelling_is_refused() {
        let cases = [
            (WireType::A, "192.0.2"),
            (WireType::MX, "10"),
            (WireType::MX, "70000 a.b"),
            (WireType::TXT, "bare"),
            (WireType::TXT, "\"open"),
            (WireType::TXT, "\"\\999\""),
            (WireType::CAA, "0 issue"),
            (WireType::CNAME, "a..b"),
            (WireType::SOA, "a b 1 2 3 4 5"),
        ];
        for (rtype, content) in cases {
            assert!(rdata(rtype, content).is_err(), "{rtype} {content}");
        }
    }
}
