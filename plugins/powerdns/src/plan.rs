//! What to write for the wanted changes, and in which portions. Pure.

use portolan_plugin::{
    dns::{Change, Outcome},
    sets::{Standing, standing},
};

use crate::{
    api::{ChangeType, RrSet, Write},
    rrset,
};

/// What becomes of one change.
#[derive(Debug, PartialEq)]
pub(crate) enum Decision {
    /// Nothing is to be written.
    Settled(Outcome),
    /// This is.
    Write(Write),
}

/// Decides on one change, given the zone's sets.
pub(crate) fn decide(change: &Change, zone: &[RrSet]) -> Decision {
    let standing_now = zone.iter().find_map(|rrset| {
        let set = rrset::read(rrset).filter(|set| set.key == change.key)?;
        Some((rrset, set))
    });
    let current = standing_now.as_ref().map(|(_, set)| set);
    match (standing(change, current), &change.after) {
        (Standing::AsWanted, _) => Decision::Settled(Outcome::Already),
        (Standing::Moved, _) => Decision::Settled(Outcome::Stale),
        (Standing::AsBefore, Some(after)) => Decision::Write(rrset::replace(
            after,
            standing_now.as_ref().map(|(rrset, _)| *rrset),
        )),
        (Standing::AsBefore, None) => Decision::Write(rrset::delete(&change.key)),
    }
}

/// A write with the number of its change.
pub(crate) type Numbered<'a> = (usize, &'a Write);

/// The writes of each name, in the order in which the names first appear.
pub(crate) fn by_name<'a>(writes: &[Numbered<'a>]) -> Vec<Vec<Numbered<'a>>> {
    let mut groups: Vec<Vec<Numbered>> = Vec::new();
    for &numbered in writes {
        match groups
            .iter_mut()
            .find(|group| group[0].1.name == numbered.1.name)
        {
            Some(group) => group.push(numbered),
            None => groups.push(vec![numbered]),
        }
    }
    groups
}

/// The writes of one `PATCH` in the order in which the server takes them: it checks each against what
/// stands there after the ones before (a CNAME goes before an address comes).
pub(crate) fn in_order<'a>(writes: &[Numbered<'a>]) -> Vec<&'a Write> {
    let of_kind = |deletes: bool| {
        let writes = writes.iter().map(|(_, write)| *write);
        writes.filter(move |write| (write.changetype == ChangeType::Delete) == deletes)
    };
    of_kind(true).chain(of_kind(false)).collect()
}

/// Can one of the two sets stand only when the other is gone? (A CNAME stands alone.)
pub(crate) fn exclude_each_other(one: &Write, other: &Write) -> bool {
    one.name == other.name && (one.rtype == "CNAME") != (other.rtype == "CNAME")
}
