//! What an operator can tune.

use serde::{Deserialize, Serialize};

/// Steering's options. Every number has its unit in its name or is a count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SteeringOptions {
    /// How often each zone is compared with what is wanted, even when nothing is known to have
    /// changed: how long a change by hand can last. Milliseconds.
    pub interval_ms: u64,
    /// Per binding: calls that may leave within a second. One call may make several requests.
    pub calls_per_second: u32,
    /// Per binding: zones that are worked on at the same time.
    pub zones_at_once: usize,
    /// Changes handed over in one call. A change may take a provider several requests, and a call has
    /// a deadline.
    pub changes_per_call: usize,
    /// Pages read of one zone before the read is given up as endless.
    pub max_pages: usize,
    /// The pause after a first failure; doubled with each further one. Milliseconds.
    pub backoff_min_ms: u64,
    /// The longest pause. Milliseconds.
    pub backoff_max_ms: u64,
}

impl Default for SteeringOptions {
    fn default() -> Self {
        Self {
            interval_ms: 10_000,
            calls_per_second: 10,
            zones_at_once: 4,
            changes_per_call: 50,
            max_pages: 1_000,
            backoff_min_ms: 1_000,
            backoff_max_ms: 300_000,
        }
    }
}
