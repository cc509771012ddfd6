//! This crate's Prometheus metrics.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Counters and histograms that the log, the checkpoint and the peers feed as they work. Gauges that
/// follow Raft's own state are set from its metrics ([`crate::Member::observe`]).
pub(crate) struct Telemetry {
    pub log_fsync_seconds: Histogram,
    pub log_disk_bytes: IntGauge,
    pub checkpoint_seconds: Histogram,
    pub checkpoint_rows: IntCounter,
    pub keys: prometheus::IntGaugeVec,
    pub live_bytes: IntGauge,
    pub term: IntGauge,
    pub is_leader: IntGauge,
    pub has_leader: IntGauge,
    pub last_log_index: IntGauge,
    pub applied_index: IntGauge,
    pub voters: IntGauge,
    pub learners: IntGauge,
    pub leader_changes: IntCounter,
    pub peer_requests: IntCounterVec,
    pub snapshots_sent: IntCounter,
    pub read_rounds: IntCounter,
    pub reads: IntCounter,
}

impl Telemetry {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let disk = vec![
            0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0,
        ];
        let histogram = |name: &str, help: &str| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(disk.clone()))
        };
        let telemetry = Self {
            log_fsync_seconds: histogram(
                "portolan_raft_log_fsync_seconds",
                "Time to put a batch of Raft log entries on disk.",
            )?,
            log_disk_bytes: IntGauge::new(
                "portolan_raft_log_disk_bytes",
                "Size of the Raft log on disk.",
            )?,
            checkpoint_seconds: histogram(
                "portolan_store_checkpoint_seconds",
                "Time to write one checkpoint.",
            )?,
            checkpoint_rows: IntCounter::new(
                "portolan_store_checkpoint_rows_total",
                "Rows that checkpoints have written.",
            )?,
            keys: prometheus::IntGaugeVec::new(
                Opts::new("portolan_store_keys", "Keys held, by space."),
                &["space"],
            )?,
            live_bytes: IntGauge::new(
                "portolan_store_live_bytes",
                "Keys and values held in memory, with their overhead.",
            )?,
            term: IntGauge::new("portolan_raft_term", "The current Raft term.")?,
            is_leader: IntGauge::new(
                "portolan_raft_is_leader",
                "1 while this member leads the group.",
            )?,
            has_leader: IntGauge::new(
                "portolan_raft_has_leader",
                "1 while this member knows a leader.",
            )?,
            last_log_index: IntGauge::new(
                "portolan_raft_last_log_index",
                "Index of the last entry in this member's log.",
            )?,
            applied_index: IntGauge::new(
                "portolan_raft_applied_index",
                "Index of the last entry applied on this member.",
            )?,
            voters: IntGauge::new("portolan_raft_voters", "Voters in the membership.")?,
            learners: IntGauge::new("portolan_raft_learners", "Learners in the membership.")?,
            leader_changes: IntCounter::new(
                "portolan_raft_leader_changes_total",
                "Leader changes that this member has seen.",
            )?,
            peer_requests: IntCounterVec::new(
                Opts::new(
                    "portolan_raft_peer_requests_total",
                    "Requests to other members, by kind and outcome.",
                ),
                &["kind", "outcome"],
            )?,
            snapshots_sent: IntCounter::new(
                "portolan_raft_snapshots_sent_total",
                "Snapshots sent to other members.",
            )?,
            read_rounds: IntCounter::new(
                "portolan_raft_read_rounds_total",
                "Quorum checks made for linearizable reads.",
            )?,
            reads: IntCounter::new(
                "portolan_raft_linearizable_reads_total",
                "Linearizable reads that those checks answered.",
            )?,
        };
        telemetry.register_all(registry)?;
        Ok(telemetry)
    }

    fn register_all(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let collectors: Vec<Box<dyn prometheus::core::Collector>> = vec![
            Box::new(self.log_fsync_seconds.clone()),
            Box::new(self.log_disk_bytes.clone()),
            Box::new(self.checkpoint_seconds.clone()),
            Box::new(self.checkpoint_rows.clone()),
            Box::new(self.keys.clone()),
            Box::new(self.live_bytes.clone()),
            Box::new(self.term.clone()),
            Box::new(self.is_leader.clone()),
            Box::new(self.has_leader.clone()),
            Box::new(self.last_log_index.clone()),
            Box::new(self.applied_index.clone()),
            Box::new(self.voters.clone()),
            Box::new(self.learners.clone()),
            Box::new(self.leader_changes.clone()),
            Box::new(self.peer_requests.clone()),
            Box::new(self.snapshots_sent.clone()),
            Box::new(self.read_rounds.clone()),
            Box::new(self.reads.clone()),
        ];
        for collector in collectors {
            registry.register(collector)?;
        }
        Ok(())
    }
}
