//! Record sets at services that keep single records, each with an id.
//!
//! Such an API reads, adds, updates and deletes one record at a time, and knows no sets. A provider for
//! it implements [`Records`]; [`read`] makes sets of its records, and [`apply`] finds the calls that
//! turn one set into another and makes them one after the other. Where a service takes many changes
//! with one call, [`steps`], [`sets`], [`of_key`] and [`concerned`] are what is common.
//!
//! A record is updated in place wherever possible, so that what the service keeps beside it stays and no
//! moment is without an answer.

mod apply;
mod failure;
mod pages;
mod steps;

use std::cmp::Ordering;

pub use apply::{apply, concerned};
pub use failure::{Failure, half_made};
pub use pages::Pages;
pub use steps::{Step, steps};

use crate::{
    Host,
    dns::{Error, RecordKey, RecordPage, RecordSet, RecordValue},
    sets::DEFAULT_LINE,
};

/// One record of a zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The service's id of it.
    pub id: String,
    /// The set that it belongs to.
    pub key: RecordKey,
    /// Seconds.
    pub ttl: u32,
    /// Its content in canonical form, its weight, and whether it is served.
    pub value: RecordValue,
    /// Why it cannot be changed, as the end of a sentence that begins with the record: `is locked;
    /// unlock it in the console`.
    pub locked: Option<String>,
    /// What the service keeps beside this and the daemon does not manage, on one line; empty for
    /// nothing.
    pub extras: String,
}

/// What a service that keeps single records can do with them.
pub trait Records {
    /// The types that can be sets of values, in upper case. Records of others are left alone.
    const TYPES: &'static [&'static str];

    /// All records of the zone or of one name, of whatever type: all of them or an error. [`Pages`]
    /// helps.
    fn records(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
    ) -> Result<Vec<Record>, Error>;

    /// A wanted set as it will read back, as far as this can be said without asking the service.
    fn normalize(&self, zone: &str, wanted: RecordSet) -> Result<RecordSet, Error>;

    /// Adds to a set a record with this value and the set's TTL, switched on or off as the value says.
    fn add(
        &self,
        host: &dyn Host,
        zone: &str,
        set: &RecordSet,
        value: &RecordValue,
    ) -> Result<(), Failure>;

    /// Gives a record this content and weight and the set's TTL. `value.enabled` says how it is switched
    /// at this moment, and so it stays. What else the service keeps with the record stays, too.
    fn update(
        &self,
        host: &dyn Host,
        zone: &str,
        record: &Record,
        set: &RecordSet,
        value: &RecordValue,
    ) -> Result<(), Failure>;

    /// Switches a record on or off. Never called where all values are enabled.
    fn switch(
        &self,
        host: &dyn Host,
        zone: &str,
        record: &Record,
        enabled: bool,
    ) -> Result<(), Failure> {
        let _ = (host, zone, enabled);
        Err(Failure::Other(Error::Unsupported(format!(
            "record {} of {}: this provider cannot switch it",
            record.id, record.key.name
        ))))
    }

    /// Deletes a record.
    fn delete(&self, host: &dyn Host, zone: &str, record: &Record) -> Result<(), Failure>;
}

/// The record sets of the zone or of one name, on one page: such services page by record, in an order
/// that may tear sets apart.
pub fn read<R: Records>(
    service: &R,
    host: &dyn Host,
    zone: &str,
    name: Option<&str>,
) -> Result<RecordPage, Error> {
    let records = service.records(host, zone, name)?;
    Ok(RecordPage {
        sets: sets(records, R::TYPES),
        next: None,
    })
}

/// Records as sets, in an order that does not depend on the service's. Those of other types are left
/// out.
pub fn sets(mut records: Vec<Record>, types: &[&str]) -> Vec<RecordSet> {
    records.retain(|record| types.contains(&record.key.rtype.as_str()));
    sort(&mut records, by_key);
    records
        .chunk_by(|one, other| one.key == other.key)
        .filter_map(|records| set(&records.iter().collect::<Vec<_>>()))
        .collect()
}

/// The records of one key, by id.
pub fn of_key<'a>(records: &'a [Record], key: &RecordKey) -> Vec<&'a Record> {
    let mut found: Vec<&Record> = Vec::new();
    for record in records.iter().filter(|record| record.key == *key) {
        let place = found.partition_point(|other| other.id < record.id);
        found.insert(place, record);
    }
    found
}

/// The records of one key as a set; none of none. Its handle is their ids, of equal ones, too.
pub fn set(records: &[&Record]) -> Option<RecordSet> {
    let first = records.first()?;
    let ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).collect();
    let mut extras = String::new();
    for record in records.iter().filter(|record| !record.extras.is_empty()) {
        extras.push_str(&format!("{} {}\n", record.id, record.extras));
    }
    // Some services take the same value twice.
    let mut values: Vec<RecordValue> = Vec::with_capacity(records.len());
    for record in records {
        if !values.contains(&record.value) {
            values.push(record.value.clone());
        }
    }
    Some(RecordSet {
        key: first.key.clone(),
        // Records of one set can differ; an applied set has one TTL again.
        ttl: records.iter().map(|record| record.ttl).min()?,
        values,
        comment: None,
        handle: ids.join(","),
        extras,
    })
}

/// One way to compare two records. A pointer, since each sort by another closure weighs two KB.
type Order = fn(&Record, &Record) -> Ordering;

fn sort(records: &mut [Record], order: Order) {
    records.sort_unstable_by(order);
}

fn by_id(one: &Record, other: &Record) -> Ordering {
    one.id.cmp(&other.id)
}

/// By name, type and line, the default line first.
fn by_key(one: &Record, other: &Record) -> Ordering {
    fn parts(record: &Record) -> [&str; 6] {
        let key = &record.key;
        let default_first = if key.line == DEFAULT_LINE { "" } else { "-" };
        [
            &key.name,
            &key.rtype,
            default_first,
            &key.line,
            &key.set_id,
            &record.id,
        ]
    }
    parts(one).cmp(&parts(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, name: &str, rtype: &str, line: &str) -> Record {
        Record {
            id: id.to_owned(),
            key: RecordKey {
                name: name.to_owned(),
                rtype: rtype.to_owned(),
                line: line.to_owned(),
                set_id: String::new(),
            },
            ttl: 600,
            value: RecordValue {
                content: id.to_owned(),
                weight: None,
                enabled: true,
            },
            locked: None,
            extras: String::new(),
        }
    }

    #[test]
    fn records_of_one_key_are_one_set() {
        let records = vec![
            record("3", "www.example.com", "A", "CT"),
            Record {
                ttl: 60,
                ..record("2", "www.example.com", "A", "default")
            },
            record("4", "www.example.com", "REDIRECT", "default"),
            Record {
                extras: "remark eu".to_owned(),
                ..record("1", "www.example.com", "A", "default")
            },
            record("5", "example.com", "MX", "default"),
        ];
        let sets = sets(records, &["A", "MX"]);
        let shown: Vec<_> = sets
            .iter()
            .map(|set| {
                (
                    set.key.name.as_str(),
                    set.key.line.as_str(),
                    set.handle.as_str(),
                    set.ttl,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("example.com", "default", "5", 600),
                ("www.example.com", "default", "1,2", 60),
                ("www.example.com", "CT", "3", 600),
            ]
        );
        assert_eq!(sets[1].extras, "1 remark eu\n");
        assert_eq!(sets[2].extras, "");
    }

    #[test]
    fn records_that_are_equal_are_one_value() {
        let twin = |id: &str| Record {
            id: id.to_owned(),
            ..record("1", "www.example.com", "A", "default")
        };
        let sets = sets(vec![twin("2"), twin("1")], &["A"]);
        assert_eq!((sets[0].values.len(), sets[0].handle.as_str()), (1, "1,2"));
    }
}
