//! What to write for the wanted changes, and in which portions. Pure.

use portolan_plugin::{
    dns::{Change, Error, Outcome, RecordSet},
    names::{with_dot, without_dot},
    sets::{DEFAULT_LINE, Standing, grouped, standing},
};

use crate::{
    api::{ChangeType, Rr, Write},
    lines::{LUA, Lines, SPLIT_TYPES, answered_type, shared_ttl},
    rrset,
    zone::Zone,
};

/// Writes that make sense only together, and the numbers of the changes that they make.
#[derive(Debug)]
pub(crate) struct Portion {
    pub(crate) changes: Vec<usize>,
    pub(crate) writes: Vec<Write>,
}

impl Portion {
    /// Does it put something there?
    pub(crate) fn replaces(&self) -> bool {
        let mut writes = self.writes.iter();
        writes.any(|write| write.changetype == ChangeType::Replace)
    }

    /// What is said of it: its name and types.
    pub(crate) fn show(&self) -> String {
        let name = self.writes.first().map_or("", |write| &write.name);
        let types: Vec<&str> = self.writes.iter().map(|write| &*write.rtype).collect();
        format!("{} {}", without_dot(name), types.join(", "))
    }

    fn name(&self) -> &str {
        self.writes.first().map_or("", |write| &write.name)
    }
}

/// What becomes of a change for which nothing is to be written.
pub(crate) fn settled(change: &Change, zone: &Zone) -> Option<Outcome> {
    match standing(change, zone.set(&change.key)) {
        Standing::AsWanted => Some(Outcome::Already),
        Standing::Moved => Some(Outcome::Stale),
        Standing::AsBefore => None,
    }
}

/// The portions that make these changes, and the changes that cannot be made.
pub(crate) fn portions(
    due: &[(usize, Change)],
    zone: &Zone,
    lines: &Lines,
) -> (Vec<Portion>, Vec<(usize, Error)>) {
    let names = grouped(due, |(_, one), (_, other)| one.key.name == other.key.name);
    let mut portions = Vec::new();
    let mut failures = Vec::new();
    for changes in names {
        let name = changes[0].1.key.name.as_str();
        if !is_split(name, &changes, zone) {
            portions.extend(changes.into_iter().map(|(number, change)| Portion {
                changes: vec![*number],
                writes: vec![plain(change, zone)],
            }));
            continue;
        }
        let mut foreign = zone.foreign_code(name, lines);
        let clash = foreign.find(|record| SPLIT_TYPES.contains(&answered_type(&record.content)));
        match clash {
            Some(record) => {
                let error = Error::Conflict(format!(
                    "{name} has a Lua record of somebody else, which answers {}: take it away first",
                    answered_type(&record.content)
                ));
                failures.extend(changes.iter().map(|(number, _)| (*number, error.clone())));
            }
            None => portions.push(split(name, &changes, zone, lines)),
        }
    }
    (portions, failures)
}

/// Do the addresses of this name differ by line, before or after?
fn is_split(name: &str, changes: &[&(usize, Change)], zone: &Zone) -> bool {
    let mut types = SPLIT_TYPES.iter();
    let is_now = types.any(|rtype| zone.on_all_lines(name, rtype).any(on_a_line));
    is_now
        || changes
            .iter()
            .any(|(_, change)| change.key.line != DEFAULT_LINE)
}

fn on_a_line(set: &RecordSet) -> bool {
    set.key.line != DEFAULT_LINE
}

/// What makes a change of a set that the server holds as a set.
fn plain(change: &Change, zone: &Zone) -> Write {
    match &change.after {
        Some(after) => rrset::replace(after, zone.rrset(&change.key.name, &change.key.rtype)),
        None => rrset::delete(&change.key),
    }
}

/// What makes all changes of a name whose addresses differ by line, before or after.
fn split(name: &str, changes: &[&(usize, Change)], zone: &Zone, lines: &Lines) -> Portion {
    let never_split = changes
        .iter()
        .filter(|(_, change)| !SPLIT_TYPES.contains(&change.key.rtype.as_str()));
    let mut writes: Vec<Write> = never_split.map(|(_, change)| plain(change, zone)).collect();
    let mut computed = Vec::new();
    let others: Vec<Rr> = zone.foreign_code(name, lines).cloned().collect();
    let mut code = others.clone();
    for rtype in SPLIT_TYPES {
        let mut sets: Vec<RecordSet> = zone.on_all_lines(name, rtype).cloned().collect();
        let changes = changes.iter().filter(|(_, it)| it.key.rtype == rtype);
        let is_changed = changes.clone().next().is_some();
        for (_, change) in changes {
            sets.retain(|set| set.key.line != change.key.line);
            sets.extend(change.after.clone());
        }
        let stands = zone
            .rrset(name, rtype)
            .filter(|rrset| !rrset.records.is_empty());
        match sets.as_slice() {
            [] => writes.extend(stands.map(|_| rrset::clear(name, rtype))),
            [alone] if !on_a_line(alone) => {
                if is_changed || stands.is_none() {
                    writes.push(rrset::replace(alone, stands));
                }
            }
            sets => {
                writes.extend(stands.map(|_| rrset::clear(name, rtype)));
                let content = lines.render(sets);
                code.push(Rr {
                    content,
                    disabled: false,
                });
                computed.extend_from_slice(sets);
            }
        }
    }
    let stands = zone.rrset(name, LUA);
    if !code.is_empty() {
        // Somebody else's are served as they were, or more shortly.
        let theirs = (!others.is_empty()).then_some(stands).flatten();
        let ours = (!computed.is_empty()).then(|| shared_ttl(&computed));
        let ttls = theirs.map(|rrset| rrset.ttl).into_iter().chain(ours);
        writes.push(Write {
            name: with_dot(name),
            rtype: LUA.to_owned(),
            changetype: ChangeType::Replace,
            ttl: ttls.min(),
            records: code,
            comments: None,
        });
    } else if stands.is_some() {
        writes.push(rrset::clear(name, LUA));
    }
    Portion {
        changes: changes.iter().map(|(number, _)| *number).collect(),
        writes,
    }
}

/// The portions of each name, in the order in which the names first appear.
pub(crate) fn by_name(portions: &[Portion]) -> Vec<Vec<&Portion>> {
    grouped(portions, |one, other| one.name() == other.name())
}

/// The writes of one `PATCH` in the order in which the server takes them: it checks each against what
/// stands there after the ones before (a CNAME goes before an address comes).
pub(crate) fn in_order<'a>(portions: &[&'a Portion]) -> Vec<&'a Write> {
    let of_kind = |deletes: bool| {
        let writes = portions.iter().copied().flat_map(|portion| &portion.writes);
        writes.filter(move |write| (write.changetype == ChangeType::Delete) == deletes)
    };
    of_kind(true).chain(of_kind(false)).collect()
}

/// Can one of the two stand only when the other is gone? (A CNAME stands alone.)
pub(crate) fn exclude_each_other(one: &Portion, other: &Portion) -> bool {
    let has_cname = |portion: &Portion| portion.writes.iter().any(|it| it.rtype == "CNAME");
    one.name() == other.name() && has_cname(one) != has_cname(other)
}
