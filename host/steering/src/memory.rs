//! What a leader remembers of a zone from round to round. It can be lost at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::beside::Beside;
use crate::error::SteeringError;
use crate::lanes::backoff;
use crate::names::{DomainName, ZoneName};
use crate::options::SteeringOptions;
use crate::plan::{Action, ActionKind, Observation, Plan};
use crate::provider::{RecordData, RecordKey};
use crate::status::{Trouble, TroubleKind, ZoneStatus};

/// A change that was tried and is still due.
struct Tried {
    /// What was to be written; with another target the count begins anew.
    target: Option<RecordData>,
    attempts: u32,
    not_before: Instant,
    reason: String,
}

/// One zone's memory.
pub(crate) struct ZoneMemory {
    pub(crate) status: ZoneStatus,
    /// Failed rounds in a row.
    pub(crate) failures: u32,
    /// An all-or-nothing provider refused a batch: until a round goes well, changes are handed over
    /// one by one, so that a bad one does not block the others.
    pub(crate) one_by_one: bool,
    /// What changes in the zone beside what is asked for.
    pub(crate) beside: Beside,
    tried: BTreeMap<RecordKey, Tried>,
    refusals: BTreeMap<RecordKey, String>,
}

/// Which changes of a plan are made now.
pub(crate) struct Sorted {
    pub(crate) due: Vec<Action>,
    /// Changes that wait, and why.
    pub(crate) held: Vec<(RecordKey, String)>,
}

impl ZoneMemory {
    pub(crate) fn new(zone: ZoneName) -> Self {
        Self {
            status: ZoneStatus::new(zone),
            failures: 0,
            one_by_one: false,
            beside: Beside::default(),
            tried: BTreeMap::new(),
            refusals: BTreeMap::new(),
        }
    }

    /// The record sets that changed together with what was asked for in the last round that wrote.
    ///
    /// # Errors
    /// Where that has happened too often to be a coincidence; each further time it takes longer until
    /// the next write.
    pub(crate) fn look_beside(
        &mut self,
        observed: &Observation,
    ) -> Result<Vec<Trouble>, SteeringError> {
        let changed = self.beside.look(observed);
        let Some(first) = changed.first() else {
            return Ok(vec![]);
        };
        let zone = &self.status.zone;
        tracing::warn!(%zone, count = changed.len(), key = %first, "more has changed than was asked for");
        if let Some(times) = self.beside.is_no_coincidence() {
            // The backoff goes on although the rounds between went well.
            self.failures = self.failures.max(times);
            return Err(SteeringError::Unavailable(format!(
                "{times} times in a row, more has changed in the zone than its provider was asked to \
                 change, now {first}: the plugin changes what is not its to change, or somebody else \
                 writes here whenever this does; it is written to ever more seldom"
            )));
        }
        let trouble = |key: RecordKey| Trouble {
            key,
            kind: TroubleKind::Beside,
            reason: "it has changed together with what was asked for, and nobody here asked for it"
                .to_owned(),
        };
        Ok(changed.into_iter().map(trouble).collect())
    }

    /// Forgets changes that the plan no longer has, and sorts the others by whether it is time. A
    /// delete waits as long as anything at its name does.
    pub(crate) fn sort(&mut self, plan: &Plan, now: Instant) -> Sorted {
        let targets: BTreeMap<&RecordKey, Option<&RecordData>> = plan
            .changes()
            .map(|action| (&action.key, target(action)))
            .collect();
        let waiting: BTreeSet<&RecordKey> = plan
            .actions
            .iter()
            .filter(|it| it.is_waiting())
            .map(|it| &it.key)
            .collect();
        self.tried.retain(|key, tried| {
            let same = |target: &Option<&RecordData>| *target == tried.target.as_ref();
            waiting.contains(key) || targets.get(key).is_some_and(same)
        });
        let mut held: Vec<(RecordKey, String)> = plan
            .changes()
            .filter_map(|action| Some((&action.key, self.tried.get(&action.key)?)))
            .filter(|(_, tried)| tried.not_before > now)
            .map(|(key, tried)| (key.clone(), tried.reason.clone()))
            .collect();
        let busy: BTreeSet<DomainName> = held.iter().map(|(key, _)| key.name.clone()).collect();
        let mut due = Vec::new();
        for action in plan.changes() {
            if held.iter().any(|(key, _)| *key == action.key) {
                continue;
            }
            if action.kind == ActionKind::Delete && busy.contains(&action.key.name) {
                let reason = "not deleted as long as a change at its name waits".to_owned();
                held.push((action.key.clone(), reason));
            } else {
                due.push(action.clone());
            }
        }
        Sorted { due, held }
    }

    /// Remembers that a change was made. It comes up again only if the zone does not read back as
    /// written (a provider that keeps something else, or another writer that fights for it): the
    /// first time it is simply repeated, then ever more seldom.
    pub(crate) fn made(&mut self, action: &Action, options: &SteeringOptions, now: Instant) {
        let tried = self.entry(action, now);
        tried.attempts += 1;
        if tried.attempts > 1 {
            tried.not_before = now + backoff(options, tried.attempts - 1);
        }
        tried.reason = format!(
            "it was written {} times and does not stay so: the provider keeps something else, or \
             somebody else keeps changing it",
            tried.attempts
        );
    }

    /// Remembers that a change failed.
    pub(crate) fn failed(
        &mut self,
        action: &Action,
        reason: String,
        options: &SteeringOptions,
        now: Instant,
    ) {
        let tried = self.entry(action, now);
        tried.attempts += 1;
        tried.not_before = now + backoff(options, tried.attempts);
        tried.reason = reason;
    }

    /// When the first change that waits may be tried, from now.
    pub(crate) fn next_try(&self, now: Instant) -> Option<Duration> {
        let waits = self.tried.values().map(|tried| tried.not_before);
        waits.filter(|at| *at > now).map(|at| at - now).min()
    }

    /// The refusals that were not there before, with their reasons: what is worth a line in the log.
    pub(crate) fn new_refusals(&mut self, plan: &Plan) -> Vec<(RecordKey, String)> {
        let standing: BTreeMap<RecordKey, String> = plan
            .refused
            .iter()
            .map(|refusal| (refusal.key.clone(), refusal.reason.clone()))
            .collect();
        let before = std::mem::replace(&mut self.refusals, standing);
        let news = self
            .refusals
            .iter()
            .filter(|(key, reason)| before.get(key) != Some(reason));
        news.map(|(key, reason)| (key.clone(), reason.clone()))
            .collect()
    }

    fn entry(&mut self, action: &Action, now: Instant) -> &mut Tried {
        self.tried
            .entry(action.key.clone())
            .or_insert_with(|| Tried {
                target: target(action).cloned(),
                attempts: 0,
                not_before: now,
                reason: String::new(),
            })
    }
}

fn target(action: &Action) -> Option<&RecordData> {
    action.after.as_ref().map(|after| &after.data)
}
