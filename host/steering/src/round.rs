//! One round of a zone: look, decide, write down the intent, act, write down the outcome.
//!
//! The order is the safety. The intent is in the store, guarded by everything that was decided on,
//! before the provider hears of a change; that this member still leads is confirmed right before each
//! call; and whatever becomes of the call, the next look at the zone knows what is ours.

use std::collections::BTreeSet;
use std::time::Duration;

use portolan_consensus::{Consistency, Error, Revision, Space, Txn};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::now_ms;
use crate::documents::{History, HistoryEntry, OwnedSets, encode, keys};
use crate::error::SteeringError;
use crate::lanes::{Postponed, backoff, concerns_all};
use crate::memory::ZoneMemory;
use crate::names::{DomainName, ZoneName};
use crate::ownership;
use crate::plan::{Action, ActionKind, Ownership};
use crate::provider::{Change, DnsProvider as _, Outcome, ProviderError, RecordSet};
use crate::status::{Trouble, TroubleKind, ZoneState};
use crate::steering::Steering;
use crate::survey::Survey;

/// How often a round looks again because the zone or its documents changed under it.
const REREADS: usize = 3;

/// Why a round ended early.
enum Ended {
    /// The binding is paused.
    Postponed(Postponed),
    Failed(SteeringError),
}

impl From<SteeringError> for Ended {
    fn from(error: SteeringError) -> Self {
        Self::Failed(error)
    }
}

/// What became of the changes that were handed over.
#[derive(Default)]
struct Carried {
    results: Vec<(Action, Result<Outcome, ProviderError>)>,
    /// Why the rest was not handed over.
    stopped: Option<SteeringError>,
}

/// What a look and its changes leave behind.
struct Left {
    /// The zone is not as it was read: look again at once.
    again: bool,
    /// Something may show only later: look again after this.
    verify_in: Option<Duration>,
    /// The provider asked for a pause.
    paused: bool,
}

impl Steering {
    /// Makes a zone what it shall be, as far as that can be done now. Answers when to look again.
    pub(crate) async fn round(
        &self,
        zone: &ZoneName,
        memory: &mut ZoneMemory,
        term: &CancellationToken,
    ) -> Duration {
        let interval = Duration::from_millis(self.options.interval_ms);
        let ended = self.try_round(zone, memory, term).await;
        memory.status.last_reconcile_ms = Some(now_ms());
        let due = match ended {
            Ok(verify_in) => {
                memory.failures = 0;
                memory.status.error = None;
                let waits = [verify_in, memory.next_try(Instant::now())];
                waits.into_iter().flatten().fold(interval, Duration::min)
            }
            Err(Ended::Postponed(postponed)) => {
                memory.status.state = ZoneState::Failing;
                memory.status.error = Some(postponed.reason);
                postponed.until.saturating_duration_since(Instant::now())
            }
            Err(Ended::Failed(error)) => {
                if memory.status.error.as_deref() != Some(&error.to_string()) {
                    tracing::warn!(%zone, %error, "zone could not be reconciled");
                }
                memory.failures += 1;
                memory.status.state = ZoneState::Failing;
                memory.status.error = Some(error.to_string());
                backoff(&self.options, memory.failures)
            }
        };
        let in_ms = u64::try_from(due.as_millis()).unwrap_or(u64::MAX);
        memory.status.next_attempt_ms = Some(now_ms().saturating_add(in_ms));
        if !term.is_cancelled() {
            self.publish(&memory.status).await;
        }
        due
    }

    async fn try_round(
        &self,
        zone: &ZoneName,
        memory: &mut ZoneMemory,
        term: &CancellationToken,
    ) -> Result<Option<Duration>, Ended> {
        let (binding, revision) = self.lane_of(zone).await?;
        memory.status.provider = Some(binding.clone());
        let lane = self.lane(&binding);
        let _slot = lane.enter(revision).await.map_err(Ended::Postponed)?;
        let mut rereads = 0;
        loop {
            let left = match self.look_and_act(zone, memory, term).await {
                // Somebody changed what is wanted, or another leader wrote: decide anew.
                Err(SteeringError::Store(Error::GuardFailed { .. })) if rereads < REREADS => Left {
                    again: true,
                    verify_in: None,
                    paused: false,
                },
                Err(error) => {
                    if let SteeringError::Provider { error, .. } = &error
                        && concerns_all(error)
                    {
                        lane.pause(&self.options, error);
                    }
                    return Err(error.into());
                }
                Ok(left) => left,
            };
            if !left.paused {
                lane.resume();
            }
            if left.paused || !left.again {
                return Ok(left.verify_in);
            }
            if term.is_cancelled() {
                return Ok(None);
            }
            if rereads == REREADS {
                let reason = "the zone keeps changing while it is being worked on".to_owned();
                return Err(SteeringError::Unavailable(reason).into());
            }
            rereads += 1;
        }
    }

    async fn look_and_act(
        &self,
        zone: &ZoneName,
        memory: &mut ZoneMemory,
        term: &CancellationToken,
    ) -> Result<Left, SteeringError> {
        let survey = self.survey(zone, Consistency::Stale).await?;
        for (key, reason) in memory.new_refusals(&survey.plan) {
            tracing::warn!(%zone, %key, reason, "record set refused");
        }
        let now = Instant::now();
        let sorted = memory.sort(&survey.plan, now);
        self.meter.planned(
            zone,
            survey.plan.changes().count(),
            survey.plan.refused.len(),
        );

        let (mut owned, owned_revision) = self.write_intent(zone, &survey, &sorted.due).await?;
        let carried = self
            .carry_out(zone, &survey, sorted.due.clone(), memory.one_by_one, term)
            .await;
        let mut left = self.take_in(zone, &survey, &carried.results, memory);
        self.write_outcome(zone, &survey, &mut owned, owned_revision, &carried.results)
            .await?;

        let made = carried
            .results
            .iter()
            .filter(|(_, result)| is_made(result))
            .count();
        let status = &mut memory.status;
        status.pending = survey.plan.changes().count() - made;
        status.refused = survey.plan.refused.len();
        status.unmanaged = survey.plan.unmanaged;
        let refused = survey.plan.refused.iter().map(|refusal| Trouble {
            key: refusal.key.clone(),
            kind: TroubleKind::Refused,
            reason: refusal.reason.clone(),
        });
        let failing = |key, reason| Trouble {
            key,
            kind: TroubleKind::Failing,
            reason,
        };
        let held = sorted
            .held
            .into_iter()
            .map(|(key, reason)| failing(key, reason));
        let failed = carried.results.iter().filter_map(|(action, result)| {
            result
                .as_ref()
                .err()
                .map(|error| failing(action.key.clone(), error.to_string()))
        });
        status.name_troubles(held.chain(failed).chain(refused));
        if status.pending == 0 && carried.stopped.is_none() {
            status.state = ZoneState::InSync;
            status.last_good_ms = Some(now_ms());
            memory.one_by_one = false;
            self.meter.good(zone, now_ms());
        } else {
            status.state = ZoneState::Pending;
        }
        match carried.stopped {
            Some(error) => Err(error),
            None => {
                let settling = survey.plan.actions.iter().any(Action::is_waiting);
                if settling {
                    left.verify_in = Some(survey.caps.settle.max(backoff(&self.options, 1)));
                }
                Ok(left)
            }
        }
    }

    /// Writes down what is about to be ours, and what the plan found out about what is. Answers the
    /// new ownership and its revision.
    async fn write_intent(
        &self,
        zone: &ZoneName,
        survey: &Survey,
        due: &[Action],
    ) -> Result<(Ownership, Revision), SteeringError> {
        let mut owned = survey.owned.clone();
        ownership::settle(&mut owned, &survey.plan);
        for action in due {
            ownership::intend(&mut owned, action, now_ms());
        }
        if owned == survey.owned {
            return Ok((owned, survey.owned_revision));
        }
        let key = keys::owned(zone);
        let txn = Txn::new()
            .guard(Space::Steering, key.as_str(), survey.owned_revision)
            .guard(Space::Steering, keys::zone(zone), survey.zone_revision)
            .guard(
                Space::Steering,
                keys::provider(&survey.place.binding),
                survey.binding_revision,
            )
            .put(
                Space::Steering,
                key,
                encode(&OwnedSets::new(survey.place.clone(), &owned)),
            );
        let revision = self.store.commit(txn).await?;
        Ok((owned, revision))
    }

    /// Hands the changes over: first all that write, then what only deletes.
    async fn carry_out(
        &self,
        zone: &ZoneName,
        survey: &Survey,
        mut due: Vec<Action>,
        one_by_one: bool,
        term: &CancellationToken,
    ) -> Carried {
        let writes = due
            .iter()
            .rposition(|it| it.kind != ActionKind::Delete)
            .map_or(0, |at| at + 1);
        let deletes = due.split_off(writes);
        let size = match one_by_one {
            true => 1,
            false => self.options.changes_per_call.max(1),
        };
        let mut carried = Carried::default();
        self.hand_over(zone, survey, &due, size, term, &mut carried)
            .await;
        // What was to be replaced stays as long as its replacement does not stand.
        let failed: BTreeSet<DomainName> = carried
            .results
            .iter()
            .filter(|(_, result)| !is_made(result))
            .map(|(action, _)| action.key.name.clone())
            .collect();
        let free: Vec<Action> = deletes
            .into_iter()
            .filter(|action| !failed.contains(&action.key.name))
            .collect();
        self.hand_over(zone, survey, &free, size, term, &mut carried)
            .await;
        carried
    }

    async fn hand_over(
        &self,
        zone: &ZoneName,
        survey: &Survey,
        actions: &[Action],
        size: usize,
        term: &CancellationToken,
        carried: &mut Carried,
    ) {
        for batch in actions.chunks(size) {
            if carried.stopped.is_some() {
                return;
            }
            if term.is_cancelled() {
                let reason = "this member no longer leads".to_owned();
                carried.stopped = Some(SteeringError::Unavailable(reason));
                return;
            }
            if let Err(error) = self.member.confirm_leadership().await {
                carried.stopped = Some(error.into());
                return;
            }
            let changes: Vec<Change> = batch.iter().map(Action::to_change).collect();
            match survey.provider.apply(zone, &changes).await {
                Ok(results) => carried.results.extend(batch.iter().cloned().zip(results)),
                // None was made, or nobody knows which: the intents stay until the next look.
                Err(error) => {
                    let binding = survey.place.binding.clone();
                    let failed = SteeringError::Provider {
                        binding,
                        call: "apply",
                        error,
                    };
                    carried.stopped = Some(failed);
                }
            }
        }
    }

    /// Counts, logs and remembers what became of the changes.
    fn take_in(
        &self,
        zone: &ZoneName,
        survey: &Survey,
        results: &[(Action, Result<Outcome, ProviderError>)],
        memory: &mut ZoneMemory,
    ) -> Left {
        let now = Instant::now();
        let binding = &survey.place.binding;
        let settle = survey.caps.settle.max(backoff(&self.options, 1));
        let all_or_nothing =
            survey.caps.features.atomic_zone && !memory.one_by_one && results.len() > 1;
        let mut left = Left {
            again: false,
            verify_in: None,
            paused: false,
        };
        for (action, result) in results {
            let outcome = match result {
                Ok(Outcome::Applied) => "applied",
                Ok(Outcome::Already) => "already",
                Ok(Outcome::Stale) => "stale",
                Err(error) => error.kind(),
            };
            self.meter.changed(binding, action.kind.as_str(), outcome);
            match result {
                Ok(Outcome::Applied) => {
                    log_made(zone, action);
                    if action.drift {
                        self.meter.drift_repaired(zone);
                        memory.status.drift_repaired += 1;
                    }
                    memory.made(action, &self.options, now);
                }
                Ok(Outcome::Already) => memory.made(action, &self.options, now),
                // What is not found is not what was read either.
                Ok(Outcome::Stale) | Err(ProviderError::NotFound(_)) => {
                    tracing::info!(%zone, key = %action.key, "zone changed meanwhile, reading again");
                    left.again = true;
                }
                Err(error @ ProviderError::UnknownOutcome(_)) => {
                    tracing::warn!(%zone, key = %action.key, %error, "reading again");
                    memory.failed(action, error.to_string(), &self.options, now);
                    left.verify_in = Some(settle);
                }
                Err(error @ ProviderError::Throttled { .. }) => {
                    if !left.paused {
                        tracing::warn!(%zone, %binding, %error, "provider throttles");
                        self.lane(binding).pause(&self.options, error);
                    }
                    left.paused = true;
                }
                // Which change was at fault shows when each is handed over by itself.
                Err(error) if all_or_nothing => {
                    tracing::info!(%zone, key = %action.key, %error, "batch refused, splitting it");
                    memory.one_by_one = true;
                    left.again = true;
                }
                Err(error) => {
                    tracing::warn!(
                        %zone, key = %action.key, action = action.kind.as_str(), %error,
                        "change failed"
                    );
                    memory.failed(action, error.to_string(), &self.options, now);
                }
            }
        }
        left
    }

    async fn write_outcome(
        &self,
        zone: &ZoneName,
        survey: &Survey,
        owned: &mut Ownership,
        revision: Revision,
        results: &[(Action, Result<Outcome, ProviderError>)],
    ) -> Result<(), SteeringError> {
        if !results.iter().any(|(_, result)| is_made(result)) {
            return Ok(());
        }
        let history_key = keys::history(zone);
        // The leader alone writes it, under the guard of what is ours; a damaged one begins anew.
        let history = self
            .store
            .load::<History>(&history_key, Consistency::Stale)
            .await;
        let mut history = history
            .ok()
            .flatten()
            .map(|it| it.document)
            .unwrap_or_default();
        for (action, result) in results {
            ownership::learn(owned, action, result, now_ms());
            if matches!(result, Ok(Outcome::Applied)) {
                history.push(HistoryEntry {
                    at_ms: now_ms(),
                    by: self.member.id(),
                    action: action.kind.as_str().to_owned(),
                    key: action.key.clone(),
                    before: action.before.as_ref().map(|set| set.data.clone()),
                    after: action.after.as_ref().map(|set| set.data.clone()),
                    reason: action.reason.to_owned(),
                });
            }
        }
        let key = keys::owned(zone);
        let txn = Txn::new()
            .guard(Space::Steering, key.as_str(), revision)
            .put(
                Space::Steering,
                key,
                encode(&OwnedSets::new(survey.place.clone(), owned)),
            )
            .put(Space::Steering, history_key, encode(&history));
        self.store.commit(txn).await?;
        Ok(())
    }
}

fn is_made(result: &Result<Outcome, ProviderError>) -> bool {
    matches!(result, Ok(Outcome::Applied | Outcome::Already))
}

fn log_made(zone: &ZoneName, action: &Action) {
    let text = |set: &Option<RecordSet>| {
        set.as_ref()
            .map_or("nothing".to_owned(), |set| set.data.to_string())
    };
    let (before, after) = (text(&action.before), text(&action.after));
    let (key, reason) = (&action.key, action.reason);
    if action.drift {
        tracing::warn!(%zone, %key, before, after, reason, "record set put back");
    } else {
        let kind = action.kind.as_str();
        tracing::info!(%zone, %key, before, after, reason, action = kind, "record set changed");
    }
}
