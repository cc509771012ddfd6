//! Domain names in wire format (RFC 1035, section 3.1).

/// The longest name in wire format.
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;
/// The two bits that make a length octet a pointer.
const POINTER: u8 = 0xc0;

/// A name as the daemon writes it, in wire format; none where it is too long or malformed.
pub(crate) fn encode(name: &str) -> Option<Vec<u8>> {
    let mut wire = Vec::with_capacity(name.len() + 2);
    if name != "." {
        push_labels(&mut wire, name)?;
    }
    wire.push(0);
    (wire.len() <= MAX_NAME).then_some(wire)
}

/// Appends the labels alone.
pub(crate) fn push_labels(wire: &mut Vec<u8>, name: &str) -> Option<()> {
    for label in name.split('.') {
        if label.is_empty() || label.len() > MAX_LABEL {
            return None;
        }
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    Some(())
}

/// A name of a message with its pointers followed, its case as it is, and where what follows it begins.
pub(crate) fn decode(message: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let mut name = Vec::new();
    let (mut at, mut begin, mut after) = (start, start, None);
    loop {
        let length = *message.get(at)?;
        if length & POINTER == POINTER {
            let low = *message.get(at + 1)?;
            let target = usize::from(length & !POINTER) << 8 | usize::from(low);
            // Only backwards, so that there is no going in circles.
            if target >= begin {
                return None;
            }
            after.get_or_insert(at + 2);
            (at, begin) = (target, target);
            continue;
        }
        let label = message.get(at..=at + usize::from(length))?;
        if length & POINTER != 0 || name.len() + label.len() > MAX_NAME {
            return None;
        }
        name.extend_from_slice(label);
        at += label.len();
        if length == 0 {
            return Some((name, after.unwrap_or(at)));
        }
    }
}

/// A name in wire format as the daemon writes it; none where it has characters that would need escapes,
/// which the daemon does not know in names.
pub(crate) fn text(wire: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut rest = wire;
    while let Some((&length, after)) = rest.split_first() {
        if length == 0 {
            break;
        }
        let (label, after) = after.split_at_checked(usize::from(length))?;
        if !text.is_empty() {
            text.push('.');
        }
        for &octet in label {
            if !octet.is_ascii_graphic() || b".\\".contains(&octet) {
                return None;
            }
            text.push(char::from(octet.to_ascii_lowercase()));
        }
        rest = after;
    }
    if text.is_empty() {
        text.push('.');
    }
    Some(text)
}
