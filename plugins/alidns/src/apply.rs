//! Making changes: one call after the other, each change for itself.

use portolan_plugin::{
    Host, Level,
    dns::{Change, Error, Outcome, RecordSet},
    sets::{Standing, show, standing},
};

use crate::{
    alidns::{AliDns, normalize},
    client::Failure,
    record::{self, Record},
    steps::{Step, steps},
};

/// Up to this many names are read one by one, more with the whole zone.
const NAMES_READ_SINGLY: usize = 8;

/// The changes of one call, and the zone as it stands.
pub(crate) struct Apply<'a> {
    pub(crate) provider: &'a AliDns,
    pub(crate) host: &'a dyn Host,
    pub(crate) zone: &'a str,
}

impl Apply<'_> {
    /// Makes the changes. The outer error means that none was made.
    pub(crate) fn all(&self, changes: Vec<Change>) -> Result<Vec<Result<Outcome, Error>>, Error> {
        let zone = self.read(&changes)?;
        let order = order(&changes);
        let changes: Vec<Result<Change, Error>> = changes
            .into_iter()
            .map(|change| {
                let after = change
                    .after
                    .map(|set| normalize(self.zone, set))
                    .transpose()?;
                Ok(Change { after, ..change })
            })
            .collect();
        let mut results: Vec<Result<Outcome, Error>> = vec![Ok(Outcome::Already); changes.len()];
        let mut throttled: Option<Error> = None;
        for index in order {
            results[index] = match (&throttled, &changes[index]) {
                // More calls would only make it worse.
                (Some(error), _) | (None, Err(error)) => Err(error.clone()),
                (None, Ok(change)) => self.one(change, &zone),
            };
            if let Err(error @ Error::Throttled(_)) = &results[index] {
                throttled = Some(error.clone());
            }
        }
        Ok(results)
    }

    /// The records that stand now under the names of the changes, and perhaps more.
    fn read(&self, changes: &[Change]) -> Result<Vec<Record>, Error> {
        let mut names: Vec<&str> = Vec::new();
        for change in changes {
            if !names.contains(&change.key.name.as_str()) {
                names.push(&change.key.name);
            }
        }
        if names.len() > NAMES_READ_SINGLY {
            return self.provider.records(self.host, self.zone, None);
        }
        let mut records = Vec::new();
        for name in names {
            records.extend(self.provider.records(self.host, self.zone, Some(name))?);
        }
        Ok(records)
    }

    fn one(&self, change: &Change, zone: &[Record]) -> Result<Outcome, Error> {
        let of_key = |record: &&Record| record.key(self.zone) == change.key;
        let records: Vec<&Record> = zone.iter().filter(of_key).collect();
        let current = record::set(self.zone, &records);
        match standing(change, current.as_ref()) {
            Standing::AsWanted => Ok(Outcome::Already),
            Standing::Moved => Ok(Outcome::Stale),
            Standing::AsBefore => self.make(change, &records),
        }
    }

    fn make(&self, change: &Change, records: &[&Record]) -> Result<Outcome, Error> {
        let steps = steps(records, change.after.as_ref());
        let locked = records
            .iter()
            .find(|record| record.locked && steps.iter().any(|step| step.touches(record)));
        if let (Some(record), Some(set)) =
            (locked, change.after.as_ref().or(change.before.as_ref()))
        {
            return Err(Error::Conflict(format!(
                "{}: the record {} ({}) is locked; unlock it in the Alibaba Cloud DNS console",
                show(set),
                record.record_id,
                record.value,
            )));
        }
        for (done, step) in steps.iter().enumerate() {
            match self.step(change, step) {
                Ok(()) => {}
                Err(Failure::Duplicate(error)) => {
                    return if self.stands_as_wanted(change)? {
                        Ok(if done == 0 {
                            Outcome::Already
                        } else {
                            Outcome::Applied
                        })
                    } else {
                        Err(half_made(error, done, steps.len()))
                    };
                }
                Err(Failure::Gone(_)) if done == 0 => return Ok(Outcome::Stale),
                Err(failure) => return Err(half_made(failure.into(), done, steps.len())),
            }
        }
        Ok(Outcome::Applied)
    }

    /// Has someone else just written what this change wanted?
    fn stands_as_wanted(&self, change: &Change) -> Result<bool, Error> {
        let records = self
            .provider
            .records(self.host, self.zone, Some(&change.key.name))?;
        let current = record::sets(self.zone, records)
            .into_iter()
            .find(|set| set.key == change.key);
        Ok(standing(change, current.as_ref()) == Standing::AsWanted)
    }

    fn step(&self, change: &Change, step: &Step) -> Result<(), Failure> {
        let fields = [
            ("name", change.key.name.as_str()),
            ("type", change.key.rtype.as_str()),
        ];
        self.host.log(Level::Debug, "changing a record", &fields);
        let write = |set: &RecordSet, id: Option<&str>, content: &str| {
            self.provider.write(self.host, self.zone, set, id, content)
        };
        match (step, &change.after) {
            (Step::Update { id, content }, Some(after)) => {
                write(after, Some(id), content).map(drop)
            }
            (Step::Add { content, enabled }, Some(after)) => {
                let id = write(after, None, content)?;
                if *enabled {
                    Ok(())
                } else {
                    self.provider.switch(self.host, &change.key, &id, false)
                }
            }
            (Step::Switch { id, enabled }, _) => {
                self.provider.switch(self.host, &change.key, id, *enabled)
            }
            (Step::Delete { id }, _) => self.provider.delete(self.host, &change.key, id),
            // Only a wanted set has values to write.
            (Step::Update { .. } | Step::Add { .. }, None) => Ok(()),
        }
    }
}

impl Step {
    fn touches(&self, record: &Record) -> bool {
        match self {
            Self::Update { id, .. } | Self::Switch { id, .. } | Self::Delete { id } => {
                *id == record.record_id
            }
            Self::Add { .. } => false,
        }
    }
}

/// An error after some of the steps: nobody may take it for "nothing was changed".
fn half_made(mut error: Error, done: usize, of: usize) -> Error {
    if done == 0 {
        return error;
    }
    if let Error::Transient(text) = error {
        error = Error::UnknownOutcome(text);
    }
    match &mut error {
        // These texts go on unchanged.
        Error::Denied(_) | Error::Throttled(_) => {}
        Error::Auth(text)
        | Error::NotFound(text)
        | Error::Conflict(text)
        | Error::Invalid(text)
        | Error::Quota(text)
        | Error::Transient(text)
        | Error::Unsupported(text)
        | Error::UnknownOutcome(text) => {
            text.insert_str(0, &format!("after {done} of {of} steps: "));
        }
    }
    error
}

/// The order in which changes are made: what is written before what is deleted, but a CNAME, beside
/// which nothing else can stand, right before its successor, and before one comes the others go.
fn order(changes: &[Change]) -> Vec<usize> {
    let exclusive = |change: &Change| {
        changes.iter().any(|other| {
            let same_place = other.key.name == change.key.name && other.key.line == change.key.line;
            let one_is_cname = (other.key.rtype == "CNAME") != (change.key.rtype == "CNAME");
            let one_goes = other.after.is_none() != change.after.is_none();
            same_place && one_is_cname && one_goes
        })
    };
    let rank = |change: &Change| match (change.after.is_some(), exclusive(change)) {
        (true, false) => 0,
        (false, true) => 1,
        (true, true) => 2,
        (false, false) => 3,
    };
    let ranks: Vec<u8> = changes.iter().map(rank).collect();
    (0..=3)
        .flat_map(|rank| {
            ranks
                .iter()
                .enumerate()
                .filter(move |(_, r)| **r == rank)
                .map(|(i, _)| i)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use portolan_plugin::dns::{RecordKey, RecordValue};

    use super::*;

    fn change(name: &str, rtype: &str, line: &str, wanted: bool) -> Change {
        let key = RecordKey {
            name: name.to_owned(),
            rtype: rtype.to_owned(),
            line: line.to_owned(),
            set_id: String::new(),
        };
        let value = RecordValue {
            content: "192.0.2.1".to_owned(),
            weight: None,
            enabled: true,
        };
        let set = RecordSet {
            key: key.clone(),
            ttl: 600,
            values: vec![value],
            comment: None,
            handle: String::new(),
            extras: String::new(),
        };
        let (before, after) = if wanted {
            (None, Some(set))
        } else {
            (Some(set), None)
        };
        Change { key, before, after }
    }

    #[test]
    fn deletes_come_last_save_for_what_stands_in_the_way() {
        let changes = [
            change("gone.example.com", "A", "default", false),
            change("www.example.com", "A", "default", true),
            change("www.example.com", "CNAME", "default", false),
            change("www.example.com", "CNAME", "CT", false),
            change("new.example.com", "A", "default", true),
        ];
        assert_eq!(order(&changes), [4, 2, 1, 0, 3]);
    }

    #[test]
    fn an_error_after_a_step_never_claims_that_nothing_was_changed() {
        let error = Error::Transient("no connection".to_owned());
        assert_eq!(half_made(error.clone(), 0, 2), error);
        assert_eq!(
            half_made(error, 1, 2),
            Error::UnknownOutcome("after 1 of 2 steps: no connection".to_owned())
        );
    }
}
