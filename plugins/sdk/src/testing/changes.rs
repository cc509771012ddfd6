//! Record sets and their changes, said briefly.

use crate::{
    dns::{Change, RecordKey, RecordSet, RecordValue},
    sets::DEFAULT_LINE,
};

/// The TTL where a test does not care, in seconds. No known service takes it for too small.
const TTL: u32 = 600;

/// A record set on the default line. A `-` before a content means that the value is switched off.
pub fn set(name: &str, rtype: &str, contents: &[&str]) -> RecordSet {
    let value = |content: &&str| RecordValue {
        content: content.trim_start_matches('-').to_owned(),
        weight: None,
        enabled: !content.starts_with('-'),
    };
    RecordSet {
        key: RecordKey {
            name: name.to_owned(),
            rtype: rtype.to_owned(),
            line: DEFAULT_LINE.to_owned(),
            set_id: String::new(),
        },
        ttl: TTL,
        values: contents.iter().map(value).collect(),
        comment: None,
        handle: String::new(),
        extras: String::new(),
    }
}

/// The change that makes `after`.
pub fn create(after: RecordSet) -> Change {
    Change {
        key: after.key.clone(),
        before: None,
        after: Some(after),
    }
}

/// The change that makes `after` of `before`.
pub fn update(before: RecordSet, after: RecordSet) -> Change {
    Change {
        key: after.key.clone(),
        before: Some(before),
        after: Some(after),
    }
}

/// The change that removes `before`.
pub fn delete(before: RecordSet) -> Change {
    Change {
        key: before.key.clone(),
        before: Some(before),
        after: None,
    }
}
