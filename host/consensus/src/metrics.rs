//! Raft's state in the KV contract's shape.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::Fatal;
use openraft::metrics::RaftMetrics;
use openraft::{Instant, ServerState};
use serde::Serialize;

use crate::member::Member;
use crate::raft::{LogId, StoredMembership, TypeConfig, Vote};
use crate::types::MemberId;

/// Nanoseconds since the epoch.
type Moment = u64;

/// What `/metrics` shows inside `"Ok"`. Moments are nanoseconds since the epoch.
#[derive(Debug, Clone, Serialize)]
pub struct MetricsView {
    running_state: Result<(), Fatal<TypeConfig>>,
    id: MemberId,
    current_term: u64,
    vote: Vote,
    last_log_index: Option<u64>,
    last_applied: Option<LogId>,
    snapshot: Option<LogId>,
    purged: Option<LogId>,
    state: ServerState,
    current_leader: Option<MemberId>,
    millis_since_quorum_ack: Option<u64>,
    last_quorum_acked: Option<Moment>,
    membership_config: StoredMembership,
    heartbeat: Option<BTreeMap<MemberId, Option<Moment>>>,
    replication: Option<BTreeMap<MemberId, Option<LogId>>>,
}

impl MetricsView {
    /// When each member was last heard; null except on the leader.
    pub fn heartbeat(&self) -> impl Serialize + '_ {
        &self.heartbeat
    }

    /// Up to where each member has the log; null except on the leader.
    pub fn replication(&self) -> impl Serialize + '_ {
        &self.replication
    }
}

impl Member {
    /// Raft's state as it is now.
    pub fn metrics(&self) -> MetricsView {
        let metrics = self.raft_metrics();
        MetricsView {
            running_state: metrics.running_state,
            id: metrics.id,
            current_term: metrics.current_term,
            vote: metrics.vote,
            last_log_index: metrics.last_log_index,
            last_applied: metrics.last_applied,
            snapshot: metrics.snapshot,
            purged: metrics.purged,
            state: metrics.state,
            current_leader: metrics.current_leader,
            millis_since_quorum_ack: metrics
                .last_quorum_acked
                .map(|at| at.elapsed().as_millis() as u64),
            last_quorum_acked: metrics.last_quorum_acked.map(|at| moment(at.elapsed())),
            membership_config: (*metrics.membership_config).clone(),
            heartbeat: metrics.heartbeat.map(|heard| {
                heard
                    .into_iter()
                    .map(|(id, at)| (id, at.map(|at| moment(at.elapsed()))))
                    .collect()
            }),
            replication: metrics.replication,
        }
    }

    pub(crate) fn raft_metrics(&self) -> RaftMetrics<TypeConfig> {
        // Cloned at once: a guard that is held can block the core.
        self.raft().metrics().borrow_watched().clone()
    }
}

/// The moment that lies `ago` in the past.
fn moment(ago: Duration) -> Moment {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.saturating_sub(ago).as_nanos()).unwrap_or(u64::MAX)
}
