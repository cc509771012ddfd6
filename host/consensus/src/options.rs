//! How a member is set up. Every number has its unit in its name.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::StartError;
use crate::types::MemberId;

/// Everything that [`crate::Member::start`] needs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The id to run with; none takes the one in the data directory, or the next free one.
    pub id: Option<MemberId>,
    /// `host:port` where other members and clients reach this one.
    pub advertise: String,
    /// The data directory; made where it does not exist.
    pub data: PathBuf,
    /// What to do when the data directory is empty.
    pub start: StartMode,
    /// Raft's timing and the log's bounds.
    pub raft: RaftOptions,
    /// What a client may store.
    pub limits: Limits,
    /// Where this member's metrics go.
    pub registry: prometheus::Registry,
}

/// What a member with an empty data directory does. With data, it rejoins its group by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartMode {
    /// Founds a group of one.
    Bootstrap,
    /// Asks the group at one of these addresses to add it: as a learner first, as a voter when it has
    /// caught up.
    Join(Vec<String>),
    /// Waits for a group to add it (`POST /add-learner`).
    Standby,
}

/// How far apart the members stand: sets heartbeat and election timeouts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// One building or city. Heartbeat 100 ms, election 300 to 350 ms: a lost leader is replaced in
    /// about 0.7 s. The lease that blocks elections is the upper bound, so it stays close to the lower.
    #[default]
    Lan,
    /// Several cities, round trips up to 100 ms. Heartbeat 500 ms, election 2,000 to 2,500 ms.
    Wan,
}

/// How a linearizable read makes sure that nobody else leads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadMode {
    /// Asks a quorum (ReadIndex, Raft §6.4); all reads that wait share one round.
    #[default]
    Quorum,
    /// Trusts the leader's lease while it lasts; right as long as clocks of members do not drift by
    /// more than a heartbeat within an election timeout.
    Lease,
}

/// Raft's timing and the bounds of log and checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RaftOptions {
    /// Timing for members that are near (`lan`) or far (`wan`).
    pub profile: Profile,
    /// Overrides the profile's heartbeat interval, in milliseconds.
    pub heartbeat_ms: Option<u64>,
    /// Overrides the profile's election timeout, lower and upper bound in milliseconds.
    pub election_ms: Option<(u64, u64)>,
    /// A checkpoint that frees log is made after this many entries.
    pub snapshot_after: u64,
    /// This many entries stay in the log behind that checkpoint, for members that lag a little.
    pub log_keep: u64,
    /// The size of a log file, in bytes. Log is given back to the disk by whole files.
    pub log_chunk_bytes: u64,
    /// Changed keys go to disk this often, in milliseconds; a restart replays the log from there.
    pub checkpoint_ms: u64,
    /// How linearizable reads are confirmed.
    pub read: ReadMode,
}

impl Default for RaftOptions {
    fn default() -> Self {
        Self {
            profile: Profile::Lan,
            heartbeat_ms: None,
            election_ms: None,
            snapshot_after: 20_000,
            log_keep: 5_000,
            log_chunk_bytes: 16 << 20,
            checkpoint_ms: 1_000,
            read: ReadMode::Quorum,
        }
    }
}

impl RaftOptions {
    /// Heartbeat interval and election timeout bounds, in milliseconds.
    pub fn timing(&self) -> (u64, (u64, u64)) {
        let (heartbeat, election) = match self.profile {
            Profile::Lan => (100, (300, 350)),
            Profile::Wan => (500, (2_000, 2_500)),
        };
        (
            self.heartbeat_ms.unwrap_or(heartbeat),
            self.election_ms.unwrap_or(election),
        )
    }

    pub(crate) fn to_openraft(&self) -> Result<openraft::Config, StartError> {
        let (heartbeat_ms, (election_min_ms, election_max_ms)) = self.timing();
        if self.snapshot_after == 0 || self.log_chunk_bytes == 0 || self.checkpoint_ms == 0 {
            return Err(StartError::Options(
                "snapshot_after, log_chunk_bytes and checkpoint_ms must be greater than 0".into(),
            ));
        }
        openraft::Config {
            cluster_name: "portolan".into(),
            heartbeat_interval: heartbeat_ms,
            election_timeout_min: election_min_ms,
            election_timeout_max: election_max_ms,
            // Snapshots travel in chunks that carry deadlines of their own (peers/snapshot.rs).
            install_snapshot_timeout: 10 * 60 * 1_000,
            max_payload_entries: 1_024,
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_after),
            max_in_snapshot_log_to_keep: self.log_keep,
            // A purge is a log record of its own: not one for every entry.
            purge_batch_size: 256.min(self.snapshot_after),
            // Must exceed `snapshot_after`, or a snapshot would not help a lagging member.
            replication_lag_threshold: self.snapshot_after + self.log_keep + 1_000,
            // A member that is back should not wait for a whole second to be noticed.
            backoff: "50ms 100ms 200ms ...500ms".into(),
            broadcast_submitted_on_append: Some(true),
            enable_pre_vote: Some(true),
            // A leader that restarts has lost the commit index of its last moments: it would serve
            // reads without what it has acknowledged. It must be elected again.
            enable_leader_restore: Some(false),
            // A member whose disk lost the end of its log is filled up again by the leader.
            allow_log_reversion: Some(true),
            ..openraft::Config::default()
        }
        .validate()
        .map_err(|error| StartError::Options(error.to_string()))
    }
}

/// What a client may store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The longest key, in bytes.
    pub max_key_bytes: usize,
    /// The longest value, in bytes.
    pub max_value_bytes: usize,
    /// Keys and values together, in bytes. They live in memory; writes beyond it are refused, deletes
    /// still work.
    pub max_live_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_key_bytes: 4 << 10,
            max_value_bytes: 3 << 19,
            max_live_bytes: 2 << 30,
        }
    }
}
