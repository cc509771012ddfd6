//! What to write for the wanted changes, and in which portions. Pure.
//!
//! A set is replaced by deleting exactly what was read and creating what is wanted, in one transaction:
//! no moment is without an answer, and where someone else was faster the service refuses the deletion.
//! To overwrite (`UPSERT`) would undo their change without a word.

use portolan_plugin::{
    dns::{Change, Error, Outcome, RecordSet},
    sets::{DEFAULT_LINE, Standing, grouped, show, standing},
};

use crate::rrset::{Routing, RrSet};

/// The most values in one request, those to delete among them.
const MAX_RECORDS: usize = 1_000;
/// The most characters in the values of one request.
const MAX_CHARACTERS: usize = 32_000;

/// The changes of one name and what to write for them: they may depend on each other.
#[derive(Debug, PartialEq)]
pub(crate) struct Unit {
    pub(crate) name: String,
    /// The numbers of the changes.
    pub(crate) changes: Vec<usize>,
    deletes: Vec<RrSet>,
    creates: Vec<RrSet>,
}

impl Unit {
    fn size(&self) -> (usize, usize) {
        let sets = self.deletes.iter().chain(&self.creates);
        sets.fold((0, 0), |(records, characters), set| {
            (records + set.values.len(), characters + set.characters())
        })
    }
}

/// What becomes of changes, each by its number.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Nothing is to be written.
    pub(crate) settled: Vec<(usize, Result<Outcome, Error>)>,
    /// This is.
    pub(crate) units: Vec<Unit>,
}

/// A change that is to be made, and what stands there now.
struct Due<'a> {
    number: usize,
    change: &'a Change,
    current: Option<&'a RrSet>,
}

/// Plans the changes of these numbers, where `zone` has all sets of their names.
pub(crate) fn plan(changes: &[(usize, &Change)], zone: &[RrSet]) -> Plan {
    let mut plan = Plan::default();
    let mut due = Vec::new();
    for &(number, change) in changes {
        let current = zone
            .iter()
            .find(|set| set.is_managed() && set.has_key(&change.key));
        let decided = match standing(change, current.and_then(RrSet::set).as_ref()) {
            Standing::AsWanted => Some(Ok(Outcome::Already)),
            Standing::Moved => Some(Ok(Outcome::Stale)),
            Standing::AsBefore => collision(change, zone).map(Err),
        };
        if let Some(result) = decided {
            plan.settled.push((number, result));
            continue;
        }
        due.push(Due {
            number,
            change,
            current,
        });
    }
    let groups = grouped(due, |one, other| {
        let (one, other) = (&one.change.key, &other.change.key);
        one.name == other.name && one.rtype == other.rtype
    });
    for group in &groups {
        let (deletes, creates) = writes(group, zone);
        let numbers = group.iter().map(|due| due.number);
        let name = &group[0].change.key.name;
        match plan.units.iter_mut().find(|unit| unit.name == *name) {
            Some(unit) => {
                unit.changes.extend(numbers);
                unit.deletes.extend(deletes);
                unit.creates.extend(creates);
            }
            None => plan.units.push(Unit {
                name: name.clone(),
                changes: numbers.collect(),
                deletes,
                creates,
            }),
        }
    }
    plan
}

/// Why a wanted set cannot stand beside one that is not managed.
fn collision(change: &Change, zone: &[RrSet]) -> Option<Error> {
    let wanted = change.after.as_ref()?;
    let key = &wanted.key;
    let in_the_way = zone.iter().find(|set| {
        let is_other_place = matches!(&set.routing, Routing::Geo { line, .. } if *line != key.line);
        set.name == key.name && set.rtype == key.rtype && !set.is_managed() && !is_other_place
    })?;
    let what = match in_the_way.routing {
        Routing::Simple => "an alias or a set that a traffic policy made",
        Routing::Geo { .. } => "an alias or a set with a health check",
        Routing::Other => "a set of another routing policy (weights, latency, failover, …)",
    };
    Some(Error::Conflict(format!(
        "{}: {what} stands there, which is not managed here and was left alone",
        show(wanted)
    )))
}

/// What to delete and what to create for changes of one name and type.
fn writes(group: &[Due], zone: &[RrSet]) -> (Vec<RrSet>, Vec<RrSet>) {
    let Some(key) = group.first().map(|due| &due.change.key) else {
        return (Vec::new(), Vec::new());
    };
    let mut deletes: Vec<RrSet> = group
        .iter()
        .filter_map(|due| due.current.cloned())
        .collect();
    let stays = |set: &&RrSet| {
        let same = set.name == key.name && set.rtype == key.rtype;
        same && !group.iter().any(|due| due.current == Some(*set))
    };
    let staying: Vec<&RrSet> = zone.iter().filter(stays).collect();
    let wanted: Vec<(&RecordSet, Option<&RrSet>)> = group
        .iter()
        .filter_map(|due| Some((due.change.after.as_ref()?, due.current)))
        .collect();

    // The service has either one simple set or sets by place. What is by place stays so: `default` alone
    // can be either.
    let is_geo = |set: &RrSet| matches!(set.routing, Routing::Geo { .. });
    let by_place = staying.iter().any(|set| is_geo(set))
        || wanted
            .iter()
            .any(|(after, current)| current.is_some_and(is_geo) || after.key.line != DEFAULT_LINE);
    let mut creates = Vec::new();
    if by_place {
        // It goes on answering everyone else.
        for simple in staying.iter().filter(|set| set.routing == Routing::Simple) {
            deletes.push((*simple).clone());
            creates.push(RrSet {
                routing: Routing::by_place(DEFAULT_LINE),
                ..(*simple).clone()
            });
        }
    }
    for (after, current) in wanted {
        let routing = match current {
            Some(current) if is_geo(current) => current.routing.clone(),
            _ if by_place => Routing::by_place(&after.key.line),
            _ => Routing::Simple,
        };
        creates.push(RrSet::of(after, routing));
    }
    (deletes, creates)
}

/// The units in portions that one request can take; a unit that is too large goes alone.
pub(crate) fn portions(units: Vec<Unit>) -> Vec<Vec<Unit>> {
    let mut portions: Vec<Vec<Unit>> = Vec::new();
    let (mut records, mut characters) = (0, 0);
    for unit in units {
        let (more_records, more_characters) = unit.size();
        let fits =
            records + more_records <= MAX_RECORDS && characters + more_characters <= MAX_CHARACTERS;
        match portions.last_mut().filter(|_| fits) {
            Some(portion) => portion.push(unit),
            None => {
                (records, characters) = (0, 0);
                portions.push(vec![unit]);
            }
        }
        records += more_records;
        characters += more_characters;
    }
    portions
}

/// The `Changes` of a batch. Deletions come first, so that no check meets what is about to go.
pub(crate) fn batch(units: &[Unit]) -> String {
    let mut changes = String::new();
    for set in units.iter().flat_map(|unit| &unit.deletes) {
        changes.push_str(&set.change("DELETE"));
    }
    for set in units.iter().flat_map(|unit| &unit.creates) {
        changes.push_str(&set.change("CREATE"));
    }
    changes
}

/// Changes of one name one by one: those that write before those that only delete, because what shall
/// take a set's place comes first.
pub(crate) fn one_by_one(numbers: &[usize], changes: &[Change]) -> Vec<usize> {
    let of_kind = |deletes: bool| {
        let numbers = numbers.iter().copied();
        numbers.filter(move |&number| changes[number].after.is_none() == deletes)
    };
    of_kind(false).chain(of_kind(true)).collect()
}

/// Can one of the two sets stand only when the other is gone? (A CNAME stands alone.)
pub(crate) fn exclude_each_other(one: &Change, other: &Change) -> bool {
    one.key.name == other.key.name && (one.key.rtype == "CNAME") != (other.key.rtype == "CNAME")
}

#[cfg(test)]
mod tests {
    use portolan_plugin::testing::{create, delete, set, update};

    use super::*;

    const WWW: &str = "www.example.com";

    fn on(line: &str, contents: &[&str]) -> RecordSet {
        let mut set = set(WWW, "A", contents);
        line.clone_into(&mut set.key.line);
        set
    }

    fn simple(content: &str) -> RrSet {
        RrSet::of(&on("default", &[content]), Routing::Simple)
    }

    fn placed(line: &str, id: &str, content: &str) -> RrSet {
        let routing = Routing::Geo {
            line: line.to_owned(),
            id: id.to_owned(),
        };
        RrSet::of(&on(line, &[content]), routing)
    }

    /// The writes of a plan as text: `-` deletes, `+` creates.
    fn planned(changes: &[Change], zone: &[RrSet]) -> Vec<String> {
        let numbered: Vec<(usize, &Change)> = changes.iter().enumerate().collect();
        let plan = plan(&numbered, zone);
        assert!(plan.settled.is_empty(), "{:?}", plan.settled);
        let shown = |sign: &str, set: &RrSet| {
            let id = match &set.routing {
                Routing::Geo { line, id } => format!("{line}/{id} "),
                _ => String::new(),
            };
            format!("{sign}{id}{}", set.values.join(","))
        };
        let unit = &plan.units[0];
        let deletes = unit.deletes.iter().map(|set| shown("-", set));
        let creates = unit.creates.iter().map(|set| shown("+", set));
        deletes.chain(creates).collect()
    }

    #[test]
    fn a_set_is_replaced_by_what_was_read_and_what_is_wanted() {
        let change = update(on("default", &["192.0.2.1"]), on("default", &["192.0.2.2"]));
        assert_eq!(
            planned(&[change], &[simple("192.0.2.1")]),
            ["-192.0.2.1", "+192.0.2.2"]
        );
    }

    #[test]
    fn the_first_place_turns_a_simple_set_into_the_one_for_everyone_else() {
        let china = on("country-CN", &["192.0.2.9"]);
        assert_eq!(
            planned(&[create(china.clone())], &[simple("192.0.2.1")]),
            [
                "-192.0.2.1",
                "+default/default 192.0.2.1",
                "+country-CN/country-CN 192.0.2.9"
            ]
        );
        let both = [create(on("default", &["192.0.2.2"])), create(china)];
        assert_eq!(
            planned(&both, &[]),
            [
                "+default/default 192.0.2.2",
                "+country-CN/country-CN 192.0.2.9"
            ]
        );
    }

    #[test]
    fn what_is_by_place_stays_so_under_its_own_identifier() {
        let zone = [
            placed("default", "rest", "192.0.2.1"),
            placed("country-CN", "cn", "192.0.2.9"),
        ];
        let change = update(on("default", &["192.0.2.1"]), on("default", &["192.0.2.2"]));
        assert_eq!(
            planned(std::slice::from_ref(&change), &zone),
            ["-default/rest 192.0.2.1", "+default/rest 192.0.2.2"]
        );
        assert_eq!(
            planned(&[change], &zone[..1]),
            ["-default/rest 192.0.2.1", "+default/rest 192.0.2.2"]
        );
        let gone = delete(on("country-CN", &["192.0.2.9"]));
        assert_eq!(planned(&[gone], &zone), ["-country-CN/cn 192.0.2.9"]);
        assert_eq!(
            planned(&[create(on("default", &["192.0.2.3"]))], &zone[1..]),
            ["+default/default 192.0.2.3"]
        );
    }

    #[test]
    fn portions_keep_the_limits_of_a_request() {
        let unit = |values: usize, length: usize| {
            let mut set = simple("192.0.2.1");
            set.values = vec!["x".repeat(length); values];
            Unit {
                name: WWW.to_owned(),
                changes: Vec::new(),
                deletes: Vec::new(),
                creates: vec![set],
            }
        };
        let sizes =
            |units: Vec<Unit>| -> Vec<usize> { portions(units).iter().map(Vec::len).collect() };
        assert_eq!(sizes((0..5).map(|_| unit(400, 1)).collect()), [2, 2, 1]);
        assert_eq!(sizes((0..3).map(|_| unit(4, 4_000)).collect()), [2, 1]);
        assert_eq!(
            sizes(vec![unit(1, 1), unit(2_000, 1), unit(1, 1)]),
            [1, 1, 1]
        );
        assert_eq!(sizes(Vec::new()), [0; 0]);
    }
}
