//! What became of the changes: learned from, logged, written down.

use portolan_consensus::{Consistency, Revision, Space, Txn};
use tokio::time::Instant;

use super::Left;
use crate::clock::now_ms;
use crate::documents::{History, HistoryEntry, OwnedSets, encode, keys};
use crate::error::SteeringError;
use crate::lanes::backoff;
use crate::memory::ZoneMemory;
use crate::names::ZoneName;
use crate::ownership;
use crate::plan::{Action, Ownership};
use crate::provider::{Outcome, ProviderError, RecordSet};
use crate::steering::Steering;
use crate::survey::Survey;

impl Steering {
    /// Counts, logs and remembers what became of the changes.
    pub(super) fn take_in(
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

    pub(super) async fn write_outcome(
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
                    reason: action.reason.clone().into_owned(),
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

pub(super) fn is_made(result: &Result<Outcome, ProviderError>) -> bool {
    matches!(result, Ok(Outcome::Applied | Outcome::Already))
}

fn log_made(zone: &ZoneName, action: &Action) {
    let text = |set: &Option<RecordSet>| {
        set.as_ref()
            .map_or("nothing".to_owned(), |set| set.data.to_string())
    };
    let (before, after) = (text(&action.before), text(&action.after));
    let (key, reason) = (&action.key, &action.reason);
    if action.drift {
        tracing::warn!(%zone, %key, before, after, %reason, "record set put back");
    } else {
        let kind = action.kind.as_str();
        tracing::info!(%zone, %key, before, after, %reason, action = kind, "record set changed");
    }
}
