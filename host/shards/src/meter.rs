//! Metrics: `portolan_shards_*`. Those of a cluster's state are the leader's alone, and go when leadership
//! does.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::events::EventKind;
use crate::migration::{JobState, Migrations};
use crate::service::Place;

/// What migrations are counted as.
const QUEUED: &str = "queued";
const UNDER_WAY: &str = "under_way";
const PARKED: &str = "parked";

/// The metrics of sharded clusters.
pub(crate) struct Meter {
    nodes: IntGaugeVec,
    migrations: IntGaugeVec,
    last_probe: GaugeVec,
    events: IntCounterVec,
}

impl Meter {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(format!("portolan_shards_{name}"), help);
        let meter = Self {
            nodes: IntGaugeVec::new(
                opts(
                    "nodes",
                    "Nodes of a cluster that answer (up) or do not (down).",
                ),
                &["namespace", "cluster", "state"],
            )?,
            migrations: IntGaugeVec::new(
                opts(
                    "migrations",
                    "Migrations of a cluster that wait, are under way, or were parked for somebody to look.",
                ),
                &["namespace", "cluster", "state"],
            )?,
            last_probe: GaugeVec::new(
                opts(
                    "last_probe_timestamp_seconds",
                    "When all nodes of a cluster were last asked how they are.",
                ),
                &["namespace", "cluster"],
            )?,
            events: IntCounterVec::new(
                opts("events_total", "What happened to a cluster, by kind."),
                &["namespace", "cluster", "kind"],
            )?,
        };
        registry.register(Box::new(meter.nodes.clone()))?;
        registry.register(Box::new(meter.migrations.clone()))?;
        registry.register(Box::new(meter.last_probe.clone()))?;
        registry.register(Box::new(meter.events.clone()))?;
        Ok(meter)
    }

    pub(crate) fn probed(&self, (namespace, cluster): &Place, up: usize, down: usize) {
        let (namespace, cluster) = (namespace.as_str(), cluster.as_str());
        for (state, count) in [("up", up), ("down", down)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.nodes
                .with_label_values(&[namespace, cluster, state])
                .set(count);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.last_probe
            .with_label_values(&[namespace, cluster])
            .set(now.map_or(0.0, |time| time.as_secs_f64()));
    }

    pub(crate) fn queue(&self, (namespace, cluster): &Place, queue: &Migrations) {
        let mut counts = [(QUEUED, 0), (UNDER_WAY, 0), (PARKED, 0)];
        for job in &queue.jobs {
            let at = match job.state {
                JobState::Done | JobState::Cancelled => continue,
                JobState::Queued | JobState::Paused => 0,
                JobState::Failed => 2,
                _ => 1,
            };
            counts[at].1 += 1;
        }
        for (state, count) in counts {
            self.migrations
                .with_label_values(&[namespace.as_str(), cluster.as_str(), state])
                .set(count);
        }
    }

    pub(crate) fn event(&self, (namespace, cluster): &Place, kind: EventKind) {
        self.events
            .with_label_values(&[namespace.as_str(), cluster.as_str(), &kind.to_string()])
            .inc();
    }

    /// Forgets a cluster's state: another member looks after it, or nobody any more.
    pub(crate) fn forget(&self, (namespace, cluster): &Place) {
        let (namespace, cluster) = (namespace.as_str(), cluster.as_str());
        // What was never set cannot be removed, and need not be.
        for state in ["up", "down"] {
            let _ = self.nodes.remove_label_values(&[namespace, cluster, state]);
        }
        for state in [QUEUED, UNDER_WAY, PARKED] {
            let _ = self
                .migrations
                .remove_label_values(&[namespace, cluster, state]);
        }
        let _ = self.last_probe.remove_label_values(&[namespace, cluster]);
    }
}
