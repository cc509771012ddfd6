//! What an operator can tune.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::slots::SlotSet;

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
    /// Whether masters that are down are replaced at all, or only reported.
    pub automatic_failover: bool,
    /// A slot that was moved is left where it is for so long by plans that nobody looks at before they
    /// are applied. Milliseconds.
    pub move_cool_down_ms: u64,
    /// A shard whose master uses more than this share of its disk or memory takes in no slots. Percent.
    pub max_fill_percent: u32,
}

impl Default for ShardsOptions {
    fn default() -> Self {
        Self {
            probe_interval_ms: 1_000,
            probe_timeout_ms: 1_000,
            failover_after: 3,
            safe_mode_percent: 60,
            automatic_failover: true,
            move_cool_down_ms: 600_000,
            max_fill_percent: 90,
        }
    }
}

/// What one cluster has different from the daemon's options. What is none is as in the options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterSettings {
    /// See [`ShardsOptions::probe_interval_ms`].
    pub probe_interval_ms: Option<u64>,
    /// See [`ShardsOptions::probe_timeout_ms`].
    pub probe_timeout_ms: Option<u64>,
    /// See [`ShardsOptions::failover_after`].
    pub failover_after: Option<u32>,
    /// See [`ShardsOptions::safe_mode_percent`].
    pub safe_mode_percent: Option<u32>,
    /// See [`ShardsOptions::automatic_failover`].
    pub automatic_failover: Option<bool>,
    /// See [`ShardsOptions::move_cool_down_ms`].
    pub move_cool_down_ms: Option<u64>,
    /// See [`ShardsOptions::max_fill_percent`].
    pub max_fill_percent: Option<u32>,
    /// Slots that no plan moves.
    pub excluded_slots: SlotSet,
}

impl ClusterSettings {
    /// What is wrong with them: the field and why.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let within = |field, value: Option<u64>, least: u64, most: u64| match value {
            Some(value) if !(least..=most).contains(&value) => {
                Err((field, format!("{value} is not from {least} to {most}")))
            }
            _ => Ok(()),
        };
        within("probe_interval_ms", self.probe_interval_ms, 100, 3_600_000)?;
        within("probe_timeout_ms", self.probe_timeout_ms, 10, 60_000)?;
        within(
            "failover_after",
            self.failover_after.map(u64::from),
            1,
            1_000,
        )?;
        let percent = self.safe_mode_percent.map(u64::from);
        within("safe_mode_percent", percent, 0, 100)?;
        let percent = self.max_fill_percent.map(u64::from);
        within("max_fill_percent", percent, 1, 100)
    }
}

impl ShardsOptions {
    /// With what one cluster has different.
    pub(crate) fn with(&self, settings: &ClusterSettings) -> Self {
        Self {
            probe_interval_ms: settings.probe_interval_ms.unwrap_or(self.probe_interval_ms),
            probe_timeout_ms: settings.probe_timeout_ms.unwrap_or(self.probe_timeout_ms),
            failover_after: settings.failover_after.unwrap_or(self.failover_after),
            safe_mode_percent: settings.safe_mode_percent.unwrap_or(self.safe_mode_percent),
            automatic_failover: settings
                .automatic_failover
                .unwrap_or(self.automatic_failover),
            move_cool_down_ms: settings.move_cool_down_ms.unwrap_or(self.move_cool_down_ms),
            max_fill_percent: settings.max_fill_percent.unwrap_or(self.max_fill_percent),
        }
    }

    pub(crate) fn probe_interval(&self) -> Duration {
        Duration::from_millis(self.probe_interval_ms.max(10))
    }

    pub(crate) fn probe_timeout(&self) -> Duration {
        Duration::from_millis(self.probe_timeout_ms.max(10))
    }
}
