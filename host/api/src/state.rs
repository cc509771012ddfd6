//! What every handler sees.

use std::sync::Arc;

use portolan_consensus::{Limits, Member};
use portolan_sandbox::Plugins;
use portolan_shards::Shards;
use portolan_steering::Steering;
use prometheus::Registry;

use crate::ContractSecret;
use crate::metrics::HttpMetrics;

/// The daemon, as the API sees it: one immutable value behind an `Arc`.
pub struct ApiState {
    /// This daemon's member of the Raft group.
    pub member: Member,
    /// Sharded clusters.
    pub shards: Arc<Shards>,
    /// DNS steering.
    pub steering: Arc<Steering>,
    /// The plugins of this daemon's directory.
    pub plugins: Plugins,
    /// What other DNS nodes show to this one.
    pub contract: ContractSecret,
    /// What a key and a value may measure; bodies are bounded accordingly.
    pub limits: Limits,
    /// Everything that `GET /metrics` shows.
    pub registry: Registry,
    /// How requests are counted.
    pub http: HttpMetrics,
}
