//! Observing: every voter looks for itself at what is checked, and tells the leader when asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use portolan_consensus::MemberId;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::check::{Finding, Sight, Tally};
use crate::clock::now_ms;
use crate::sites::Site;
use crate::steering::Steering;
use crate::targets::{self, Target, TargetId};
use crate::world::World;

/// What a member sees of all that is checked.
const SIGHTS: &str = "steering/sights";
/// Answered by every member that lives.
const HERE: &str = "steering/here";

/// How one member sees one target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) sight: Sight,
    /// Milliseconds since 1970, by the observer's clock.
    pub(crate) since_ms: u64,
    /// When it was last seen up; 0 where it never was. By the same clock.
    #[serde(default)]
    pub(crate) last_up_ms: u64,
    /// Why it is not up.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
}

/// What one member sees.
pub(crate) type Sightings = BTreeMap<TargetId, Seen>;

/// What this member sees.
#[derive(Default)]
pub(crate) struct Sights(Mutex<Sightings>);

impl Sights {
    pub(crate) fn all(&self) -> Sightings {
        self.0.lock().clone()
    }

    pub(crate) fn of(&self, target: &TargetId) -> Option<Seen> {
        self.0.lock().get(target).cloned()
    }

    fn set(&self, target: &TargetId, seen: Seen) {
        self.0.lock().insert(target.clone(), seen);
    }

    fn forget(&self, target: &TargetId) {
        self.0.lock().remove(target);
    }
}

impl Steering {
    /// Has this member answer what others ask.
    pub(crate) fn answer_questions(self: &Arc<Self>) {
        self.on_ask(SIGHTS, |steering, _| steering.sights.all());
        self.member.on_ask(HERE, |_| async { b"here".to_vec() });
    }

    /// Looks at everything that is checked, each at its own pace, for as long as this member votes.
    pub(crate) async fn observe(self: Arc<Self>, shutdown: CancellationToken) {
        let mut looking: BTreeMap<TargetId, AbortOnDropHandle<()>> = BTreeMap::new();
        let mut worlds = self.world.subscribe();
        let mut seen = World::default();
        while !shutdown.is_cancelled() {
            let world = Arc::clone(&worlds.borrow_and_update());
            if !world.checks_like(&seen) {
                self.look_at(world.targets(), &mut looking);
                seen = (*world).clone();
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                changed = worlds.changed() => if changed.is_err() { return },
            }
        }
    }

    fn look_at(
        self: &Arc<Self>,
        targets: BTreeMap<TargetId, Target>,
        looking: &mut BTreeMap<TargetId, AbortOnDropHandle<()>>,
    ) {
        looking.retain(|id, _| {
            let stays = targets.contains_key(id);
            if !stays {
                self.sights.forget(id);
            }
            stays
        });
        for (id, target) in targets {
            looking.entry(id.clone()).or_insert_with(|| {
                let look = Arc::clone(self).keep_looking(id, target);
                AbortOnDropHandle::new(tokio::spawn(look))
            });
        }
    }

    async fn keep_looking(self: Arc<Self>, id: TargetId, target: Target) {
        let pace = target.pace();
        let mut tally = Tally::new(now_ms());
        let mut last_up_ms = 0;
        loop {
            let due_ms = tally.due_ms(&pace, rand::random());
            sleep(Duration::from_millis(due_ms.saturating_sub(now_ms()))).await;
            let (finding, reason) = self.look(&target, tally.sight()).await;
            let at_ms = now_ms();
            if finding == Finding::Success {
                last_up_ms = at_ms;
            }
            if tally.hear(at_ms, finding, &pace) {
                tracing::debug!(%target, sight = ?tally.sight(), reason, "sight changed");
            }
            let seen = Seen {
                sight: tally.sight(),
                since_ms: tally.since_ms(),
                last_up_ms,
                reason,
            };
            self.sights.set(&id, seen);
        }
    }

    async fn look(&self, target: &Target, sight: Sight) -> (Finding, String) {
        match target {
            Target::Server { address, check } => {
                let probed = self
                    .prober
                    .probe(*address, check, check.pace.timeout(sight))
                    .await;
                let reason = probed.as_ref().err().map(ToString::to_string);
                (Finding::from(&probed), reason.unwrap_or_default())
            }
            Target::Member(id) if *id == self.member.id() => (Finding::Success, String::new()),
            Target::Member(id) => {
                let timeout = target.pace().timeout(sight);
                match self.member.ask(*id, HERE, Vec::new(), timeout).await {
                    Ok(_) => (Finding::Success, String::new()),
                    Err(error) => (Finding::Failure, error.to_string()),
                }
            }
        }
    }

    /// What every voter sees; none where one does not say.
    pub(crate) async fn all_sightings(&self) -> BTreeMap<MemberId, Option<Sightings>> {
        let asked = self.member.voters().into_iter().map(async |id| {
            if id == self.member.id() {
                return (id, Some(self.sights.all()));
            }
            let told = self.ask(id, SIGHTS, Vec::new()).await;
            (id, told.ok().flatten())
        });
        join_all(asked).await.into_iter().collect()
    }
}

impl World {
    /// Whether the same is checked as in another world.
    pub(crate) fn checks_like(&self, other: &Self) -> bool {
        self.sites.ptr_eq(&other.sites)
            && self.services.ptr_eq(&other.services)
            && self.presences.ptr_eq(&other.presences)
    }

    /// Whether the same decisions on lines follow, but for the time.
    pub(crate) fn decides_like(&self, other: &Self) -> bool {
        self.checks_like(other)
            && self.owners.ptr_eq(&other.owners)
            && self.verdicts.ptr_eq(&other.verdicts)
    }

    /// All that is checked.
    pub(crate) fn targets(&self) -> BTreeMap<TargetId, Target> {
        let purposes = self.purposes();
        purposes
            .into_iter()
            .map(|(id, (target, _))| (id, target))
            .collect()
    }

    /// All that is checked, and what for.
    pub(crate) fn purposes(&self) -> BTreeMap<TargetId, (Target, Vec<String>)> {
        let sites: Vec<&Site> = self.sites.values().map(|stored| &stored.document).collect();
        let services = self.services.values().map(|stored| &stored.document);
        targets::all(&sites, services, &self.addresses())
    }
}
