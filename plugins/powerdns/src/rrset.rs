//! The server's record sets in our terms, and back.

use portolan_plugin::{
    content::{canonical, with_dots},
    dns::{RecordKey, RecordSet, RecordValue},
    names::{with_dot, without_dot},
    sets::DEFAULT_LINE,
};

use crate::api::{ChangeType, Comment, Rr, RrSet, Write};

/// The account under which our comment stands. A set can carry several comments; those of other
/// accounts are not ours to touch.
const ACCOUNT: &str = "portolan";

/// The types that this plugin spells exactly like the server does.
pub(crate) const RECORD_TYPES: [&str; 9] =
    ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"];

/// What the daemon is told of a set; none for sets that it does not handle.
pub(crate) fn read(rrset: &RrSet) -> Option<RecordSet> {
    // A set whose last record went can leave its comments behind.
    if !RECORD_TYPES.contains(&rrset.rtype.as_str()) || rrset.records.is_empty() {
        return None;
    }
    let value = |record: &Rr| RecordValue {
        content: canonical(&rrset.rtype, &record.content)
            .unwrap_or_else(|_| record.content.clone()),
        weight: None,
        enabled: !record.disabled,
    };
    Some(RecordSet {
        key: RecordKey {
            name: without_dot(&rrset.name),
            rtype: rrset.rtype.clone(),
            line: DEFAULT_LINE.to_owned(),
            set_id: String::new(),
        },
        ttl: rrset.ttl,
        values: rrset.records.iter().map(value).collect(),
        comment: rrset
            .comments
            .iter()
            .find(|c| c.account == ACCOUNT)
            .map(|c| c.content.clone()),
        handle: String::new(),
        extras: String::new(),
    })
}

/// What makes the set look like `wanted`, where `current` stands now.
pub(crate) fn replace(wanted: &RecordSet, current: Option<&RrSet>) -> Write {
    let record = |value: &RecordValue| Rr {
        content: with_dots(&wanted.key.rtype, &value.content),
        disabled: !value.enabled,
    };
    Write {
        changetype: ChangeType::Replace,
        ttl: Some(wanted.ttl),
        records: wanted.values.iter().map(record).collect(),
        comments: comments(wanted.comment.as_deref(), current),
        ..delete(&wanted.key)
    }
}

/// What removes a set.
pub(crate) fn delete(key: &RecordKey) -> Write {
    clear(&key.name, &key.rtype)
}

/// What removes all records of a name and type.
pub(crate) fn clear(name: &str, rtype: &str) -> Write {
    Write {
        name: with_dot(name),
        rtype: rtype.to_owned(),
        changetype: ChangeType::Delete,
        ttl: None,
        records: Vec::new(),
        comments: None,
    }
}

/// The comments to write: everyone else's and ours; none where ours stays as it is, so that a backend
/// without comments is never asked for any.
fn comments(wanted: Option<&str>, current: Option<&RrSet>) -> Option<Vec<Comment>> {
    let standing = current.map_or(&[][..], |current| &current.comments);
    let (ours, others): (Vec<&Comment>, Vec<&Comment>) = standing
        .iter()
        .partition(|comment| comment.account == ACCOUNT);
    if ours.first().map(|comment| comment.content.as_str()) == wanted {
        return None;
    }
    let ours = wanted.map(|content| Comment {
        content: content.to_owned(),
        account: ACCOUNT.to_owned(),
        modified_at: None,
    });
    Some(others.into_iter().cloned().chain(ours).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rrset(rtype: &str, content: &str, comments: &[(&str, &str)]) -> RrSet {
        let comment = |&(account, content): &(&str, &str)| Comment {
            content: content.to_owned(),
            account: account.to_owned(),
            modified_at: Some(7),
        };
        RrSet {
            name: "WWW.example.com.".to_owned(),
            rtype: rtype.to_owned(),
            ttl: 60,
            records: vec![Rr {
                content: content.to_owned(),
                disabled: true,
            }],
            comments: comments.iter().map(comment).collect(),
        }
    }

    #[test]
    fn dots_go_and_come_back() {
        let standing = rrset("MX", "10 Mail.example.com.", &[]);
        let set = read(&standing).unwrap();
        assert_eq!(set.key.name, "www.example.com");
        assert_eq!(set.values[0].content, "10 mail.example.com");
        assert!(!set.values[0].enabled);
        let write = replace(&set, Some(&standing));
        assert_eq!(write.name, "www.example.com.");
        assert_eq!(write.records[0].content, "10 mail.example.com.");
        assert!(write.records[0].disabled);
    }

    #[test]
    fn other_types_and_empty_sets_are_left_out() {
        assert_eq!(read(&rrset("SOA", "a. b. 1 2 3 4 5", &[])), None);
        let mut empty = rrset("A", "192.0.2.1", &[("admin", "why")]);
        empty.records.clear();
        assert_eq!(read(&empty), None);
    }

    #[test]
    fn comments_of_others_stay() {
        let standing = rrset(
            "A",
            "192.0.2.1",
            &[("admin", "do not touch"), (ACCOUNT, "old")],
        );
        let mut set = read(&standing).unwrap();
        assert_eq!(set.comment.as_deref(), Some("old"));
        assert_eq!(replace(&set, Some(&standing)).comments, None);

        set.comment = Some("new".to_owned());
        let written = replace(&set, Some(&standing)).comments.unwrap();
        let shown: Vec<_> = written
            .iter()
            .map(|c| (c.account.as_str(), c.content.as_str()))
            .collect();
        assert_eq!(shown, [("admin", "do not touch"), (ACCOUNT, "new")]);
        assert_eq!(written[0].modified_at, Some(7));

        set.comment = None;
        let written = replace(&set, Some(&standing)).comments.unwrap();
        assert_eq!(written.len(), 1);
        assert_eq!(replace(&set, None).comments, None);
    }
}
