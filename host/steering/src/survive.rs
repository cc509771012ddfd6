//! What a member does so that the lines of its site outlive the group's quorum: it carries out what
//! [`crate::survivor`] orders, zone by zone.
//!
//! * `plans`: what each zone's survivor mode rests on, from the world (pure).
//! * `group`: how the group stands, by who answers.
//! * `keeper`: one zone's machine, with its clock and its calls.
//! * `desk`: reading and writing the zone at its provider.
//! * `memory`: what must outlive a restart, in a file of this member alone.
//! * `deeds`: what was done without a quorum becomes the group's history.
//! * `leave`: what the leader asks before it moves such a line.

mod deeds;
mod desk;
mod group;
mod keeper;
mod leave;
mod memory;
mod plans;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use portolan_consensus::MemberId;
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub(crate) use self::deeds::Merged;
pub(crate) use self::desk::needs_the_group;
use self::keeper::Keeper;
pub(crate) use self::leave::Leave;
use self::plans::{ZonePlan, plans};
use crate::names::ZoneName;
use crate::steering::Steering;
use crate::survivor::{LineKey, Quorum, SiteName, SurvivorStatus};

/// What this member's survivors show: asked by the leader and by operators.
pub(crate) type Survivors = BTreeMap<ZoneName, Shown>;

/// How it stands with one zone on this member.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// When this was so, by [`monotonic_ms`].
    pub(crate) at_ms: u64,
    /// How long it counts, in milliseconds.
    pub(crate) for_ms: u64,
    pub(crate) site: String,
    pub(crate) interval_ms: u64,
    pub(crate) quorum: Quorum,
    /// Lines that this member has nothing to do with.
    pub(crate) free: BTreeSet<LineKey>,
    /// Lines that nobody claims in the zone, as read by this member.
    pub(crate) clear: BTreeSet<LineKey>,
    pub(crate) status: SurvivorStatus,
    pub(crate) error: Option<String>,
    pub(crate) left_out: Vec<String>,
}

/// How survivor mode stands in one zone, as `GET /api/v1/dns/survivor` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SurvivorView {
    /// The zone.
    pub zone: ZoneName,
    /// The site that the answering member stands for.
    pub site: String,
    /// How often a site without a quorum renews its value. Milliseconds.
    pub interval_ms: u64,
    /// `whole`, `partial` or `lost`.
    pub quorum: Quorum,
    /// Whether the site keeps a value in the zone.
    pub shows_itself: bool,
    /// The other sites whose values count as signs of life.
    pub live: Vec<String>,
    /// The lines that the site holds without the group.
    pub held: Vec<String>,
    /// The lines that it claims and does not hold yet.
    pub wanted: Vec<String>,
    /// Why it cannot do its part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Lines that no site could take over without the group, and why.
    pub left_out: Vec<String>,
}

/// This machine's time since it was started, in milliseconds; it goes on while the machine sleeps.
pub(crate) fn monotonic_ms() -> u64 {
    // Every Linux since 2.6.39 has this clock.
    let Ok(time) = clock_gettime(ClockId::CLOCK_BOOTTIME) else {
        return 0;
    };
    let ms = Duration::from(time).as_millis();
    u64::try_from(ms).unwrap_or(u64::MAX)
}

impl Steering {
    /// Keeps the zones whose services are in survivor mode, as far as this member stands for a site of
    /// theirs, until `shutdown`.
    pub(crate) async fn survive(self: Arc<Self>, shutdown: CancellationToken) {
        let mut worlds = self.world.subscribe();
        let mut kept: BTreeMap<ZoneName, Kept> = BTreeMap::new();
        let (quorums, quorum) = watch::channel(Quorum::Lost);
        let mut looking: Option<Looking> = None;
        let surviving = async {
            loop {
                let world = Arc::clone(&worlds.borrow_and_update());
                let mine = self.plans_of_this_member(plans(&world));
                let members = mine
                    .values()
                    .flat_map(|it| it.plan.members.values().copied());
                let members: BTreeSet<MemberId> = members.collect();
                if looking.as_ref().map(|it| &it.members) != Some(&members) {
                    looking = (!members.is_empty()).then(|| {
                        let look = Arc::clone(&self)
                            .keep_looking_at_group(members.clone(), quorums.clone());
                        let task = AbortOnDropHandle::new(tokio::spawn(look));
                        Looking {
                            members,
                            _task: task,
                        }
                    });
                }
                self.start_and_end_keepers(mine, &quorum, &mut kept);
                if worlds.changed().await.is_err() {
                    return;
                }
            }
        };
        shutdown.run_until_cancelled(surviving).await;
    }

    /// The plans in which this member's site has a part.
    fn plans_of_this_member(
        &self,
        plans: BTreeMap<ZoneName, ZonePlan>,
    ) -> BTreeMap<ZoneName, Mine> {
        let me = self.member.id();
        let mine = plans.into_iter().filter_map(|(zone, plan)| {
            let mut sites = plan.members.iter();
            let (site, _) = sites.find(|(_, member)| **member == me)?;
            let (site, plan) = (site.clone(), Arc::new(plan));
            Some((zone, Mine { site, plan }))
        });
        mine.collect()
    }

    /// Starts, informs and ends keepers.
    fn start_and_end_keepers(
        self: &Arc<Self>,
        mut mine: BTreeMap<ZoneName, Mine>,
        quorum: &watch::Receiver<Quorum>,
        kept: &mut BTreeMap<ZoneName, Kept>,
    ) {
        kept.retain(|zone, kept| {
            let stays = mine.get(zone).is_some_and(|mine| mine.site == kept.site);
            if !stays {
                self.survivors.lock().remove(zone);
            }
            stays && !kept.task.is_finished()
        });
        for (zone, kept) in kept.iter() {
            if let Some(mine) = mine.remove(zone) {
                kept.plans.send_if_modified(|plan| {
                    let changed = **plan != *mine.plan;
                    *plan = mine.plan;
                    changed
                });
            }
        }
        for (zone, Mine { site, plan }) in mine {
            let (plans, told) = watch::channel(plan);
            let keeper = Keeper::new(Arc::clone(self), zone.clone(), site.clone());
            let task = AbortOnDropHandle::new(tokio::spawn(keeper.run(told, quorum.clone())));
            kept.insert(zone, Kept { site, plans, task });
        }
    }

    /// How it stands with survivor mode here, zone by zone.
    pub fn survivor_views(&self) -> Vec<SurvivorView> {
        let shown = self.survivors.lock();
        let views = shown.iter().map(|(zone, shown)| {
            let of = |lines: &[LineKey]| lines.iter().map(ToString::to_string).collect();
            let status = &shown.status;
            let twin = status.twin.then(|| {
                format!(
                    "another member writes as the site {}; set only one member as its own",
                    shown.site
                )
            });
            SurvivorView {
                zone: zone.clone(),
                site: shown.site.clone(),
                interval_ms: shown.interval_ms,
                quorum: shown.quorum,
                shows_itself: status.shows_itself,
                live: status.live.iter().map(ToString::to_string).collect(),
                held: of(&status.held),
                wanted: of(&status.wanted),
                error: shown.error.clone().or(twin),
                left_out: shown.left_out.clone(),
            }
        });
        views.collect()
    }
}

/// A zone in which this member's site has a part.
struct Mine {
    site: SiteName,
    plan: Arc<ZonePlan>,
}

/// A running keeper.
struct Kept {
    site: SiteName,
    plans: watch::Sender<Arc<ZonePlan>>,
    task: AbortOnDropHandle<()>,
}

/// The task that looks how the group stands.
struct Looking {
    members: BTreeSet<MemberId>,
    _task: AbortOnDropHandle<()>,
}
