//! The order in which the changes of one call are made. Pure.

use portolan_plugin::dns::Change;

/// The numbers of the changes: what is written before what is deleted. Only where one can stand when
/// the other is gone, a CNAME and anything else under its name, does the old one go right before the new
/// one comes.
pub(crate) fn order(changes: &[Change]) -> Vec<usize> {
    let mut order = Vec::with_capacity(changes.len());
    let numbered = || changes.iter().enumerate();
    let exchanged = |change: &Change| !exchange(changes, change).is_empty();

    order.extend(numbered().filter_map(|(number, change)| {
        (change.after.is_some() && !exchanged(change)).then_some(number)
    }));
    // Name by name, so that no name waits for another's exchange.
    for (number, change) in numbered() {
        if order.contains(&number) || !exchanged(change) {
            continue;
        }
        let group = exchange(changes, change);
        for goes in [true, false] {
            let of_kind = |&&number: &&usize| changes[number].after.is_none() == goes;
            order.extend(group.iter().filter(of_kind));
        }
    }
    order.extend(numbered().filter_map(|(number, change)| {
        (change.after.is_none() && !exchanged(change)).then_some(number)
    }));
    order
}

/// The changes under the name of this one, itself among them, that depend on each other because some
/// go so that others can come; empty where this one depends on none.
pub(crate) fn exchange(changes: &[Change], change: &Change) -> Vec<usize> {
    let exchanged = |change: &Change| changes.iter().any(|other| takes_turns(change, other));
    let numbered = changes.iter().enumerate();
    let group = numbered.filter(|(_, other)| other.key.name == change.key.name && exchanged(other));
    let group: Vec<usize> = group.map(|(number, _)| number).collect();
    if exchanged(change) { group } else { Vec::new() }
}

/// Does one of the two go so that the other can come?
fn takes_turns(one: &Change, other: &Change) -> bool {
    one.key.name == other.key.name
        && exclude_each_other(&one.key.rtype, &other.key.rtype)
        && one.after.is_none() != other.after.is_none()
}

/// Can sets of these types not stand under one name? (A CNAME stands alone.)
pub(crate) fn exclude_each_other(one: &str, other: &str) -> bool {
    (one == "CNAME") != (other == "CNAME")
}

#[cfg(test)]
mod tests {
    use portolan_plugin::testing::{create, delete, set};

    use super::*;

    #[test]
    fn deletes_come_last_save_for_what_stands_in_the_way() {
        let address = |name: &str| set(name, "A", &["192.0.2.1"]);
        let alias = |name: &str| set(name, "CNAME", &["target.example.net"]);
        let changes = [
            delete(address("gone.example.com")),
            create(address("www.example.com")),
            create(alias("back.example.com")),
            delete(alias("www.example.com")),
            create(address("new.example.com")),
            delete(address("back.example.com")),
            delete(set("back.example.com", "TXT", &["\"a\""])),
        ];
        assert_eq!(order(&changes), [4, 3, 1, 5, 6, 2, 0]);
    }
}
