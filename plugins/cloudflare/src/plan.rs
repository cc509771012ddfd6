//! What is written for a change, and which changes have to be made together. Pure.

use portolan_plugin::{
    dns::Change,
    records::{Record, Step, steps},
    sets::show,
};

use crate::{
    client::Batch,
    record::{Writing, is_proxied},
};

/// The types that cannot stand beside a CNAME. Others can: a CNAME is flattened where it has to be.
const NOT_BESIDE_CNAME: &[&str] = &["A", "AAAA", "NS"];

/// What one change writes.
pub(crate) struct Planned<'a> {
    /// The change's number.
    pub(crate) index: usize,
    pub(crate) change: &'a Change,
    deletes: Vec<Writing<'a>>,
    patches: Vec<Writing<'a>>,
    posts: Vec<Writing<'a>>,
}

impl<'a> Planned<'a> {
    /// What turns `standing` into what the change wants, or why the service cannot hold it.
    pub(crate) fn new(
        index: usize,
        change: &'a Change,
        standing: &[&'a Record],
    ) -> Result<Self, String> {
        let mut planned = Self {
            index,
            change,
            deletes: Vec::new(),
            patches: Vec::new(),
            posts: Vec::new(),
        };
        let proxied = standing.iter().any(|record| is_proxied(record));
        for step in steps(standing, change.after.as_ref()) {
            match (step, &change.after) {
                (Step::Update { record, value }, Some(after)) => {
                    let mut patch = Writing::new(after, &value.content)?;
                    patch.id = Some(&record.id);
                    planned.patches.push(patch);
                }
                (Step::Add { value }, Some(after)) => {
                    let mut post = Writing::new(after, &value.content)?;
                    // The proxy serves all records of a name or none, so this is the set's.
                    post.proxied = proxied.then_some(true);
                    planned.posts.push(post);
                }
                (Step::Delete { record }, _) => {
                    planned.deletes.push(Writing::deletion(&record.id));
                }
                // Values are never off here, and only a wanted set has values to write.
                (Step::Switch { .. }, _) | (Step::Update { .. } | Step::Add { .. }, None) => {}
            }
        }
        Ok(planned)
    }

    /// How messages name the set.
    pub(crate) fn shown(&self) -> String {
        let Change { before, after, .. } = self.change;
        let set = after.as_ref().or(before.as_ref());
        set.map(show).unwrap_or_default()
    }

    /// Does the set go wholly?
    pub(crate) fn goes(&self) -> bool {
        self.change.after.is_none()
    }

    /// How many records it touches.
    pub(crate) fn size(&self) -> usize {
        self.deletes.len() + self.patches.len() + self.posts.len()
    }

    /// Can one of the two sets stand only when the other is gone?
    fn excludes(&self, other: &Self) -> bool {
        let (key, others) = (&self.change.key, &other.change.key);
        let clash = |one: &str, other: &str| one == "CNAME" && NOT_BESIDE_CNAME.contains(&other);
        key.name == others.name
            && self.goes() != other.goes()
            && (clash(&key.rtype, &others.rtype) || clash(&others.rtype, &key.rtype))
    }
}

/// Changes that are made in one transaction or not at all: one of them, or a CNAME and what it makes
/// way for.
pub(crate) type Unit<'a> = Vec<Planned<'a>>;

/// Units of all these changes. What only deletes comes last, so that where it takes several batches the
/// zone never holds too little.
pub(crate) fn units(planned: Vec<Planned>) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let (going, coming): (Vec<Planned>, Vec<Planned>) =
        planned.into_iter().partition(Planned::goes);
    for change in coming.into_iter().chain(going) {
        // All that excludes this change, in one unit with it.
        let mut unit = Vec::new();
        let mut place = units.len();
        while let Some(at) = units
            .iter()
            .position(|unit| unit.iter().any(|other| other.excludes(&change)))
        {
            place = place.min(at);
            unit.extend(units.remove(at));
        }
        unit.push(change);
        units.insert(place.min(units.len()), unit);
    }
    units
}

/// How many records these units touch together.
pub(crate) fn size(units: &[Unit]) -> usize {
    units.iter().flatten().map(Planned::size).sum()
}

/// How many of the first units fit into one batch; at least one.
pub(crate) fn fitting(units: &[Unit], most: usize) -> usize {
    let fits = |count: &usize| size(&units[..*count]) <= most;
    let count = (1..=units.len()).take_while(fits).count();
    count.max(1)
}

/// One transaction of all these changes.
pub(crate) fn batch<'a>(changes: &[&Planned<'a>]) -> Batch<'a> {
    let mut batch = Batch::default();
    for change in changes {
        batch.deletes.extend_from_slice(&change.deletes);
        batch.patches.extend_from_slice(&change.patches);
        batch.posts.extend_from_slice(&change.posts);
    }
    batch
}

#[cfg(test)]
mod tests {
    use portolan_plugin::testing::{create, delete, set, update};
    use serde_json::json;

    use super::*;

    fn planned<'a>(changes: &'a [Change], standing: &'a [Record]) -> Vec<Planned<'a>> {
        let plan = |(index, change): (usize, &'a Change)| {
            let records = portolan_plugin::records::of_key(standing, &change.key);
            Planned::new(index, change, &records).unwrap()
        };
        changes.iter().enumerate().map(plan).collect()
    }

    fn record(id: &str, name: &str, rtype: &str, content: &str, extras: &str) -> Record {
        let set = set(name, rtype, &[content]);
        Record {
            id: id.to_owned(),
            key: set.key,
            ttl: set.ttl,
            value: set.values[0].clone(),
            locked: None,
            extras: extras.to_owned(),
        }
    }

    fn numbers(units: &[Unit]) -> Vec<Vec<usize>> {
        let unit = |unit: &Unit| unit.iter().map(|change| change.index).collect();
        units.iter().map(unit).collect()
    }

    #[test]
    fn a_cname_and_what_takes_its_place_are_one_unit() {
        let changes = [
            delete(set("www.example.com", "CNAME", &["a.example.net"])),
            create(set("www.example.com", "A", &["192.0.2.1"])),
            delete(set("old.example.com", "A", &["192.0.2.1"])),
            create(set("www.example.com", "TXT", &["\"x\""])),
            create(set("www.example.com", "AAAA", &["2001:db8::1"])),
            create(set("a.example.com", "A", &["192.0.2.1"])),
        ];
        assert_eq!(
            numbers(&units(planned(&changes, &[]))),
            [vec![1, 4, 0], vec![3], vec![5], vec![2]]
        );
    }

    #[test]
    fn batches_take_as_many_units_as_fit() {
        let wide: Vec<String> = (1..=3).map(|n| format!("192.0.2.{n}")).collect();
        let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
        let changes: Vec<Change> = (0..4)
            .map(|n| create(set(&format!("n{n}.example.com"), "A", &wide)))
            .collect();
        let units = units(planned(&changes, &[]));
        assert_eq!(size(&units), 12);
        assert_eq!(
            [2, 3, 7, 12, 99].map(|most| fitting(&units, most)),
            [1, 1, 2, 4, 4]
        );
    }

    #[test]
    fn a_batch_says_no_more_than_what_changes() {
        let standing = [
            record("1", "www.example.com", "A", "192.0.2.1", "proxied"),
            record("2", "mail.example.com", "MX", "10 a.example.com", ""),
            record("3", "mail.example.com", "MX", "20 b.example.com", ""),
        ];
        let wanted = set("www.example.com", "A", &["192.0.2.2", "192.0.2.3"]);
        let changes = [
            update(set("www.example.com", "A", &["192.0.2.1"]), wanted),
            delete(set(
                "mail.example.com",
                "MX",
                &["10 a.example.com", "20 b.example.com"],
            )),
        ];
        let planned = planned(&changes, &standing);
        let batch = batch(&planned.iter().collect::<Vec<_>>());
        assert_eq!(
            serde_json::to_value(batch).unwrap(),
            json!({
                "deletes": [{ "id": "2" }, { "id": "3" }],
                "patches": [{
                    "id": "1", "name": "www.example.com", "type": "A", "ttl": 600,
                    "content": "192.0.2.2",
                }],
                "posts": [{
                    "name": "www.example.com", "type": "A", "ttl": 600, "content": "192.0.2.3",
                    "proxied": true,
                }],
            })
        );
    }
}
