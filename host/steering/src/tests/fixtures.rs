//! What the tests are made of.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use portolan_consensus::{Limits, Member, Options, RaftOptions, StartMode};
use prometheus::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::check::{ProbeOptions, Prober};
use crate::clusters::Clusters;
use crate::detect::{DetectOptions, Detector};
use crate::names::{DomainName, LineCode, RecordType, SetId, Ttl, ZoneName};
use crate::notify::{SendOptions, Sender};
use crate::options::SteeringOptions;
use crate::plan::{ActionKind, Wanted};
use crate::provider::{RecordData, RecordKey, RecordSet, RecordValue};
use crate::services::ClusterTarget;
use crate::status::{ZoneState, ZoneStatus};
use crate::steering::{Ports, Steering};
use crate::twin::{Twin, Twins};

pub(crate) fn zone() -> ZoneName {
    ZoneName::parse("example.com").unwrap()
}

/// `www A`, `www A CT`, `@ NS`.
pub(crate) fn key(text: &str) -> RecordKey {
    let words: Vec<&str> = text.split(' ').collect();
    RecordKey {
        name: DomainName::in_zone(words[0], &zone()).unwrap(),
        rtype: RecordType::parse(words[1]).unwrap(),
        line: LineCode::parse(words.get(2).unwrap_or(&"default")).unwrap(),
        set_id: SetId::none(),
    }
}

pub(crate) fn data(ttl: u32, contents: &[&str]) -> RecordData {
    let value = |content: &&str| RecordValue {
        content: (*content).to_owned(),
        weight: None,
        enabled: true,
    };
    RecordData {
        ttl,
        values: contents.iter().map(value).collect(),
    }
}

pub(crate) fn set(text: &str, contents: &[&str]) -> RecordSet {
    RecordSet::wanted(key(text), data(300, contents))
}

pub(crate) fn wanted(text: &str, contents: &[&str]) -> Wanted {
    Wanted {
        key: key(text),
        ttl: Ttl::new(300).unwrap(),
        values: data(300, contents).values,
        adopt: false,
        why: None,
    }
}

/// The nodes of every cluster, as a test says.
#[derive(Default)]
pub(crate) struct SaidClusters(Mutex<Option<Vec<IpAddr>>>);

impl SaidClusters {
    pub(crate) fn are_at(&self, nodes: &[&str]) {
        let nodes = nodes.iter().map(|node| node.parse().unwrap());
        *self.0.lock() = Some(nodes.collect());
    }
}

#[async_trait]
impl Clusters for SaidClusters {
    async fn nodes(&self, target: &ClusterTarget) -> Result<Vec<IpAddr>, String> {
        let nodes = self.0.lock().clone();
        nodes.ok_or_else(|| format!("there is no cluster {}", target.cluster))
    }
}

/// A member of its own with steering on top and a twin below.
pub(crate) struct Rig {
    pub(crate) twin: Arc<Twin>,
    pub(crate) clusters: Arc<SaidClusters>,
    pub(crate) steering: Arc<Steering>,
    pub(crate) member: Member,
    pub(crate) registry: Registry,
    data: TempDir,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::start_with(Twin::new(&zone()), options()).await
    }

    /// The same over another twin and with other options.
    pub(crate) async fn start_with(twin: Arc<Twin>, tuned: SteeringOptions) -> Self {
        let data = temporary();
        let options = Options {
            id: None,
            advertise: "127.0.0.1:8420".to_owned(),
            data: data.path().to_owned(),
            start: StartMode::Bootstrap,
            raft: RaftOptions::default(),
            limits: Limits::default(),
            registry: Registry::new(),
        };
        let member = Member::start(options).await.unwrap();
        let clusters = Arc::new(SaidClusters::default());
        let (steering, registry) = steering_on(data.path(), &member, &twin, &clusters, tuned);
        Self {
            twin,
            clusters,
            steering,
            member,
            registry,
            data,
        }
    }

    /// The same with a binding `main` that serves the zone.
    pub(crate) async fn bound() -> Self {
        let rig = Self::start().await;
        rig.bind(&["example.com"]).await;
        rig
    }

    /// Has a binding `main` that serves these zones.
    pub(crate) async fn bind(&self, zones: &[&str]) {
        let body = json!({"plugin": "twin", "zones": zones});
        let bound = self.steering.put_binding("main", body, None, false);
        bound.await.unwrap();
    }

    /// Like [`Rig::bound`], with the options that a daemon has unless it is told otherwise.
    pub(crate) async fn bound_as_shipped() -> Self {
        let twin = Twin::new(&zone());
        let rig = Self::start_with(twin, SteeringOptions::default()).await;
        rig.bind(&["example.com"]).await;
        rig
    }

    /// Wants these records: `("www A", &["192.0.2.1"])`.
    pub(crate) async fn want(&self, records: &[(&str, &[&str])]) {
        let record = |(at, values): &(&str, &[&str])| {
            let words: Vec<&str> = at.split(' ').collect();
            let line = words.get(2).unwrap_or(&"default");
            json!({"name": words[0], "type": words[1], "line": line, "ttl": 300, "values": values})
        };
        let records: Vec<Value> = records.iter().map(record).collect();
        let body = json!({ "records": records });
        self.steering
            .put_records("example.com", body, None, true)
            .await
            .unwrap();
    }

    /// Starts the worker.
    pub(crate) fn work(&self) -> Work {
        let stop = CancellationToken::new();
        let worker = tokio::spawn(Arc::clone(&self.steering).run(stop.clone()));
        Work { stop, worker }
    }

    /// Another daemon's steering on the same store, as after the death of the one before.
    pub(crate) fn succeed(&mut self) {
        (self.steering, self.registry) = steering_on(
            self.data.path(),
            &self.member,
            &self.twin,
            &self.clusters,
            options(),
        );
    }

    /// The same, where what failed once is not tried again for as long as a test takes.
    pub(crate) fn succeed_and_never_retry(&mut self) {
        let never = SteeringOptions {
            backoff_min_ms: 60_000,
            ..options()
        };
        (self.steering, self.registry) = steering_on(
            self.data.path(),
            &self.member,
            &self.twin,
            &self.clusters,
            never,
        );
    }

    pub(crate) async fn status(&self) -> ZoneStatus {
        self.steering.status().await.unwrap().remove(0)
    }

    /// Waits until there is nothing left to do and a whole round has begun and ended after that.
    pub(crate) async fn in_sync(&self) -> ZoneStatus {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let plan = self.steering.plan(None).await.unwrap().remove(0);
            let idle = plan.actions.iter().all(|it| it.action == ActionKind::None);
            let status = self.status().await;
            let good = idle && plan.error.is_none() && status.state == ZoneState::InSync;
            if !good {
                seen.clear();
            } else if !seen.contains(&status.last_reconcile_ms) {
                seen.push(status.last_reconcile_ms);
            }
            // The first may be of a round before, and the second have begun before.
            if seen.len() == 3 {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "not in sync: {plan:#?} {status:#?}"
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// What stands at a key.
    pub(crate) fn at(&self, text: &str) -> Option<RecordData> {
        self.twin.get(&key(text)).map(|set| set.data)
    }

    /// The value of a metric, summed over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == name)
            .unwrap();
        let value = |metric: &prometheus::proto::Metric| {
            metric.get_counter().get_value() + metric.get_gauge().get_value()
        };
        family.get_metric().iter().map(value).sum()
    }
}

/// Everything soon.
fn options() -> SteeringOptions {
    SteeringOptions {
        interval_ms: 30,
        calls_per_second: 10_000,
        backoff_min_ms: 20,
        backoff_max_ms: 60_000,
        ..SteeringOptions::default()
    }
}

/// In memory where there is such a place: nothing here is about the disk.
fn temporary() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .unwrap()
}

const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn steering_on(
    data: &Path,
    member: &Member,
    twin: &Arc<Twin>,
    clusters: &Arc<SaidClusters>,
    options: SteeringOptions,
) -> (Arc<Steering>, Registry) {
    let registry = Registry::new();
    let ports = Ports {
        providers: Arc::new(Twins(Arc::clone(twin))),
        clusters: Arc::clone(clusters) as Arc<dyn Clusters>,
        prober: Prober::new(ProbeOptions::default()).unwrap(),
        detector: Detector::new(DetectOptions::default()).unwrap(),
        sender: Sender::new(SendOptions::default()).unwrap(),
        data: data.to_owned(),
    };
    (
        Steering::new(member.clone(), ports, options, &registry).unwrap(),
        registry,
    )
}

/// A running worker.
pub(crate) struct Work {
    stop: CancellationToken,
    worker: JoinHandle<()>,
}

impl Work {
    /// As SIGTERM does it.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.worker.await.unwrap();
    }

    /// As SIGKILL does it: wherever it is, it is gone.
    pub(crate) async fn kill(self) {
        self.worker.abort();
        assert!(self.worker.await.unwrap_err().is_cancelled());
    }
}
