//! What an operator can tune.

use serde::{Deserialize, Serialize};

use crate::notify::AlarmOptions;

/// Steering's options. Every number has its unit in its name or is a count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SteeringOptions {
    /// How often each zone is compared with what is wanted, even when nothing is known to have
    /// changed: how long a change by hand can last. Milliseconds.
    pub interval_ms: u64,
    /// Per binding that does not say it itself: calls that may leave within a second. One call may make
    /// several requests. The provider `local` has no rate.
    pub calls_per_second: u32,
    /// Per binding: zones that are worked on at the same time, and as many that plans look at.
    pub zones_at_once: usize,
    /// Pages read of one zone before the read is given up as endless.
    pub max_pages: usize,
    /// The pause after a first failure; doubled with each further one. Milliseconds.
    pub backoff_min_ms: u64,
    /// The longest pause. Milliseconds.
    pub backoff_max_ms: u64,
    /// How often the leader hears what the voters see, and decides. Milliseconds.
    pub judge_interval_ms: u64,
    /// How often a member looks for the addresses of its own site, where they are to be found.
    /// Milliseconds.
    pub address_interval_ms: u64,
    /// How long something must be wrong before webhooks are told. Milliseconds.
    pub alarm_hold_ms: u64,
    /// After which time they are told again if it still is; 0 never. Milliseconds.
    pub alarm_repeat_ms: u64,
}

impl SteeringOptions {
    pub(crate) fn alarms(&self) -> AlarmOptions {
        AlarmOptions {
            hold_ms: self.alarm_hold_ms,
            repeat_ms: self.alarm_repeat_ms,
        }
    }
}

impl Default for SteeringOptions {
    fn default() -> Self {
        Self {
            interval_ms: 10_000,
            calls_per_second: 10,
            zones_at_once: 4,
            max_pages: 1_000,
            backoff_min_ms: 1_000,
            backoff_max_ms: 60_000,
            judge_interval_ms: 500,
            address_interval_ms: 60_000,
            alarm_hold_ms: 0,
            alarm_repeat_ms: 14_400_000,
        }
    }
}
