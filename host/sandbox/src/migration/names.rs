//! How enum cases are called in texts: as in the WIT.

use std::fmt;

use super::{Metric, MoveOutcome, Role, SlotRange, Trigger};

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Metric::Keys => "keys",
            Metric::Bytes => "bytes",
            Metric::Ops => "ops",
            Metric::Cpu => "cpu",
            Metric::Network => "network",
        })
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trigger::Manual => "manual",
            Trigger::ScaleOut => "scale-out",
            Trigger::Drain => "drain",
            Trigger::Periodic => "periodic",
            Trigger::Hot => "hot",
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Master => "master",
            Role::Replica => "replica",
        })
    }
}

impl fmt::Display for MoveOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MoveOutcome::Done => "done",
            MoveOutcome::Failed => "failed",
            MoveOutcome::Cancelled => "cancelled",
        })
    }
}

impl fmt::Display for SlotRange {
    /// `5-9`, or `5` for a single slot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}
