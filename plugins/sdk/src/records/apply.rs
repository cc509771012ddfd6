//! Making changes: one call after the other, each change for itself.

use super::{
    Failure, Record, Records, of_key, set, sets,
    steps::{Step, steps},
};
use crate::{
    Host, Level,
    dns::{Change, Error, Outcome},
    sets::{self, DEFAULT_LINE, Read, Standing, show, standing},
};

/// Up to this many names are read one by one, more with the whole zone.
const NAMES_READ_SINGLY: usize = 8;

/// Makes the changes, and answers one result per change, in order. The outer error means that none was
/// made.
pub fn apply<R: Records>(
    service: &R,
    host: &dyn Host,
    zone: &str,
    changes: Vec<Change>,
) -> Result<Vec<Result<Outcome, Error>>, Error> {
    Apply {
        service,
        host,
        zone,
    }
    .all(changes)
}

/// The records that stand now under the names of the changes.
pub fn concerned(changes: &[Change], read: &Read<Record>) -> Result<Vec<Record>, Error> {
    sets::concerned(changes, NAMES_READ_SINGLY, read, |record| {
        record.key.name.as_str().into()
    })
}

/// What every change of one call needs.
struct Apply<'a, R> {
    service: &'a R,
    host: &'a dyn Host,
    zone: &'a str,
}

impl<R: Records> Apply<'_, R> {
    fn all(&self, changes: Vec<Change>) -> Result<Vec<Result<Outcome, Error>>, Error> {
        let read = |name: Option<&str>| self.service.records(self.host, self.zone, name);
        let zone = concerned(&changes, &read)?;
        let order = order(&changes);
        let changes: Vec<Result<Change, Error>> = changes
            .into_iter()
            .map(|change| {
                let after = change
                    .after
                    .map(|set| self.service.normalize(self.zone, set))
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

    fn one(&self, change: &Change, zone: &[Record]) -> Result<Outcome, Error> {
        let records = of_key(zone, &change.key);
        let current = set(&records);
        match standing(change, current.as_ref()) {
            Standing::AsWanted => Ok(Outcome::Already),
            Standing::Moved => Ok(Outcome::Stale),
            Standing::AsBefore => self.make(change, &records),
        }
    }

    fn make(&self, change: &Change, records: &[&Record]) -> Result<Outcome, Error> {
        let steps = steps(records, change.after.as_ref());
        for record in records {
            if let (Some(reason), Some(set)) = (
                &record.locked,
                change.after.as_ref().or(change.before.as_ref()),
            ) && steps.iter().any(|step| step.touches(&record.id))
            {
                return Err(Error::Conflict(format!(
                    "{}: the record {} ({}) {reason}",
                    show(set),
                    record.id,
                    record.value.content,
                )));
            }
        }
        for (done, step) in steps.iter().enumerate() {
            let failure = match self.step(change, step) {
                Ok(()) => continue,
                Err(Failure::Gone(_)) if done == 0 => return Ok(Outcome::Stale),
                Err(Failure::Duplicate(error)) => match self.stands_as_wanted(change) {
                    Ok(true) if done == 0 => return Ok(Outcome::Already),
                    Ok(true) => return Ok(Outcome::Applied),
                    Ok(false) => Failure::Other(error),
                    Err(error) => Failure::Other(error),
                },
                Err(failure) => failure,
            };
            let failure = match done {
                0 => failure,
                _ => failure.after(&format!("after {done} of {} steps", steps.len())),
            };
            return Err(failure.into());
        }
        Ok(Outcome::Applied)
    }

    /// Has someone else just written what this change wanted?
    fn stands_as_wanted(&self, change: &Change) -> Result<bool, Error> {
        let name = Some(change.key.name.as_str());
        let records = self.service.records(self.host, self.zone, name)?;
        let current = sets(records, R::TYPES)
            .into_iter()
            .find(|set| set.key == change.key);
        Ok(standing(change, current.as_ref()) == Standing::AsWanted)
    }

    fn step(&self, change: &Change, step: &Step<'_>) -> Result<(), Failure> {
        let fields = [
            ("name", change.key.name.as_str()),
            ("type", change.key.rtype.as_str()),
        ];
        self.host.log(Level::Debug, "changing a record", &fields);
        let Self {
            service,
            host,
            zone,
        } = *self;
        match (step, &change.after) {
            (Step::Update { record, value }, Some(after)) => {
                service.update(host, zone, record, after, value)
            }
            (Step::Add { value }, Some(after)) => service.add(host, zone, after, value),
            (Step::Switch { record, enabled }, _) => service.switch(host, zone, record, *enabled),
            (Step::Delete { record }, _) => service.delete(host, zone, record),
            // Only a wanted set has values to write.
            (Step::Update { .. } | Step::Add { .. }, None) => Ok(()),
        }
    }
}

/// The order in which changes are made: what is written before what is deleted, but a CNAME, beside
/// which nothing else can stand, right before its successor, and before one comes the others go. The
/// default line comes before the others of its name and goes after them.
fn order(changes: &[Change]) -> Vec<usize> {
    let goes = |change: &Change| change.after.is_none();
    let exclusive = |change: &Change| {
        changes.iter().any(|other| {
            let same_place = other.key.name == change.key.name && other.key.line == change.key.line;
            let one_is_cname = (other.key.rtype == "CNAME") != (change.key.rtype == "CNAME");
            same_place && one_is_cname && goes(other) != goes(change)
        })
    };
    let after_its_lines = |change: &Change| {
        let is_default = change.key.line == DEFAULT_LINE;
        if !goes(change) {
            return !is_default;
        }
        is_default
            && changes.iter().any(|other| {
                let same_set =
                    other.key.name == change.key.name && other.key.rtype == change.key.rtype;
                same_set && goes(other) && other.key.line != DEFAULT_LINE
            })
    };
    let rank = |change: &Change| {
        let rank = match (goes(change), exclusive(change)) {
            (false, false) => 0,
            (true, true) => 2,
            (false, true) => 4,
            (true, false) => 6,
        };
        rank + u8::from(after_its_lines(change))
    };
    let ranks: Vec<u8> = changes.iter().map(rank).collect();
    (0..=7)
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
mod tests;
