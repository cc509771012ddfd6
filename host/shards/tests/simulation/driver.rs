//! One run: what is done, and what goes wrong meanwhile.

mod faults;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use portolan_shards::engine::Access;
use portolan_shards::{
    Cluster, EngineKind, JobAction, NewCluster, NewNodes, NodeAddr, Role, Shard, ShardsError,
    SlotRange,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{sleep, timeout};

use self::faults::Fault;
use crate::end;
use crate::history::History;
use crate::stage::{CLUSTER, NAMESPACE, Stage, addrs};
use crate::trace::Trace;
use crate::writer::{Promises, write};

/// What is done in one run.
const STEPS: usize = 60;
const MAX_SHARDS: usize = 6;
const MAX_NODES: usize = 5;
/// No operation may take longer, whatever goes wrong.
const TIME_LIMIT: Duration = Duration::from_secs(15);

/// How far replicas are behind in some seeds.
const LAG: Duration = Duration::from_millis(5);

/// What came together.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) operations: u64,
    pub(crate) faults: u64,
    pub(crate) failovers: u64,
    pub(crate) migrations: u64,
    pub(crate) written: u64,
}

impl Done {
    pub(crate) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.faults += other.faults;
        self.failovers += other.failovers;
        self.migrations += other.migrations;
        self.written += other.written;
    }
}

struct Driver {
    stage: Arc<Stage>,
    trace: Arc<Trace>,
    history: Arc<History>,
    promises: Arc<Promises>,
    random: StdRng,
    password: &'static str,
    /// Replicas are behind their masters; so no node that may be a master ever dies.
    lags: bool,
    faults: Vec<(NodeAddr, Fault)>,
    done: Done,
    /// Nodes that were taken out of the cluster.
    spare: Vec<Access>,
    accesses: Vec<Access>,
}

/// Runs one seed. The error is what went wrong, with the trace.
pub(crate) async fn run(seed: u64) -> Result<Done, String> {
    let trace = Arc::new(Trace::new(seed));
    let stage = Arc::new(Stage::new().await);
    let history = History::new(&trace);
    let follower = history.follow(&stage);
    let random = StdRng::seed_from_u64(seed);
    let promises = Arc::new(Promises::default());
    let mut driver = Driver {
        stage: stage.clone(),
        trace: trace.clone(),
        history: history.clone(),
        promises: promises.clone(),
        random,
        password: if seed.is_multiple_of(3) {
            "a password"
        } else {
            ""
        },
        lags: seed % 5 == 4,
        faults: vec![],
        done: Done::default(),
        spare: vec![],
        accesses: vec![],
    };
    driver.begin().await;
    let writer = write(stage.clone(), promises.clone(), seed);
    for _ in 0..STEPS {
        if trace.has_failed() {
            break;
        }
        driver.step().await;
    }
    writer.abort();
    let _ = writer.await;
    driver.heal();
    if !trace.has_failed() {
        end::check(&stage, &trace, &promises).await;
    }
    follower.abort();
    let _ = follower.await;
    driver.done.migrations = end::migrations_done(&stage).await;
    stage.end().await;
    trace.verdict()?;
    driver.done.failovers = history.failovers.load(Ordering::Relaxed);
    driver.done.written = promises.kept.lock().len() as u64;
    Ok(driver.done)
}

impl Driver {
    async fn begin(&mut self) {
        let (shards, per_shard) = (
            self.random.random_range(1..=6),
            self.random.random_range(1..=4),
        );
        // The twin can stop migrations, as Redis can. It does not hand over as Redis does, by waiting
        // for a replica that is behind.
        let kind = if self.lags || self.random.random() {
            EngineKind::Kvrocks
        } else {
            EngineKind::Redis
        };
        self.stage
            .twin
            .pace_migrations(self.random.random_range(5..50));
        let mut nodes = vec![];
        for _ in 0..shards * per_shard {
            nodes.push(self.fresh().addr.to_string());
        }
        self.trace
            .note(format!("{kind}: {shards} shards of {per_shard} nodes"));
        let shards = self.stage.shards();
        shards.create_namespace(NAMESPACE).await.unwrap();
        let wanted = NewCluster {
            name: CLUSTER.into(),
            nodes: self.nodes(nodes),
            replicas: per_shard,
            engine: Some(kind),
        };
        shards.create_cluster(NAMESPACE, wanted).await.unwrap();
        self.stage.work();
    }

    fn nodes(&self, nodes: Vec<String>) -> NewNodes {
        NewNodes {
            nodes,
            password: self.password.to_owned().into(),
        }
    }

    fn fresh(&mut self) -> Access {
        let access = self.stage.twin.start(self.password);
        if self.lags {
            self.stage.twin.set_lag(&access.addr, LAG);
        }
        self.accesses.push(access.clone());
        access
    }

    fn below(&mut self, count: usize) -> usize {
        self.random.random_range(0..count)
    }

    async fn step(&mut self) {
        match self.below(10) {
            0..4 => self.operate().await,
            4..7 => self.hurt().await,
            7..9 => self.mend(),
            _ => {}
        }
        let ms = self.random.random_range(0..60);
        sleep(Duration::from_millis(ms)).await;
    }

    async fn operate(&mut self) {
        let cluster = self.stage.stored().await;
        let shard = self.below(cluster.shards.len());
        let operation = self.operation(&cluster, shard);
        let Ok(outcome) = timeout(TIME_LIMIT, operation).await else {
            let limit = TIME_LIMIT.as_secs();
            return self
                .trace
                .fail(format!("an operation takes longer than {limit} s"));
        };
        self.done.operations += 1;
        let (what, outcome) = outcome;
        match outcome {
            Ok(()) => self.trace.note(what),
            Err(error) => self.trace.note(format!("{what}: {error}")),
        }
    }

    async fn operation(
        &mut self,
        cluster: &Cluster,
        shard: usize,
    ) -> (String, Result<(), ShardsError>) {
        let shards = self.stage.shards();
        let count = cluster.shards.len();
        match self.below(12) {
            0 | 1 => self.fail_over(cluster, shard).await,
            2..=5 => {
                let target = self.below(count);
                let range = self.some_slots(cluster, shard);
                let done = shards
                    .migrate_slots(NAMESPACE, CLUSTER, &[range], target, false)
                    .await;
                (format!("migrate {range} to shard {target}"), done.map(drop))
            }
            6 if cluster.shards[shard].nodes.len() < MAX_NODES => {
                let node = self.spare.pop().unwrap_or_else(|| self.fresh());
                let nodes = self.nodes(vec![node.addr.to_string()]);
                let done = shards
                    .create_node(NAMESPACE, CLUSTER, shard, nodes, Role::Slave)
                    .await;
                (
                    format!("add {} to shard {shard}", node.addr),
                    done.map(drop),
                )
            }
            7 => {
                let nodes = &cluster.shards[shard].nodes;
                let at = self.below(nodes.len());
                let node = &nodes[at];
                let done = shards
                    .delete_node(NAMESPACE, CLUSTER, shard, node.id.as_str())
                    .await;
                if done.is_ok() {
                    self.retire(&node.addr);
                }
                (
                    format!("delete {} of shard {shard}", node.addr),
                    done.map(drop),
                )
            }
            8 if count < MAX_SHARDS => {
                let nodes = (0..=self.below(2)).map(|_| self.fresh().addr.to_string());
                let nodes: Vec<String> = nodes.collect();
                let what = format!("add a shard of {nodes:?}");
                let done = shards
                    .create_shard(NAMESPACE, CLUSTER, self.nodes(nodes))
                    .await;
                (what, done.map(drop))
            }
            9 => {
                let done = shards.delete_shard(NAMESPACE, CLUSTER, shard).await;
                if done.is_ok() {
                    for addr in addrs(cluster, shard) {
                        self.retire(&addr);
                    }
                }
                (format!("delete shard {shard}"), done.map(drop))
            }
            10 => {
                let force = self.random.random();
                let done = shards.sync(NAMESPACE, CLUSTER, force).await;
                (format!("sync (force: {force})"), done.map(drop))
            }
            _ => self.meddle().await,
        }
    }

    async fn fail_over(
        &mut self,
        cluster: &Cluster,
        shard: usize,
    ) -> (String, Result<(), ShardsError>) {
        let force = self.random.random();
        let Shard { id, slots, .. } = &cluster.shards[shard];
        self.history.reasons.lock().asking(*id);
        let shards = self.stage.shards();
        let done = shards
            .fail_over(NAMESPACE, CLUSTER, shard, None, force)
            .await;
        self.history.reasons.lock().asked(*id);
        if done.is_ok() && force {
            // What the new master does not have was given up by who asked for this.
            let after = self.stage.stored().await;
            let master = after.shards.iter().find(|shard| shard.id == *id);
            if let Some(master) = master.and_then(Shard::master) {
                self.promises
                    .give_up(slots, |key| self.stage.twin.value(&master.addr, key));
            }
        }
        let what = format!("fail over shard {shard} (force: {force})");
        (what, done.map(drop))
    }

    /// Changes a migration, or has another member lead.
    async fn meddle(&mut self) -> (String, Result<(), ShardsError>) {
        let shards = self.stage.shards();
        let jobs = match shards.migrations(NAMESPACE, CLUSTER).await {
            Ok(jobs) => jobs,
            Err(error) => return ("read the migrations".into(), Err(error)),
        };
        if jobs.is_empty() || self.below(4) == 0 {
            self.stage.succeed().await;
            return ("another leader".into(), Ok(()));
        }
        // The latest are those of which something can still become.
        let latest = jobs.len().min(3);
        let id = jobs[jobs.len() - 1 - self.below(latest)].job.id;
        let action = [JobAction::Cancel, JobAction::Pause, JobAction::Resume][self.below(3)];
        let done = shards
            .change_migration(NAMESPACE, CLUSTER, id, action)
            .await;
        (format!("{action:?} migration {id}"), done.map(drop))
    }

    fn some_slots(&mut self, cluster: &Cluster, shard: usize) -> SlotRange {
        let ranges = cluster.shards[shard].slots.ranges();
        if ranges.is_empty() {
            return SlotRange::new(0, 100).unwrap();
        }
        let range = ranges[self.random.random_range(0..ranges.len())];
        // All of it now and then, so that shards become empty and can be deleted.
        if self.below(3) == 0 {
            return range;
        }
        let first = self.random.random_range(range.first()..=range.last());
        let last = self.random.random_range(first..=range.last());
        SlotRange::new(first, last).unwrap()
    }

    fn retire(&mut self, addr: &NodeAddr) {
        let access = self.accesses.iter().find(|access| access.addr == *addr);
        self.spare.extend(access.cloned());
    }
}
