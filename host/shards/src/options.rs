//! What an operator can tune.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The options of sharded clusters. Every number has its unit in its name or is a count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShardsOptions {
    /// How often every node is asked how it is. Milliseconds.
    pub probe_interval_ms: u64,
    /// How long an answer may take. Milliseconds.
    pub probe_timeout_ms: u64,
    /// A master that has not answered so many times in a row is failed over, when a majority of the
    /// voters does not reach it either.
    pub failover_after: u32,
    /// No failover while more than this share of a cluster of more than 10 nodes does not answer: then
    /// it is rather the network. Percent.
    pub safe_mode_percent: u32,
}

impl Default for ShardsOptions {
    fn default() -> Self {
        Self {
            probe_interval_ms: 1_000,
            probe_timeout_ms: 1_000,
            failover_after: 3,
            safe_mode_percent: 60,
        }
    }
}

impl ShardsOptions {
    pub(crate) fn probe_interval(&self) -> Duration {
        Duration::from_millis(self.probe_interval_ms.max(10))
    }

    pub(crate) fn probe_timeout(&self) -> Duration {
        Duration::from_millis(self.probe_timeout_ms.max(10))
    }
}
