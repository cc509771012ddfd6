//! Where the records of a message lie (RFC 1035, section 4). What is in them does not matter here.

use std::ops::Range;

/// The length of a message's header.
pub(crate) const HEADER: usize = 12;
/// The longest name in wire format.
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;
/// The two bits that make a length octet a pointer.
const POINTER: u8 = 0xc0;

/// A section with records. A dynamic update calls the first two prerequisites and updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Answer,
    Authority,
    Additional,
}

/// Where a record lies.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) section: Section,
    pub(crate) start: usize,
    pub(crate) rtype: u16,
    pub(crate) rdata: Range<usize>,
}

/// All records of a message; none where it is malformed.
pub(crate) fn records(message: &[u8]) -> Option<Vec<Located>> {
    let [questions, answers, authorities, additionals] =
        [4, 6, 8, 10].map(|at| number(message, at));
    let mut at = HEADER;
    for _ in 0..questions? {
        at = skip_name(message, at)? + 4;
    }
    let mut records = Vec::new();
    for (section, count) in [
        (Section::Answer, answers?),
        (Section::Authority, authorities?),
        (Section::Additional, additionals?),
    ] {
        for _ in 0..count {
            let start = at;
            let fixed = skip_name(message, at)?;
            let rtype = number(message, fixed)?;
            let length = usize::from(number(message, fixed + 8)?);
            let rdata = fixed + 10..fixed + 10 + length;
            at = rdata.end;
            message.get(rdata.clone())?;
            records.push(Located {
                section,
                start,
                rtype,
                rdata,
            });
        }
    }
    (at == message.len()).then_some(records)
}

/// The 16 bits at `at`.
pub(crate) fn number(message: &[u8], at: usize) -> Option<u16> {
    let octets = message.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes([octets[0], octets[1]]))
}

/// Where what follows a name begins.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & POINTER == POINTER => return Some(at + 2),
            length if length & POINTER != 0 => return None,
            length => at += 1 + usize::from(length),
        }
    }
}

/// A name with its pointers followed, in lower case, and where what follows it begins.
pub(crate) fn name(message: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let after = skip_name(message, start)?;
    let mut name = Vec::new();
    let (mut at, mut begin) = (start, start);
    loop {
        let length = *message.get(at)?;
        if length & POINTER == POINTER {
            let target = usize::from(number(message, at)? & 0x3fff);
            // Only backwards, so that there is no going in circles.
            if target >= begin {
                return None;
            }
            (at, begin) = (target, target);
            continue;
        }
        let label = message.get(at..=at.checked_add(usize::from(length))?)?;
        if length & POINTER != 0 || name.len() + label.len() > MAX_NAME {
            return None;
        }
        name.extend(label.iter().map(u8::to_ascii_lowercase));
        if length == 0 {
            return Some((name, after));
        }
        at += label.len();
    }
}

/// A name from text to wire format, in lower case.
pub(crate) fn to_wire(text: &str) -> Option<Vec<u8>> {
    let mut wire = Vec::new();
    for label in text.strip_suffix('.').unwrap_or(text).split('.') {
        let plain = label
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        if label.is_empty() || label.len() > MAX_LABEL || !plain {
            return None;
        }
        wire.push(u8::try_from(label.len()).ok()?);
        wire.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
    }
    wire.push(0);
    (wire.len() <= MAX_NAME).then_some(wire)
}
