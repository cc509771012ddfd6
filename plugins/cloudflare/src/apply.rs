//! Making changes: as few transactions as the service takes, and more where it refuses one.

use portolan_plugin::{
    Host, Level,
    dns::{Error, Outcome, RecordSet},
    records::Failure,
    sets::{Standing, standing},
};

use crate::{
    client::{Client, ServiceZone},
    failure::is_refusal,
    plan::{Planned, Unit, batch, fitting, size},
};

/// Tells what stands now under a change's key.
pub(crate) type Look<'a> = dyn Fn(&Planned) -> Result<Option<RecordSet>, Error> + 'a;

/// One call's changes on their way.
pub(crate) struct Apply<'a> {
    pub(crate) client: &'a Client,
    pub(crate) host: &'a dyn Host,
    pub(crate) zone: &'a str,
    pub(crate) service_zone: &'a ServiceZone,
    /// For the answer to a duplicate.
    pub(crate) look: &'a Look<'a>,
    /// One for each change, in order: what became of it, `applied` to begin with.
    pub(crate) results: Vec<Result<Outcome, Error>>,
    /// Why nothing more is sent: what concerns any request, such as too many of them.
    pub(crate) stopped: Option<Error>,
}

impl Apply<'_> {
    /// Makes all that can be made.
    pub(crate) fn all(&mut self, units: &[Unit]) {
        let mut rest = units;
        while !rest.is_empty() {
            let count = fitting(rest, self.service_zone.batch_size());
            let (together, after) = rest.split_at(count);
            self.together(together);
            rest = after;
        }
    }

    /// Makes these units with one transaction; where the service refuses that, with two of half the
    /// size, and so on.
    fn together(&mut self, units: &[Unit]) {
        let changes: Vec<&Planned> = units.iter().flatten().collect();
        let (size, most) = (size(units), self.service_zone.batch_size());
        if size > most {
            let reason =
                format!("this touches {size} records, and the zone's plan takes {most} at once");
            for change in changes {
                let text = format!("{}: {reason}", change.shown());
                self.results[change.index] = Err(Error::Unsupported(text));
            }
            return;
        }
        let Err(failure) = self.send(&changes) else {
            return;
        };
        match units {
            [unit] => self.refused(unit, failure),
            _ => {
                let error = Error::from(failure);
                let count = units.len().to_string();
                let reason = format!("{error:?}");
                let fields = [
                    ("zone", self.zone),
                    ("changes", &count),
                    ("reason", &reason),
                ];
                let line = "batch refused, writing smaller ones";
                self.host.log(Level::Warn, line, &fields);
                let (one, other) = units.split_at(units.len() / 2);
                self.together(one);
                self.together(other);
            }
        }
    }

    /// Sends one transaction. The error is a refusal: it is not made, and others may be. Whatever else
    /// goes wrong is settled here.
    fn send(&mut self, changes: &[&Planned]) -> Result<(), Failure> {
        if let Some(error) = &self.stopped {
            let error = Err(error.clone());
            self.settle(changes, &error);
            return Ok(());
        }
        let what = match changes {
            [change] => format!("changing {}", change.shown()),
            _ => format!("changing {} record sets of {}", changes.len(), self.zone),
        };
        let id = self.service_zone.id();
        let sent = self.client.batch(self.host, id, &what, &batch(changes));
        match sent {
            Err(failure) if !is_refusal(&failure) => {
                let error = Error::from(failure);
                self.stopped = Some(match &error {
                    Error::UnknownOutcome(text) => Error::Transient(format!(
                        "not sent, since the request before it has no answer: {text}"
                    )),
                    other => other.clone(),
                });
                self.settle(changes, &Err(error));
                Ok(())
            }
            sent => sent,
        }
    }

    /// A unit that the service refused by itself.
    fn refused(&mut self, unit: &Unit, failure: Failure) {
        let (going, coming): (Vec<&Planned>, Vec<&Planned>) =
            unit.iter().partition(|change| change.goes());
        match coming.as_slice() {
            [one] if !going.is_empty() && !matches!(failure, Failure::Gone(_)) => {
                self.keep(&going, one);
                self.refuse(&[one], failure);
            }
            [] | [_] => self.refuse(&unit.iter().collect::<Vec<_>>(), failure),
            // A CNAME makes way with the first of them that the service takes.
            [first, ..] => {
                let mut left = going;
                for change in &coming {
                    left.push(change);
                    match self.send(&left) {
                        Ok(()) => left.clear(),
                        Err(failure) => {
                            left.pop();
                            self.refuse(&[change], failure);
                        }
                    }
                }
                self.keep(&left, first);
            }
        }
    }

    /// The results of changes that were refused.
    fn refuse(&mut self, changes: &[&Planned], failure: Failure) {
        for change in changes {
            self.results[change.index] = match &failure {
                Failure::Gone(_) => Ok(Outcome::Stale),
                Failure::Duplicate(error) => self.duplicate(change, error),
                Failure::Other(error) => Err(error.clone()),
            };
        }
    }

    /// Has someone else just written what this change wanted?
    fn duplicate(&self, change: &Planned, error: &Error) -> Result<Outcome, Error> {
        let current = (self.look)(change)?;
        match standing(change.change, current.as_ref()) {
            Standing::AsWanted => Ok(Outcome::Already),
            _ => Err(error.clone()),
        }
    }

    /// What shall take their place could not be written: better the old answer than none.
    fn keep(&mut self, going: &[&Planned], successor: &Planned) {
        let successor = successor.shown();
        for change in going {
            let text = format!(
                "{}: it was kept, because {successor} that shall take its place could not be written",
                change.shown()
            );
            self.results[change.index] = Err(Error::Conflict(text));
        }
    }

    fn settle(&mut self, changes: &[&Planned], result: &Result<Outcome, Error>) {
        for change in changes {
            self.results[change.index] = result.clone();
        }
    }
}
