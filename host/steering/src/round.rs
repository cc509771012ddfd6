//! One round of a zone: look, decide, write down the intent, act, write down the outcome.
//!
//! The order is the safety. The intent is in the store, guarded by everything that was decided on,
//! before the provider hears of a change; that this member still leads is confirmed right before each
//! call; and whatever becomes of the call, the next look at the zone knows what is ours.

mod carry;
mod outcome;

use std::time::Duration;

use portolan_consensus::{Consistency, Error};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::outcome::is_made;
use crate::clock::now_ms;
use crate::error::SteeringError;
use crate::lanes::{Postponed, backoff, concerns_all};
use crate::memory::ZoneMemory;
use crate::names::ZoneName;
use crate::plan::Action;
use crate::provider::RecordKey;
use crate::status::{Trouble, TroubleKind, ZoneState};
use crate::steering::Steering;

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
        let mut survey = self.survey(zone, Consistency::Stale).await?;
        let beside = memory.look_beside(&survey.observed)?;
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
        let asked: Vec<RecordKey> = sorted.due.iter().map(|it| it.key.clone()).collect();
        let carried = self
            .carry_out(zone, &survey, sorted.due.clone(), memory.one_by_one, term)
            .await;
        let mut left = self.take_in(zone, &survey, &carried.results, memory);
        self.write_outcome(zone, &survey, &mut owned, owned_revision, &carried.results)
            .await?;

        if !asked.is_empty() {
            let before = std::mem::take(&mut survey.observed);
            memory.beside.handed_over(before, asked.into_iter());
        }
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
        status.name_troubles(held.chain(failed).chain(refused).chain(beside));
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
}
