//! Making changes: updates together, everything else one call after the other.

use std::time::Duration;

use portolan_plugin::{
    Host, Level,
    dns::{Change, Error, Outcome, RecordSet},
    names::without_dot,
    sets::{Standing, concerned, show, standing},
};

use crate::{
    account::{Account, Zone},
    client::Failure,
    huaweicloud::normalize,
    plan::{Plan, RANKS, plan, rank},
    set::{Place, Set, State, place},
};

/// Up to this many names are read one by one, more with the whole zone.
const NAMES_READ_SINGLY: usize = 8;
/// The most sets of one call that changes several.
const MAX_TOGETHER: usize = 50;

/// The pauses, in milliseconds, before each look whether a set that is being deleted has gone, when another
/// shall take its place. The first look is a round trip away already.
const PAUSES_MS: [u64; 8] = [0, 100, 200, 400, 800, 1_000, 1_000, 1_000];

/// What became of the changes so far.
struct Progress {
    results: Vec<Result<Outcome, Error>>,
    /// The service wants fewer requests: more calls would only make it worse.
    throttled: Option<Error>,
}

impl Progress {
    fn note(&mut self, index: usize, result: Result<Outcome, Error>) {
        if let Err(error @ Error::Throttled(_)) = &result {
            self.throttled = Some(error.clone());
        }
        self.results[index] = result;
    }
}

/// An update of one set: the change's number, the set as it stands, and as it shall be.
type Update<'a> = (usize, &'a Set, &'a RecordSet);

/// Makes the changes. The outer error means that none was made.
pub(crate) fn apply(
    account: Account<'_>,
    zone: &str,
    changes: Vec<Change>,
) -> Result<Vec<Result<Outcome, Error>>, Error> {
    let zone = account.zone(zone)?;
    let sets = read(account, &zone, &changes)?;
    let ranks: Vec<u8> = changes.iter().map(|one| rank(one, &changes)).collect();
    let normal = |change: Change| {
        let after = change.after.map(|set| normalize(&zone.name, set));
        let after = after.transpose()?;
        Ok(Change { after, ..change })
    };
    let changes: Vec<Result<Change, Error>> = changes.into_iter().map(normal).collect();
    let mut progress = Progress {
        results: vec![Ok(Outcome::Already); changes.len()],
        throttled: None,
    };
    let work = Work { account, zone };
    for now in RANKS {
        let mut updates: Vec<Update<'_>> = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            if ranks[index] != now {
                continue;
            }
            let result = match (&progress.throttled, change) {
                (Some(error), _) | (None, Err(error)) => Err(error.clone()),
                (None, Ok(change)) => match (plan(change, &sets), &change.after) {
                    (
                        Ok(Plan::Update {
                            set, enable: false, ..
                        }),
                        Some(after),
                    ) => {
                        updates.push((index, set, after));
                        continue;
                    }
                    (Ok(plan), _) => work.make(change, &plan),
                    (Err(error), _) => Err(error),
                },
            };
            progress.note(index, result);
        }
        for portion in updates.chunks(MAX_TOGETHER) {
            work.update_together(portion, &changes, &mut progress);
        }
    }
    Ok(progress.results)
}

/// The sets that stand now under the names of the changes.
fn read(account: Account<'_>, zone: &Zone, changes: &[Change]) -> Result<Vec<Set>, Error> {
    let read = |name: Option<&str>| account.sets(zone, name);
    concerned(changes, NAMES_READ_SINGLY, &read, |set| {
        without_dot(&set.name).into()
    })
}

struct Work<'a> {
    account: Account<'a>,
    zone: Zone,
}

impl Work<'_> {
    /// Makes one change.
    fn make(&self, change: &Change, plan: &Plan<'_>) -> Result<Outcome, Error> {
        let fields = [
            ("name", change.key.name.as_str()),
            ("type", change.key.rtype.as_str()),
            ("line", change.key.line.as_str()),
        ];
        let host: &dyn Host = self.account.host;
        host.log(Level::Debug, "changing a record set", &fields);
        match (plan, &change.after) {
            (Plan::Settled(outcome), _) => Ok(*outcome),
            (Plan::Create, Some(after)) => {
                let mut created = self.account.create(&self.zone, after);
                // The set that makes way, often deleted just before, is on its way out for a while.
                if matches!(created, Err(Failure::Clash(_))) && self.way_clears(change)? {
                    created = self.account.create(&self.zone, after);
                }
                self.outcome(change, created)
            }
            (&Plan::Update { set, write, enable }, Some(after)) => {
                if write {
                    let written = self.account.update(&self.zone, set, after);
                    let outcome = self.outcome(change, written)?;
                    if outcome != Outcome::Applied || !enable {
                        return Ok(outcome);
                    }
                }
                let enabled = self.account.enable(set, after);
                match enabled {
                    Err(failure) if write => Err(half_made(failure.into())),
                    enabled => self.outcome(change, enabled),
                }
            }
            (Plan::Delete(set), _) => match self.account.delete(&self.zone, set, &change.key) {
                Err(Failure::Gone(_)) => Ok(Outcome::Already),
                deleted => self.outcome(change, deleted),
            },
            // Only a wanted set is created or updated.
            (Plan::Create | Plan::Update { .. }, None) => Ok(Outcome::Already),
        }
    }

    /// Makes updates with one call, which the service carries out wholly or not at all; where it refuses
    /// that, one by one.
    fn update_together(
        &self,
        updates: &[Update<'_>],
        changes: &[Result<Change, Error>],
        progress: &mut Progress,
    ) {
        let mut singly = updates.len() < 2;
        if !singly && progress.throttled.is_none() {
            match self.account.update_several(&self.zone, updates) {
                Ok(ids) => {
                    for (index, set, after) in updates {
                        let result = if ids.contains(&set.id) {
                            Ok(Outcome::Applied)
                        } else {
                            Err(Error::UnknownOutcome(format!(
                                "{}: the service's answer to the update of several sets says \
                                 nothing of this one, {}",
                                show(after),
                                set.id
                            )))
                        };
                        progress.note(*index, result);
                    }
                }
                Err(failure) if failure.is_refusal() => singly = true,
                Err(failure) => {
                    let error = Error::from(failure);
                    for (index, _, _) in updates {
                        progress.note(*index, Err(error.clone()));
                    }
                }
            }
        }
        for (index, set, after) in updates {
            let result = match (&progress.throttled, &changes[*index]) {
                (Some(error), _) | (None, Err(error)) => Err(error.clone()),
                (None, Ok(_)) if !singly => continue,
                (None, Ok(change)) => {
                    let written = self.account.update(&self.zone, set, after);
                    self.outcome(change, written)
                }
            };
            progress.note(*index, result);
        }
    }

    /// What became of a change after its first call.
    fn outcome(&self, change: &Change, called: Result<(), Failure>) -> Result<Outcome, Error> {
        match called {
            Ok(()) => Ok(Outcome::Applied),
            Err(Failure::Gone(_)) => Ok(Outcome::Stale),
            Err(Failure::Clash(error)) => self.after_clash(change, error),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Is a set in the change's way that is being deleted, and has gone now?
    fn way_clears(&self, change: &Change) -> Result<bool, Error> {
        for (look, pause) in PAUSES_MS.map(Duration::from_millis).into_iter().enumerate() {
            if !pause.is_zero() {
                self.account.host.sleep(pause);
            }
            let sets = self.account.sets(&self.zone, Some(&change.key.name))?;
            if leaving(change, &sets).is_none() {
                return Ok(look > 0);
            }
        }
        Ok(false)
    }

    /// Has someone else just written what this change wanted, or is what it clashes with on its way out?
    fn after_clash(&self, change: &Change, clash: Error) -> Result<Outcome, Error> {
        let sets = self.account.sets(&self.zone, Some(&change.key.name))?;
        if let Place::One(set) = place(&change.key, &sets)
            && standing(change, Some(&set.record_set())) == Standing::AsWanted
        {
            return Ok(Outcome::Already);
        }
        Err(match (clash, leaving(change, &sets)) {
            (Error::Conflict(text), Some(set)) => Error::Transient(format!(
                "{text}; the {} that stood there, {}, is still being deleted",
                set.rtype, set.id
            )),
            (clash, _) => clash,
        })
    }
}

/// The set that is being deleted from where the change's set stands.
fn leaving<'a>(change: &Change, sets: &'a [Set]) -> Option<&'a Set> {
    sets.iter().find(|set| {
        let key = set.key();
        set.state() == State::Leaving && key.name == change.key.name && key.line == change.key.line
    })
}

/// An error after the values were written, before the set was switched on: nobody may take it for
/// "nothing was changed".
fn half_made(error: Error) -> Error {
    match error {
        Error::Transient(text) | Error::Conflict(text) | Error::NotFound(text) => {
            Error::UnknownOutcome(format!("after 1 of 2 steps: {text}"))
        }
        other => other,
    }
}
