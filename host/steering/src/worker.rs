//! The leader's worker: one round after another for each zone, for as long as this member leads.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portolan_consensus::documents::decode;
use portolan_consensus::{Consistency, Event, Record, Revision, Space, WatchError};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::documents::keys;
use crate::error::SteeringError;
use crate::memory::ZoneMemory;
use crate::names::{ServiceName, ZoneName};
use crate::services::{Service, Target};
use crate::steering::Steering;

/// How long rounds that run may take to end when leadership or the daemon does. A change that is
/// cut off after that is an intent without an outcome, which the next leader takes up.
const WIND_UP: Duration = Duration::from_secs(5);
/// How long to wait before the store is asked again after it refused.
const RETRY: Duration = Duration::from_secs(1);

/// Documents that may concern every zone.
const FOR_ALL: [&str; 4] = [keys::SITES, keys::PRESENCES, keys::PROVIDERS, keys::SERVES];

/// A zone as the worker sees it.
struct Task {
    due: Instant,
    /// Something changed while its round was running.
    again: bool,
    /// Not there while its round is running.
    memory: Option<Box<ZoneMemory>>,
}

/// A zone's memory, and when to look again.
type Finished = (Box<ZoneMemory>, Duration);

impl Steering {
    /// Observes sites, and whenever this member leads, decides who serves the lines and keeps the zones as
    /// they shall be, until `shutdown`.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let following = Arc::clone(&self).follow_world(shutdown.clone());
        let observing = Arc::clone(&self).observe(shutdown.clone());
        let detecting = Arc::clone(&self).keep_addresses(shutdown.clone());
        let surviving = Arc::clone(&self).survive(shutdown.clone());
        tokio::join!(
            following,
            observing,
            detecting,
            surviving,
            self.lead_when_elected(shutdown)
        );
    }

    async fn lead_when_elected(self: Arc<Self>, shutdown: CancellationToken) {
        let work = |term: CancellationToken| {
            let steering = Arc::clone(&self);
            async move {
                let judging = Arc::clone(&steering).judge(term.clone());
                let alarming = Arc::clone(&steering).raise_alarms(term.clone());
                tokio::join!(judging, alarming, Arc::clone(&steering).lead(term));
                steering.stop_leading();
            }
        };
        self.member.while_leading("steering", shutdown, work).await;
    }

    async fn lead(self: Arc<Self>, term: CancellationToken) {
        let mut worker = Worker {
            steering: self,
            term,
            tasks: BTreeMap::new(),
            running: JoinSet::new(),
            zones: HashMap::new(),
            followed: BTreeMap::new(),
        };
        worker.work().await;
        worker.wind_up().await;
    }
}

/// The zone of a service's document.
fn zone_of(key: &str, record: &Record) -> Option<ZoneName> {
    let service: Service = decode(key, &record.value).ok()?;
    Some(service.zone)
}

struct Worker {
    steering: Arc<Steering>,
    term: CancellationToken,
    tasks: BTreeMap<ZoneName, Task>,
    running: JoinSet<Finished>,
    /// Whose round each running task is.
    zones: HashMap<Id, ZoneName>,
    /// The nodes of clusters, as services last followed them.
    followed: BTreeMap<ServiceName, Result<Vec<IpAddr>, String>>,
}

impl Worker {
    async fn work(&mut self) {
        let mut plugins = self.steering.providers.changes();
        plugins.mark_unchanged();
        let mut more_plugins = true;
        while !self.term.is_cancelled() {
            let from = match self.find_zones().await {
                Ok(revision) => revision,
                Err(error) => {
                    tracing::warn!(%error, "wanted zones could not be read");
                    tokio::select! {
                        () = self.term.cancelled() => return,
                        () = tokio::time::sleep(RETRY) => continue,
                    }
                }
            };
            let member = &self.steering.member;
            let mut watch = member.watch(Space::Steering, "", from);
            let mut topologies = member.watch(Space::Shards, "", from);
            loop {
                self.start_due();
                let next = self.next_due();
                tokio::select! {
                    () = self.term.cancelled() => return,
                    event = watch.next() => match event {
                        Ok(event) => self.notice(&event),
                        Err(WatchError::Compacted { .. }) => break,
                        Err(WatchError::Closed) => return,
                    },
                    event = topologies.next() => match event {
                        Ok(_) => self.follow_clusters().await,
                        Err(WatchError::Compacted { .. }) => break,
                        Err(WatchError::Closed) => return,
                    },
                    changed = plugins.changed(), if more_plugins => match changed {
                        Ok(()) => {
                            self.steering.forget_pauses();
                            self.all_due();
                        }
                        // Nobody will tell any more: the store and the clock are left.
                        Err(_) => more_plugins = false,
                    },
                    Some(finished) = self.running.join_next_with_id() => self.finish(finished),
                    () = sleep_until(next) => {}
                }
            }
        }
    }

    /// Makes every zone with wanted records due, and answers the revision that this shows.
    async fn find_zones(&mut self) -> Result<Revision, SteeringError> {
        let store = &self.steering.store;
        let consistency = Consistency::Linearizable;
        let (mut zones, revision) = store.names(keys::ZONES, consistency).await?;
        zones.extend(store.names(keys::ZONE_SERVICES, consistency).await?.0);
        for zone in zones {
            match ZoneName::parse(&zone) {
                Ok(zone) => self.due(zone),
                Err(error) => tracing::warn!(zone, error, "a wanted zone has no valid name"),
            }
        }
        Ok(revision)
    }

    fn notice(&mut self, event: &Event) {
        let key = &event.key;
        let zone = |prefix| ZoneName::parse(key.strip_prefix(prefix)?).ok();
        if let Some(zone) = zone(keys::ZONES).or_else(|| zone(keys::ZONE_SERVICES)) {
            self.due(zone);
        } else if let Some(zone) = key.strip_prefix(keys::APPLY) {
            self.apply_now(zone);
        } else if let Some(name) = key.strip_prefix(keys::OWNERS) {
            self.service_due(name);
        } else if event.key.starts_with(keys::SERVICES) {
            if let Some(zone) = event
                .record
                .as_ref()
                .and_then(|record| zone_of(key, record))
            {
                self.due(zone);
            }
        } else if FOR_ALL.iter().any(|prefix| key.starts_with(prefix)) {
            self.all_due();
        }
    }

    /// An operator asked for it: what is waited for is tried now.
    fn apply_now(&mut self, zone: &str) {
        self.steering.forget_pauses();
        let asked = |it: &ZoneName| zone.is_empty() || it.as_str() == zone;
        let zones: Vec<ZoneName> = self.tasks.keys().filter(|it| asked(it)).cloned().collect();
        for zone in zones {
            if let Some(task) = self.tasks.get_mut(&zone)
                && task.memory.is_some()
            {
                task.memory = Some(Box::new(ZoneMemory::new(zone.clone())));
            }
            self.due(zone);
        }
    }

    /// Something changed in a cluster: what follows one of the nodes that are others now is due.
    async fn follow_clusters(&mut self) {
        let world = self.steering.world();
        let services = world.services.values().map(|stored| &stored.document);
        for service in services {
            let Target::Cluster(target) = &service.target else {
                continue;
            };
            let nodes = self.steering.clusters.nodes(target).await;
            let before = self.followed.insert(service.name.clone(), nodes.clone());
            if before.is_none_or(|before| before != nodes) {
                self.due(service.zone.clone());
            }
        }
    }

    /// Who serves a service's lines has changed.
    fn service_due(&mut self, name: &str) {
        let world = self.steering.world();
        if let Some(stored) = world.services.get(name) {
            self.due(stored.document.zone.clone());
        }
    }

    fn due(&mut self, zone: ZoneName) {
        let memory = Some(Box::new(ZoneMemory::new(zone.clone())));
        let now = Instant::now();
        let task = self.tasks.entry(zone).or_insert(Task {
            due: now,
            again: false,
            memory,
        });
        task.due = now;
        task.again = task.memory.is_none();
    }

    fn all_due(&mut self) {
        let zones: Vec<ZoneName> = self.tasks.keys().cloned().collect();
        zones.into_iter().for_each(|zone| self.due(zone));
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        for (zone, task) in self.tasks.iter_mut().filter(|(_, task)| task.due <= now) {
            let Some(mut memory) = task.memory.take() else {
                continue;
            };
            let (steering, term) = (Arc::clone(&self.steering), self.term.clone());
            let this = zone.clone();
            let round = self.running.spawn(async move {
                let due = steering.round(&this, &mut memory, &term).await;
                (memory, due)
            });
            self.zones.insert(round.id(), zone.clone());
        }
    }

    /// When the next zone is due that is not running; far away where there is none.
    fn next_due(&self) -> Instant {
        let idle = self.tasks.values().filter(|task| task.memory.is_some());
        let far = Instant::now() + Duration::from_secs(3_600);
        idle.map(|task| task.due).min().unwrap_or(far)
    }

    fn finish(&mut self, finished: Result<(Id, Finished), JoinError>) {
        let id = finished.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(zone) = self.zones.remove(&id) else {
            return;
        };
        let (memory, due) = match finished {
            Ok((_, finished)) => finished,
            Err(error) => {
                tracing::error!(%zone, %error, "a round ended abnormally");
                (Box::new(ZoneMemory::new(zone.clone())), RETRY)
            }
        };
        if let Some(task) = self.tasks.get_mut(&zone) {
            let again = std::mem::take(&mut task.again);
            task.due = Instant::now() + if again { Duration::ZERO } else { due };
            task.memory = Some(memory);
        }
    }

    /// Lets the rounds that run end: each stops before its next call of a provider.
    async fn wind_up(&mut self) {
        let all = async { while self.running.join_next().await.is_some() {} };
        if timeout(WIND_UP, all).await.is_err() {
            tracing::warn!(rounds = self.running.len(), "rounds cut off");
            self.running.shutdown().await;
        }
    }
}
