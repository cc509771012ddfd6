//! One zone's survivor at work: the machine, its clock and its calls.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::desk::{Desk, Reading};
use super::memory::MemoryFile;
use super::plans::ZonePlan;
use super::{Shown, monotonic_ms};
use crate::check::Sight;
use crate::names::ZoneName;
use crate::sites::{Intent, Site};
use crate::steering::Steering;
use crate::survivor::{
    Health, Input, Order, Plan, Quorum, SiteName, Survivor, SurvivorStatus, Timing, Verdicts,
};
use crate::targets;

/// Parts of an interval after which a call cannot take effect any more ([`Timing::flight`]).
const FLIGHTS: u32 = 8;
/// How soon a plan that cannot be is looked at again.
const RETRY: Duration = Duration::from_secs(5);

/// Keeps one zone.
pub(super) struct Keeper {
    steering: Arc<Steering>,
    zone: ZoneName,
    me: SiteName,
    memory: MemoryFile,
    /// By [`monotonic_ms`].
    started_ms: u64,
}

/// A machine with what it runs on.
struct Running {
    machine: Survivor,
    desk: Arc<Desk>,
    reading: Arc<Reading>,
    verdicts: Verdicts,
    calls: JoinSet<Input>,
    /// Whether the last memory could not be written: then nothing is ordered.
    forgetful: bool,
    trouble: Option<String>,
}

impl Keeper {
    pub(super) fn new(steering: Arc<Steering>, zone: ZoneName, me: SiteName) -> Self {
        let memory = MemoryFile::of(&steering.data, &zone);
        Self {
            steering,
            zone,
            me,
            memory,
            started_ms: monotonic_ms(),
        }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(
        self,
        mut plans: watch::Receiver<Arc<ZonePlan>>,
        mut quorum: watch::Receiver<Quorum>,
    ) {
        let mut running = loop {
            let zone_plan = Arc::clone(&plans.borrow_and_update());
            match self.begin(&zone_plan).await {
                Ok(running) => break running,
                Err(trouble) => {
                    self.show_trouble(&zone_plan, *quorum.borrow(), trouble);
                    tokio::select! {
                        () = sleep(RETRY) => {}
                        changed = plans.changed() => if changed.is_err() { return },
                    }
                }
            }
        };
        let zone_plan = Arc::clone(&running.reading.zone_plan);
        let mut tick = interval(flight(zone_plan.interval_ms) / 4);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stands = *quorum.borrow_and_update();
        self.step(&mut running, Input::Quorum(stands), &quorum)
            .await;
        loop {
            let input = tokio::select! {
                changed = plans.changed() => match changed {
                    Err(_) => return,
                    Ok(()) => {
                        let zone_plan = Arc::clone(&plans.borrow_and_update());
                        if self.replan(&mut running, &zone_plan).await {
                            tick = interval(flight(zone_plan.interval_ms) / 4);
                        }
                        Input::Tick
                    }
                },
                changed = quorum.changed() => match changed {
                    Err(_) => return,
                    Ok(()) => Input::Quorum(*quorum.borrow_and_update()),
                },
                Some(done) = running.calls.join_next() => match done {
                    Ok(input) => input,
                    // An answer that does not come is one that the machine waits for no longer.
                    Err(_) => Input::Tick,
                },
                _ = tick.tick() => Input::Tick,
            };
            let verdicts = self.verdicts(&running.reading.zone_plan);
            if verdicts != running.verdicts {
                running.verdicts = verdicts.clone();
                self.step(&mut running, Input::Verdicts(verdicts), &quorum)
                    .await;
            }
            self.step(&mut running, input, &quorum).await;
            self.show(&running, *quorum.borrow());
        }
    }

    async fn begin(&self, zone_plan: &Arc<ZonePlan>) -> Result<Running, String> {
        let desk = self.desk(zone_plan);
        let plan = self.plan(&desk, zone_plan).await?;
        let key = self.steering.cluster_key();
        let key = key.map_err(|error| error.to_string())?;
        let (me, memory) = (self.me.clone(), self.memory.read());
        let machine = Survivor::new(
            Arc::clone(&plan),
            me,
            key,
            rand::random(),
            memory,
            monotonic_ms(),
        );
        Ok(Running {
            machine,
            desk: Arc::new(desk),
            reading: Arc::new(Reading {
                zone_plan: Arc::clone(zone_plan),
                plan,
            }),
            verdicts: Verdicts::new(),
            calls: JoinSet::new(),
            forgetful: false,
            trouble: None,
        })
    }

    fn desk(&self, zone_plan: &ZonePlan) -> Desk {
        Desk::new(
            Arc::clone(&self.steering),
            self.zone.clone(),
            self.me.clone(),
            flight(zone_plan.interval_ms) * 2 / 3,
        )
    }

    async fn plan(&self, desk: &Desk, zone_plan: &ZonePlan) -> Result<Arc<Plan>, String> {
        let settle = desk.settle().await.map_err(|error| error.to_string())?;
        let interval = Duration::from_millis(zone_plan.interval_ms);
        let timing = Timing {
            interval,
            quorum_delay: interval,
            settle,
            flight: flight(zone_plan.interval_ms),
        };
        let plan = Plan::new(
            self.zone.clone(),
            zone_plan.revision,
            zone_plan.floor,
            zone_plan.rules.clone(),
            timing,
        );
        plan.map(Arc::new).map_err(|error| error.to_string())
    }

    /// Takes up another plan; answers whether its times are others. One that cannot be leaves what stands.
    async fn replan(&self, running: &mut Running, zone_plan: &Arc<ZonePlan>) -> bool {
        let before = running.reading.zone_plan.interval_ms;
        match self.plan(&running.desk, zone_plan).await {
            Ok(plan) => {
                running.trouble = None;
                running.machine.set_plan(Arc::clone(&plan));
                running.reading = Arc::new(Reading {
                    zone_plan: Arc::clone(zone_plan),
                    plan,
                });
                if before != zone_plan.interval_ms {
                    running.desk = Arc::new(self.desk(zone_plan));
                }
            }
            Err(trouble) => running.trouble = Some(trouble),
        }
        before != zone_plan.interval_ms
    }

    /// Tells the machine, and does what it orders.
    async fn step(&self, running: &mut Running, input: Input, quorum: &watch::Receiver<Quorum>) {
        let orders = running.machine.step(monotonic_ms(), input);
        for order in orders {
            match order {
                Order::Remember(memory) => {
                    let written = self.memory.write(memory).await;
                    if let Err(error) = &written
                        && !running.forgetful
                    {
                        tracing::error!(zone = %self.zone, %error,
                            "survivor memory cannot be written, so this member does nothing");
                    }
                    running.forgetful = written.is_err();
                }
                // As if the call had been lost, which the machine reckons with.
                _ if running.forgetful => {}
                order => self.begin_call(running, order, quorum),
            }
        }
    }

    fn begin_call(&self, running: &mut Running, order: Order, quorum: &watch::Receiver<Quorum>) {
        let (desk, reading) = (Arc::clone(&running.desk), Arc::clone(&running.reading));
        let zone = self.zone.clone();
        match order {
            Order::Read { id } => running.calls.spawn(async move {
                let read = desk.read(&reading).await;
                let read = read.inspect_err(|error| {
                    tracing::warn!(%zone, %error, "survivor mode: the zone could not be read");
                });
                Input::Read(id, read.ok())
            }),
            Order::Publish {
                id,
                name,
                text,
                not_after_ms,
            } => running.calls.spawn(async move {
                let answer = desk.set_value(&name, Some(&text), not_after_ms).await;
                Input::Answered(id, answer)
            }),
            Order::Withdraw {
                id,
                name,
                not_after_ms,
            } => running.calls.spawn(async move {
                Input::Answered(id, desk.set_value(&name, None, not_after_ms).await)
            }),
            Order::Point {
                id,
                lines,
                not_after_ms,
            } => {
                let quorum = quorum.clone();
                running.calls.spawn(async move {
                    let answer = desk.point(&reading, &lines, not_after_ms, &quorum).await;
                    Input::Answered(id, answer)
                })
            }
            Order::HandBack(deeds) => {
                let steering = Arc::clone(&self.steering);
                running.calls.spawn(async move {
                    let last = deeds.iter().map(|deed| deed.seq).max();
                    steering
                        .merge_deeds(&zone, &deeds, &reading.zone_plan)
                        .await;
                    Input::Merged(last.unwrap_or(0))
                })
            }
            Order::Remember(_) => return,
        };
    }

    /// How this member's own checks see the sites.
    fn verdicts(&self, plan: &ZonePlan) -> Verdicts {
        let world = self.steering.world();
        let addresses = world.addresses();
        let seen = |target: Option<targets::Target>| -> Option<Health> {
            let seen = self.steering.sights.of(&target?.id());
            Some(seen.map_or(Health::Unknown, |seen| health_of(seen.sight)))
        };
        let mut verdicts = Verdicts::new();
        for rule in &plan.rules {
            let service = world.services.get(&*rule.key.service);
            let Some(service) = service.map(|stored| &stored.document) else {
                continue;
            };
            for name in rule.sites() {
                let site = world.sites.get(name.as_str());
                let Some(site) = site.map(|stored| &stored.document) else {
                    continue;
                };
                let family = rule.key.family;
                let of_service = seen(targets::of_service(service, site, family, &addresses));
                let of_site = match is_this_member(site, self.steering.member.id()) {
                    true => None,
                    false => seen(targets::of_site(site, &addresses)),
                };
                let health = health(site, of_site, of_service);
                let key = (name.clone(), Arc::clone(&rule.key.service), family);
                verdicts.insert(key, health);
            }
        }
        verdicts
    }

    fn show(&self, running: &Running, quorum: Quorum) {
        let now_ms = monotonic_ms();
        let plan = &running.reading.zone_plan;
        let keys = || plan.rules.iter().map(|rule| &rule.key);
        let machine = &running.machine;
        let free = keys().filter(|key| machine.is_free(key, now_ms)).cloned();
        let clear = keys()
            .filter(|key| machine.group_may_move(key, now_ms))
            .cloned();
        let status = machine.status(now_ms);
        let (held, wanted) = (status.held.len(), status.wanted.len());
        self.steering.meter.survives(&self.zone, held, wanted);
        let shown = Shown {
            at_ms: now_ms,
            free: free.collect(),
            clear: clear.collect(),
            status,
            error: running.trouble.clone(),
            ..self.blank(plan, quorum)
        };
        self.publish(shown);
    }

    /// Who has never begun claims nothing.
    fn show_trouble(&self, plan: &ZonePlan, quorum: Quorum, trouble: String) {
        tracing::warn!(zone = %self.zone, trouble, "survivor mode cannot work");
        let former_life = flight(plan.interval_ms) * 5 / 4;
        let lives = Duration::from_millis(monotonic_ms() - self.started_ms);
        let is_over = lives > former_life;
        let keys = plan.rules.iter().map(|rule| rule.key.clone());
        let shown = Shown {
            free: keys.filter(|_| is_over && quorum != Quorum::Lost).collect(),
            for_ms: 2 * u64::try_from(RETRY.as_millis()).unwrap_or(u64::MAX),
            error: Some(trouble),
            ..self.blank(plan, quorum)
        };
        self.publish(shown);
    }

    fn publish(&self, shown: Shown) {
        let mut survivors = self.steering.survivors.lock();
        survivors.insert(self.zone.clone(), shown);
    }

    fn blank(&self, plan: &ZonePlan, quorum: Quorum) -> Shown {
        let code = plan.codes.get(&self.me).cloned();
        let flight = flight(plan.interval_ms).as_millis();
        Shown {
            at_ms: monotonic_ms(),
            for_ms: u64::try_from(flight).unwrap_or(u64::MAX),
            site: code.map_or_else(|| self.me.to_string(), |code| code.to_string()),
            interval_ms: plan.interval_ms,
            quorum,
            free: BTreeSet::new(),
            clear: BTreeSet::new(),
            status: SurvivorStatus::default(),
            error: None,
            left_out: plan.left_out.clone(),
        }
    }
}

fn flight(interval_ms: u64) -> Duration {
    Duration::from_millis(interval_ms) / FLIGHTS
}

/// Whether a site without a check of its own is as alive as this very member.
fn is_this_member(site: &Site, me: u64) -> bool {
    site.check.is_none() && site.member == Some(me)
}

fn health_of(sight: Sight) -> Health {
    match sight {
        Sight::Up => Health::Up,
        Sight::Down => Health::Down,
        Sight::Unknown => Health::Unknown,
    }
}

/// Of what needs both; what the operator forced stays forced.
fn health(site: &Site, of_site: Option<Health>, of_service: Option<Health>) -> Health {
    match site.intent {
        Intent::ForcedUp => return Health::Up,
        Intent::ForcedDown => return Health::Down,
        Intent::Auto | Intent::Draining => {}
    }
    let both = [of_site, of_service];
    let has = |health| both.contains(&Some(health));
    if has(Health::Down) {
        Health::Down
    } else if has(Health::Unknown) {
        Health::Unknown
    } else {
        Health::Up
    }
}
