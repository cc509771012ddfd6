//! Acting: the intent is written down, then the changes are handed over.

use std::collections::BTreeSet;

use portolan_consensus::{Revision, Space, Txn};
use tokio_util::sync::CancellationToken;

use super::outcome::is_made;
use crate::clock::now_ms;
use crate::documents::{OwnedSets, encode, keys};
use crate::error::SteeringError;
use crate::names::{DomainName, ZoneName};
use crate::ownership;
use crate::plan::{Action, ActionKind, Ownership};
use crate::provider::{Change, DnsProvider as _, Outcome, ProviderError};
use crate::steering::Steering;
use crate::survey::Survey;

/// What became of the changes that were handed over.
#[derive(Default)]
pub(super) struct Carried {
    pub(super) results: Vec<(Action, Result<Outcome, ProviderError>)>,
    /// Why the rest was not handed over.
    pub(super) stopped: Option<SteeringError>,
}

impl Steering {
    /// Writes down what is about to be ours, and what the plan found out about what is. Answers the
    /// new ownership and its revision.
    pub(super) async fn write_intent(
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
        let txn = survey
            .basis
            .guard(Txn::new())
            .guard(Space::Steering, key.as_str(), survey.owned_revision)
            .put(
                Space::Steering,
                key,
                encode(&OwnedSets::new(survey.place.clone(), &owned)),
            );
        let revision = self.store.commit(txn).await?;
        Ok((owned, revision))
    }

    /// Hands the changes over: first all that write, then what only deletes.
    pub(super) async fn carry_out(
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
            false => survey.caps.changes_per_call.max(1) as usize,
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
            if !survey.leave.counts() {
                let reason =
                    "it took too long since the sites in survivor mode were asked".to_owned();
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
                Err(error) => carried.stopped = Some(survey.provider.failed("apply", error)),
            }
        }
    }
}
