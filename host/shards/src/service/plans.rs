//! Asking policies for plans, and carrying them out.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use portolan_consensus::documents::{Stored, encode, until_settled};
use portolan_consensus::{Consistency, Revision, Space, Txn};
use portolan_sandbox::migration::Trigger;
use tokio::time::{Instant, sleep, timeout};

use super::{Place, Shards};
use crate::engine::{NodeError, Probe, Statistics};
use crate::error::ShardsError;
use crate::events::{EventKind, now_ms};
use crate::keys;
use crate::migration::Migrations;
use crate::model::Cluster;
use crate::names::{Name, NodeId};
use crate::plans::{Automatic, Checks, Plan, PlannedMove, Plans, Request, Sample, Surroundings};
use crate::plans::{Explanation, PlanState, PlanView, snapshot};
use crate::policy::PolicyFailure;

/// How long a node may take to tell of its load.
const STATISTICS: Duration = Duration::from_secs(5);
/// How long totals are watched for rates to follow from them.
const WATCH: Duration = Duration::from_secs(1);

/// A cluster, its queue, and what its nodes say at the moment.
struct Situation {
    place: Place,
    stored: Stored<Cluster>,
    queue_revision: Revision,
    queue: Migrations,
    seen: HashMap<NodeId, Result<Probe, NodeError>>,
}

impl Situation {
    /// What moves are checked against.
    fn checks(&self, cool_down_ms: u64) -> Checks<'_> {
        Checks {
            cluster: &self.stored.document,
            queue: &self.queue,
            seen: &self.seen,
            excluded: &self.stored.document.settings.excluded_slots,
            cool_down_ms,
            now_ms: now_ms(),
        }
    }
}

impl Shards {
    /// Asks a policy for a plan, which is stored, and applied where `apply` says so.
    ///
    /// # Errors
    /// [`ShardsError`] when there is no such policy, its settings are wrong, or it fails.
    pub async fn rebalance(
        &self,
        namespace: &str,
        name: &str,
        request: Request,
        apply: bool,
    ) -> Result<PlanView, ShardsError> {
        let (in_namespace, called, _) = self.find(namespace, name).await?;
        let binding = format!("{in_namespace}/{called}");
        let valid = self
            .policies
            .validate(&request.policy, &binding, &request.settings);
        valid.await.map_err(policy_error)?;
        let situation = self.situation(namespace, name).await?;
        let cluster = &situation.stored.document;
        let cool_down_ms = self.cool_down(cluster, &request.trigger.to_string());
        let sample = self.sample(cluster).await;
        let shown = snapshot(
            cluster,
            &Surroundings {
                namespace: &situation.place.0,
                name: &situation.place.1,
                queue: &situation.queue,
                seen: &situation.seen,
                sample: &sample,
                excluded: &cluster.settings.excluded_slots,
                cool_down_ms,
                max_fill_percent: self.options.with(&cluster.settings).max_fill_percent,
                trigger: request.trigger,
                now_ms: now_ms(),
            },
        );
        let proposed = self.policies.propose(
            &request.policy,
            &binding,
            &shown,
            &request.settings,
            request.budget,
        );
        let proposed = proposed.await.map_err(policy_error)?;
        let checks = situation.checks(cool_down_ms);
        let plan = Plan::of(&request, cluster.version, proposed, |planned| {
            checks.refuse(planned)
        });
        let plan = self.add_plan(&situation.place, plan).await?;
        if apply && plan.accepted().next().is_some() {
            return self.apply_plan(namespace, name, plan.id).await;
        }
        Ok(PlanView::of(&plan, cluster, &situation.queue))
    }

    /// A cluster's plans, oldest first.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn plans(&self, namespace: &str, name: &str) -> Result<Vec<PlanView>, ShardsError> {
        let (namespace, name, stored) = self.find(namespace, name).await?;
        let (_, queue) = self.queue(&namespace, &name).await?;
        let (_, plans) = self.stored_plans(&(namespace, name)).await?;
        let plans = plans.entries.iter();
        Ok(plans
            .map(|plan| PlanView::of(plan, &stored.document, &queue))
            .collect())
    }

    /// One plan.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn plan(
        &self,
        namespace: &str,
        name: &str,
        id: u64,
    ) -> Result<PlanView, ShardsError> {
        let plans = self.plans(namespace, name).await?;
        let mut plans = plans.into_iter();
        plans.find(|plan| plan.id == id).ok_or_else(|| no_plan(id))
    }

    /// Why a plan is as it is, in sentences.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn explain_plan(
        &self,
        namespace: &str,
        name: &str,
        id: u64,
    ) -> Result<Explanation, ShardsError> {
        Ok(Explanation::of(&self.plan(namespace, name, id).await?))
    }

    /// Queues the moves of a plan, each checked once more.
    ///
    /// # Errors
    /// [`ShardsError::Conflict`] when the plan was applied already, has no moves, or is for a topology
    /// that has changed since; nothing is queued then.
    pub async fn apply_plan(
        &self,
        namespace: &str,
        name: &str,
        id: u64,
    ) -> Result<PlanView, ShardsError> {
        until_settled(|| async {
            let mut situation = self.situation(namespace, name).await?;
            let place = situation.place.clone();
            let (revision, mut plans) = self.stored_plans(&place).await?;
            let plan = plans.get_mut(id).ok_or_else(|| no_plan(id))?;
            let cluster = &situation.stored.document;
            match plan.state(cluster, &situation.queue) {
                PlanState::Proposed => {}
                PlanState::NothingToDo => {
                    return Err(ShardsError::Conflict(format!("plan {id} has no moves")));
                }
                PlanState::Stale => {
                    return Err(ShardsError::Conflict(format!(
                        "plan {id} is for version {} of the topology, which has version {} now: ask \
                         for a new plan",
                        plan.version, cluster.version
                    )));
                }
                _ => {
                    return Err(ShardsError::Conflict(format!(
                        "plan {id} was applied already"
                    )));
                }
            }
            let trigger = plan.trigger.clone();
            let cool_down_ms = self.cool_down(cluster, &trigger);
            for planned in &mut plan.moves {
                if planned.refused.is_none() {
                    planned.refused = situation.checks(cool_down_ms).refuse(planned);
                }
                if planned.refused.is_none() {
                    let PlannedMove {
                        slots, to_shard, ..
                    } = *planned;
                    planned.migration = Some(situation.queue.add(slots, to_shard, false));
                }
            }
            if plan.accepted().next().is_none() {
                let reasons = plan.moves.iter().filter_map(|p| p.refused.as_deref());
                return Err(ShardsError::Conflict(format!(
                    "no move of plan {id} can be made any more: {}",
                    reasons.collect::<Vec<_>>().join("; ")
                )));
            }
            plan.applied_at_ms = Some(now_ms());
            let text = format!(
                "plan {id} of {} ({trigger}) is carried out: {} moves",
                plan.policy,
                plan.accepted().count()
            );
            let view = PlanView::of(plan, cluster, &situation.queue);
            let (plans_key, queue_key) = (
                keys::plans(&place.0, &place.1),
                keys::migrations(&place.0, &place.1),
            );
            let cluster_key = keys::cluster(&place.0, &place.1);
            let txn = Txn::new()
                .guard(Space::Shards, cluster_key, situation.stored.modified)
                .guard(Space::Shards, plans_key.as_str(), revision)
                .guard(Space::Shards, queue_key.as_str(), situation.queue_revision)
                .put(Space::Shards, plans_key, encode(&plans))
                .put(Space::Shards, queue_key, encode(&situation.queue));
            self.commit_with(&place, txn, &[(EventKind::Plan, text)])
                .await?;
            Ok(view)
        })
        .await
    }

    /// How a cluster is balanced by itself; none where it is not.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn automatic(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Automatic>, ShardsError> {
        Ok(self.find(namespace, name).await?.2.document.automatic)
    }

    /// Sets how a cluster is balanced by itself; none for not at all.
    ///
    /// # Errors
    /// [`ShardsError`] with what is wrong; nothing changes then.
    pub async fn set_automatic(
        &self,
        namespace: &str,
        name: &str,
        automatic: Option<Automatic>,
    ) -> Result<(), ShardsError> {
        if let Some(automatic) = &automatic {
            automatic
                .check()
                .map_err(|(at, message)| ShardsError::invalid(at, message))?;
            let binding = format!("{namespace}/{name}");
            let valid = self
                .policies
                .validate(&automatic.policy, &binding, &automatic.settings);
            valid.await.map_err(policy_error)?;
        }
        self.note(namespace, name, |cluster| {
            cluster.automatic.clone_from(&automatic);
            Ok(())
        })
        .await
        .map(drop)
    }

    /// For how long a slot that was moved is left where it is, by what asked for the plan.
    fn cool_down(&self, cluster: &Cluster, trigger: &str) -> u64 {
        let unseen = [Trigger::Periodic, Trigger::Hot];
        if unseen.iter().any(|unseen| unseen.to_string() == trigger) {
            self.options.with(&cluster.settings).move_cool_down_ms
        } else {
            // A person sees the plan before it is applied.
            0
        }
    }

    async fn situation(&self, namespace: &str, name: &str) -> Result<Situation, ShardsError> {
        let (namespace, name, stored) = self.find(namespace, name).await?;
        let (queue_revision, queue) = self.queue(&namespace, &name).await?;
        let probes = self.probe_all(&stored.document).await;
        let ids = stored.document.nodes().map(|(_, node)| node.id.clone());
        Ok(Situation {
            seen: ids.zip(probes).collect(),
            place: (namespace, name),
            stored,
            queue_revision,
            queue,
        })
    }

    /// What the masters say of their load.
    async fn sample(&self, cluster: &Cluster) -> Sample {
        let first = self.loads(cluster).await;
        let began = Instant::now();
        let mut slots = first.values().flat_map(|load| &load.slots);
        let has_totals = slots.any(|slot| slot.cpu_usec.or(slot.network_bytes).is_some());
        let second = if has_totals {
            sleep(WATCH).await;
            self.loads(cluster).await
        } else {
            HashMap::new()
        };
        Sample {
            first,
            second,
            seconds: began.elapsed().as_secs_f64(),
            at_ms: now_ms(),
        }
    }

    async fn loads(&self, cluster: &Cluster) -> HashMap<NodeId, Statistics> {
        let engine = self.engines.of(cluster.engine);
        let masters = cluster
            .shards
            .iter()
            .filter_map(|shard| Some((shard.master()?, shard)));
        let loads = masters.map(|(master, shard)| async move {
            let access = self.secrets.access(master).ok()?;
            let load = engine.statistics(&access, &shard.slots);
            // A node that tells nothing is one of which nothing is known.
            let load = timeout(STATISTICS, load).await.ok()?.ok()?;
            Some((master.id.clone(), load))
        });
        join_all(loads).await.into_iter().flatten().collect()
    }

    async fn add_plan(&self, place: &Place, plan: Plan) -> Result<Plan, ShardsError> {
        until_settled(|| async {
            let (revision, mut plans) = self.stored_plans(place).await?;
            let added = plans.add(plan.clone());
            self.put_plans(place, revision, &plans).await?;
            Ok::<_, ShardsError>(added)
        })
        .await
    }

    pub(crate) async fn put_plans(
        &self,
        place: &Place,
        revision: Revision,
        plans: &Plans,
    ) -> Result<(), ShardsError> {
        let key = keys::plans(&place.0, &place.1);
        let txn = Txn::new().guard(Space::Shards, key.as_str(), revision).put(
            Space::Shards,
            key,
            encode(plans),
        );
        Ok(self.documents.commit(txn).await.map(drop)?)
    }

    pub(crate) async fn stored_plans(
        &self,
        place: &(Name, Name),
    ) -> Result<(Revision, Plans), ShardsError> {
        let key = keys::plans(&place.0, &place.1);
        let stored: Option<Stored<Plans>> =
            self.documents.load(&key, Consistency::Linearizable).await?;
        Ok(match stored {
            Some(stored) => (stored.modified, stored.document),
            None => (Revision::ZERO, Plans::default()),
        })
    }
}

fn no_plan(id: u64) -> ShardsError {
    ShardsError::NotFound(format!("plan {id}"))
}

fn policy_error(failure: PolicyFailure) -> ShardsError {
    match failure {
        PolicyFailure::Missing(text) => ShardsError::invalid("policy", text),
        PolicyFailure::Settings(text) => ShardsError::invalid("settings", text),
        PolicyFailure::Failed(text) => ShardsError::Policy(text),
    }
}
