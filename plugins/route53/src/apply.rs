//! Making changes: as few transactions as the limits allow, and smaller ones around what is refused.

use portolan_plugin::{
    Host, Level,
    dns::{Change, Error, Outcome},
    names::without_dot,
    sets::concerned,
};

use crate::{
    client::Failure,
    plan::{Unit, batch, exclude_each_other, one_by_one, plan, portions},
    route53::{Route53, normalize},
    rrset::RrSet,
};

/// Up to this many names are read one by one, more with the whole zone.
const NAMES_READ_SINGLY: usize = 4;

type Results = Vec<Result<Outcome, Error>>;

/// The changes of one call, and what has become of them.
pub(crate) struct Apply<'a> {
    provider: &'a Route53,
    host: &'a dyn Host,
    zone: &'a str,
    zone_id: String,
    changes: Vec<Change>,
    results: Results,
    /// Why no more requests are sent.
    stopped: Option<Error>,
}

impl<'a> Apply<'a> {
    /// Makes the changes. The outer error means that none was made.
    pub(crate) fn all(
        provider: &'a Route53,
        host: &'a dyn Host,
        zone: &'a str,
        changes: Vec<Change>,
    ) -> Result<Results, Error> {
        let zone_id = provider.zone_id(host, zone)?;
        let mut apply = Self {
            provider,
            host,
            zone,
            zone_id,
            results: vec![Ok(Outcome::Applied); changes.len()],
            changes: Vec::with_capacity(changes.len()),
            stopped: None,
        };
        let mut good = Vec::new();
        for (number, mut change) in changes.into_iter().enumerate() {
            match change
                .after
                .take()
                .map(|set| normalize(zone, set))
                .transpose()
            {
                Ok(after) => {
                    change.after = after;
                    good.push(number);
                }
                Err(error) => apply.results[number] = Err(error),
            }
            apply.changes.push(change);
        }
        if good.is_empty() {
            return Ok(apply.results);
        }
        let standing = apply.read(&good)?;
        let units = apply.plan(&good, &standing);
        for portion in portions(units) {
            apply.write(portion);
        }
        Ok(apply.results)
    }

    /// All sets that stand now under the names of these changes.
    fn read(&self, numbers: &[usize]) -> Result<Vec<RrSet>, Error> {
        let changes = numbers.iter().map(|&number| &self.changes[number]);
        let read = |name: Option<&str>| match name {
            Some(name) => self.provider.name_sets(self.host, &self.zone_id, name),
            None => self.provider.zone_sets(self.host, &self.zone_id, self.zone),
        };
        concerned(changes, NAMES_READ_SINGLY, &read, |set| {
            set.name.as_str().into()
        })
    }

    /// What to write for these changes; the others among them are settled.
    fn plan(&mut self, numbers: &[usize], standing: &[RrSet]) -> Vec<Unit> {
        let changes: Vec<(usize, &Change)> = numbers
            .iter()
            .map(|&number| (number, &self.changes[number]))
            .collect();
        let plan = plan(&changes, standing);
        for (number, result) in plan.settled {
            self.results[number] = result;
        }
        plan.units
    }

    /// Writes units of changes in one transaction; where the service refuses that, in two smaller ones,
    /// so that a bad one ends up alone.
    fn write(&mut self, mut units: Vec<Unit>) {
        match self.send(&units) {
            Ok(()) => {}
            Err(Failure::Other(error)) => self.fail(&units, &error),
            Err(Failure::Refused(error)) => {
                if units.len() > 1 {
                    self.warn(units.len(), &error);
                    let rest = units.split_off(units.len() / 2);
                    self.write(units);
                    self.write(rest);
                } else if let Some(unit) = units.pop() {
                    self.resolve(&unit, error);
                }
            }
        }
    }

    /// Sends one transaction.
    fn send(&mut self, units: &[Unit]) -> Result<(), Failure> {
        if let Some(error) = &self.stopped {
            return Err(Failure::Other(error.clone()));
        }
        let result = self
            .provider
            .change(self.host, &self.zone_id, self.zone, &batch(units));
        if let Err(Failure::Other(error)) = &result {
            self.stop(error);
        }
        result
    }

    /// Sends nothing more. What was not sent was certainly not carried out.
    fn stop(&mut self, error: &Error) {
        self.stopped = Some(match error {
            Error::UnknownOutcome(text) => {
                Error::Transient(format!("not tried, because of what came before it: {text}"))
            }
            error => error.clone(),
        });
    }

    fn fail(&mut self, units: &[Unit], error: &Error) {
        for &number in units.iter().flat_map(|unit| &unit.changes) {
            self.results[number] = Err(error.clone());
        }
    }

    /// Finds out what was wrong with the changes of one name.
    fn resolve(&mut self, unit: &Unit, error: Error) {
        if let &[number] = unit.changes.as_slice() {
            self.judge(number, error);
            return;
        }
        self.warn(unit.changes.len(), &error);
        let mut refused: Vec<usize> = Vec::new();
        for number in one_by_one(&unit.changes, &self.changes) {
            // What shall take its place could not be written: better the old answer than none.
            let change = &self.changes[number];
            let successor = refused
                .iter()
                .map(|&refused| &self.changes[refused])
                .find(|refused| change.after.is_none() && exclude_each_other(refused, change));
            if let Some(successor) = successor {
                self.results[number] = Err(Error::Conflict(format!(
                    "{} {} was kept, because the {} that shall take its place could not be written",
                    without_dot(&change.key.name),
                    change.key.rtype,
                    successor.key.rtype,
                )));
                continue;
            }
            self.alone(number);
            if self.results[number].is_err() {
                refused.push(number);
            }
        }
    }

    /// Makes one change by itself, as the zone stands now.
    fn alone(&mut self, number: usize) {
        let Some(standing) = self.read_again(number) else {
            return;
        };
        let units = self.plan(&[number], &standing);
        if units.is_empty() {
            return;
        }
        match self.send(&units) {
            Ok(()) => self.results[number] = Ok(Outcome::Applied),
            Err(Failure::Refused(error)) => self.judge(number, error),
            Err(Failure::Other(error)) => self.fail(&units, &error),
        }
    }

    /// A refused change may have been made by someone else meanwhile, or be out of date.
    fn judge(&mut self, number: usize, error: Error) {
        let Some(standing) = self.read_again(number) else {
            return;
        };
        if !self.plan(&[number], &standing).is_empty() {
            self.results[number] = Err(error);
        }
    }

    /// Reads the name of a change. Where that fails, this is what becomes of the change: nothing of it
    /// was made.
    fn read_again(&mut self, number: usize) -> Option<Vec<RrSet>> {
        let read = match &self.stopped {
            Some(error) => Err(error.clone()),
            None => self.read(&[number]),
        };
        match read {
            Ok(standing) => Some(standing),
            Err(error) => {
                self.stop(&error);
                self.results[number] = Err(error);
                None
            }
        }
    }

    fn warn(&self, count: usize, error: &Error) {
        let reason = match error {
            Error::Invalid(text) | Error::Conflict(text) | Error::Quota(text) => text,
            _ => "",
        };
        let count = count.to_string();
        let fields = [("zone", self.zone), ("changes", &count), ("reason", reason)];
        self.host.log(
            Level::Warn,
            "batch refused, writing in smaller ones",
            &fields,
        );
    }
}
