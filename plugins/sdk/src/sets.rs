//! What every provider does with record sets: bring wanted ones into shape, compare, and see whether
//! the zone still stands as it was read.

use std::borrow::Cow;

use crate::{
    content::canonical,
    dns::{Caps, Change, Error, Features, RecordSet, RecordValue},
    names,
};

/// The line that every provider has.
pub const DEFAULT_LINE: &str = "default";

/// A wanted set with canonical contents and without duplicates, or why a provider with these `caps`
/// cannot hold it. The TTL stays as it is: its bounds are the provider's own.
pub fn normalize(zone: &str, wanted: RecordSet, caps: &Caps) -> Result<RecordSet, Error> {
    check_key(zone, &wanted, caps)?;
    let shown = show(&wanted);
    let invalid = |reason: String| Error::Invalid(format!("{shown}: {reason}"));
    let unsupported =
        |what: &str| Error::Unsupported(format!("{shown}: this provider has no {what}"));

    if wanted.comment.is_some() && !has(caps, Features::COMMENT) {
        return Err(unsupported("comments"));
    }
    let mut values: Vec<RecordValue> = Vec::with_capacity(wanted.values.len());
    for value in &wanted.values {
        if value.weight.is_some() && !has(caps, Features::WEIGHTS) {
            return Err(unsupported("weights"));
        }
        if !value.enabled && !has(caps, Features::DISABLE) {
            return Err(unsupported("way to keep a value without serving it"));
        }
        let content = canonical(&wanted.key.rtype, &value.content).map_err(invalid)?;
        match values.iter().find(|known| known.content == content) {
            None => values.push(RecordValue {
                content,
                ..value.clone()
            }),
            Some(known) if known.weight == value.weight && known.enabled == value.enabled => {}
            Some(_) => {
                return Err(invalid(format!(
                    "`{content}` stands there twice and differently"
                )));
            }
        }
    }
    let most = if wanted.key.rtype == "CNAME" {
        1
    } else {
        caps.max_values
    };
    if values.is_empty() {
        return Err(invalid("it has no values".to_owned()));
    }
    if u32::try_from(values.len()).is_ok_and(|count| count <= most) {
        Ok(RecordSet { values, ..wanted })
    } else {
        Err(invalid(format!(
            "it has {} values and may have {most}",
            values.len()
        )))
    }
}

/// A canonical set with each content as `read_back` says that it will be read, without duplicates. The
/// error of `read_back` says why the service cannot hold a content.
pub fn respell(
    set: RecordSet,
    read_back: impl Fn(&str) -> Result<String, String>,
) -> Result<RecordSet, Error> {
    let mut values: Vec<RecordValue> = Vec::with_capacity(set.values.len());
    for value in &set.values {
        let content = read_back(&value.content)
            .map_err(|reason| Error::Unsupported(format!("{}: {reason}", show(&set))))?;
        let value = RecordValue {
            content,
            ..value.clone()
        };
        if !values.contains(&value) {
            values.push(value);
        }
    }
    Ok(RecordSet { values, ..set })
}

fn check_key(zone: &str, set: &RecordSet, caps: &Caps) -> Result<(), Error> {
    let key = &set.key;
    let shown = show(set);
    if !names::is_within(&key.name, zone) {
        return Err(Error::Invalid(format!(
            "{shown}: the name is not in the zone {zone}"
        )));
    }
    if !caps.record_types.contains(&key.rtype) {
        let known = caps.record_types.join(", ");
        return Err(Error::Unsupported(format!(
            "{shown}: the type is not one of {known}"
        )));
    }
    if key.line != DEFAULT_LINE && !has(caps, Features::LINES) {
        return Err(Error::Unsupported(format!(
            "{shown}: this provider answers alike on all lines; use `{DEFAULT_LINE}`"
        )));
    }
    if !key.set_id.is_empty() {
        return Err(Error::Unsupported(format!(
            "{shown}: this provider has one set of a name, type and line; leave the set id `{}` out",
            key.set_id
        )));
    }
    Ok(())
}

/// How a zone stands towards a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Like `after` already.
    AsWanted,
    /// Like `before`: the change can be made.
    AsBefore,
    /// Like neither: someone else changed it.
    Moved,
}

/// How the zone, where `current` stands now under the change's key, stands towards the change.
pub fn standing(change: &Change, current: Option<&RecordSet>) -> Standing {
    let alike = |one: Option<&RecordSet>, other: Option<&RecordSet>| match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => same(one, other),
        _ => false,
    };
    let before = change.before.as_ref();
    let handle = |set: Option<&RecordSet>| set.map(|set| set.handle.clone()).unwrap_or_default();
    let handle_fits = handle(before).is_empty() || handle(before) == handle(current);

    if alike(change.after.as_ref(), current) {
        Standing::AsWanted
    } else if alike(before, current) && handle_fits {
        Standing::AsBefore
    } else {
        Standing::Moved
    }
}

/// Do two sets of one key say the same? Handles and extras do not count.
pub fn same(one: &RecordSet, other: &RecordSet) -> bool {
    one.ttl == other.ttl
        && one.comment == other.comment
        && one.values.len() == other.values.len()
        && one.values.iter().all(|value| other.values.contains(value))
}

/// The names of changes in order, each once.
pub fn names_of<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for change in changes {
        let name = change.key.name.as_str();
        // Neither a sort nor a set: each would weigh ten KB in the component.
        if let Err(place) = names.binary_search(&name) {
            names.insert(place, name);
        }
    }
    names
}

/// Reads what stands under one name, or in the whole zone.
pub type Read<'a, T> = dyn Fn(Option<&str>) -> Result<Vec<T>, Error> + 'a;

/// What stands now under the names of the changes, as `read` answers it for one name or for the whole zone:
/// up to `singly` names are read one by one, more with the zone. `name` is that of what was read.
pub fn concerned<'a, T>(
    changes: impl IntoIterator<Item = &'a Change>,
    singly: usize,
    read: &Read<T>,
    name: impl Fn(&T) -> Cow<'_, str>,
) -> Result<Vec<T>, Error> {
    let names = names_of(changes);
    if names.len() > singly {
        let mut all = read(None)?;
        all.retain(|item| names.binary_search(&&*name(item)).is_ok());
        return Ok(all);
    }
    let mut found = Vec::new();
    for name in names {
        found.extend(read(Some(name))?);
    }
    Ok(found)
}

/// Items in groups of those that go `together`, in the order in which the groups first appear.
pub fn grouped<T>(
    items: impl IntoIterator<Item = T>,
    together: impl Fn(&T, &T) -> bool,
) -> Vec<Vec<T>> {
    let mut groups: Vec<Vec<T>> = Vec::new();
    for item in items {
        match groups.iter_mut().find(|group| together(&group[0], &item)) {
            Some(group) => group.push(item),
            None => groups.push(vec![item]),
        }
    }
    groups
}

/// How messages name a set: `www.example.com A`, with the line where it is not the default.
pub fn show(set: &RecordSet) -> String {
    let key = &set.key;
    match key.line.as_str() {
        DEFAULT_LINE => format!("{} {}", key.name, key.rtype),
        line => format!("{} {} on line {line}", key.name, key.rtype),
    }
}

fn has(caps: &Caps, feature: Features) -> bool {
    (caps.features & feature) == feature
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::RecordKey;

    fn caps(features: Features) -> Caps {
        let record_types = ["A", "CNAME", "TXT"].map(str::to_owned).to_vec();
        Caps {
            features,
            record_types,
            max_values: 2,
            changes_per_call: 50,
            settle_ms: 0,
            hosts: Vec::new(),
        }
    }

    fn set(name: &str, rtype: &str, contents: &[&str]) -> RecordSet {
        let value = |content: &&str| RecordValue {
            content: (*content).to_owned(),
            weight: None,
            enabled: true,
        };
        RecordSet {
            key: RecordKey {
                name: name.to_owned(),
                rtype: rtype.to_owned(),
                line: DEFAULT_LINE.to_owned(),
                set_id: String::new(),
            },
            ttl: 60,
            values: contents.iter().map(value).collect(),
            comment: None,
            handle: String::new(),
            extras: String::new(),
        }
    }

    fn change(before: Option<&RecordSet>, after: Option<&RecordSet>) -> Change {
        let key = before.or(after).unwrap().key.clone();
        Change {
            key,
            before: before.cloned(),
            after: after.cloned(),
        }
    }

    #[test]
    fn a_wanted_set_is_spelled_canonically_and_stays_so() {
        let wanted = set(
            "www.example.com",
            "A",
            &["192.0.2.2", "192.0.2.1", " 192.0.2.2"],
        );
        let once = normalize("example.com", wanted, &caps(Features::empty())).unwrap();
        let contents: Vec<&str> = once.values.iter().map(|v| v.content.as_str()).collect();
        assert_eq!(contents, ["192.0.2.2", "192.0.2.1"]);
        assert_eq!(
            normalize("example.com", once.clone(), &caps(Features::empty())),
            Ok(once)
        );
    }

    #[test]
    fn what_the_provider_cannot_hold_is_refused() {
        let refuse =
            |set: RecordSet| normalize("example.com", set, &caps(Features::empty())).unwrap_err();
        let plain = || set("www.example.com", "A", &["192.0.2.1"]);

        let mut outside = plain();
        outside.key.name = "www.example.org".to_owned();
        assert!(
            matches!(refuse(outside), Error::Invalid(text) if text.contains("not in the zone"))
        );
        let mut line = plain();
        line.key.line = "CT".to_owned();
        assert!(matches!(refuse(line), Error::Unsupported(text) if text.contains("on line CT")));
        let mut id = plain();
        id.key.set_id = "eu".to_owned();
        assert!(matches!(refuse(id), Error::Unsupported(_)));
        let mut weighted = plain();
        weighted.values[0].weight = Some(1);
        assert!(matches!(refuse(weighted), Error::Unsupported(_)));
        let mut off = plain();
        off.values[0].enabled = false;
        assert!(matches!(refuse(off), Error::Unsupported(_)));
        let mut comment = plain();
        comment.comment = Some("x".to_owned());
        assert!(matches!(refuse(comment), Error::Unsupported(_)));

        assert!(matches!(
            refuse(set("a.example.com", "MX", &["10 a"])),
            Error::Unsupported(_)
        ));
        assert!(matches!(
            refuse(set("a.example.com", "A", &[])),
            Error::Invalid(_)
        ));
        assert!(matches!(
            refuse(set("a.example.com", "A", &["x"])),
            Error::Invalid(_)
        ));
        assert!(matches!(
            refuse(set("a.example.com", "CNAME", &["x", "y"])),
            Error::Invalid(_)
        ));
        let three = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
        assert!(matches!(
            refuse(set("a.example.com", "A", &three)),
            Error::Invalid(_)
        ));
    }

    #[test]
    fn one_value_cannot_be_on_and_off() {
        let mut wanted = set("www.example.com", "A", &["192.0.2.1", "192.0.2.1"]);
        wanted.values[1].enabled = false;
        let refused = normalize("example.com", wanted, &caps(Features::DISABLE));
        assert!(matches!(refused, Err(Error::Invalid(_))));
    }

    #[test]
    fn a_change_is_made_only_where_the_zone_stands_as_it_was_read() {
        let old = set("www.example.com", "A", &["192.0.2.1"]);
        let new = set("www.example.com", "A", &["192.0.2.2"]);
        let update = change(Some(&old), Some(&new));
        assert_eq!(standing(&update, Some(&old)), Standing::AsBefore);
        assert_eq!(standing(&update, Some(&new)), Standing::AsWanted);
        assert_eq!(standing(&update, None), Standing::Moved);

        let create = change(None, Some(&new));
        assert_eq!(standing(&create, None), Standing::AsBefore);
        assert_eq!(standing(&create, Some(&old)), Standing::Moved);

        let delete = change(Some(&old), None);
        assert_eq!(standing(&delete, None), Standing::AsWanted);
        assert_eq!(standing(&delete, Some(&new)), Standing::Moved);
    }

    #[test]
    fn equal_contents_under_another_handle_have_moved() {
        let mut old = set("www.example.com", "A", &["192.0.2.1"]);
        old.handle = "1".to_owned();
        let new = set("www.example.com", "A", &["192.0.2.2"]);
        let current = RecordSet {
            handle: "2".to_owned(),
            ..old.clone()
        };
        assert_eq!(
            standing(&change(Some(&old), Some(&new)), Some(&current)),
            Standing::Moved
        );
        assert_eq!(
            standing(&change(Some(&old), Some(&new)), Some(&old)),
            Standing::AsBefore
        );
    }
}
