//! Clusters that balance themselves: when, by which policy, and how much.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a cluster is balanced by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Automatic {
    /// Which policy.
    pub policy: String,
    /// Its settings.
    #[serde(default = "no_settings")]
    pub settings: Value,
    /// How often. Seconds.
    #[serde(default = "Automatic::usual_interval")]
    pub interval_s: u64,
    /// Only within these hours; none for always.
    #[serde(default)]
    pub hours: Option<Hours>,
    /// The most moves at a time.
    #[serde(default = "Automatic::usual_moves")]
    pub max_moves: u32,
    /// The most slots at a time.
    #[serde(default = "Automatic::usual_slots")]
    pub max_slots: u32,
    /// The most bytes at a time, as far as they are known.
    #[serde(default)]
    pub max_bytes: Option<u64>,
}

fn no_settings() -> Value {
    Value::Object(serde_json::Map::new())
}

/// Hours of the day in UTC: from 22 to 6 is the night.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// From this hour on, 0 to 23.
    pub from: u8,
    /// Until this hour begins, 0 to 24.
    pub to: u8,
}

impl Automatic {
    /// The shortest interval. Seconds.
    const SHORTEST: u64 = 10;

    fn usual_interval() -> u64 {
        3_600
    }

    fn usual_moves() -> u32 {
        8
    }

    fn usual_slots() -> u32 {
        1_024
    }

    /// What is wrong with it: the field and why.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.interval_s < Self::SHORTEST {
            let text = format!("{} is below {}", self.interval_s, Self::SHORTEST);
            return Err(("interval_s", text));
        }
        match self.hours {
            Some(Hours { from, to }) if from > 23 || to > 24 || from == to => Err((
                "hours",
                format!("from {from} to {to} is no part of a day: write 22 and 6 for the night"),
            )),
            _ => Ok(()),
        }
    }

    /// Whether it may act now.
    pub(crate) fn is_due(&self, last_ms: u64, now_ms: u64) -> bool {
        let hour = now_ms / 3_600_000 % 24;
        let within = self.hours.is_none_or(|Hours { from, to }| {
            let (from, to) = (u64::from(from), u64::from(to));
            if from < to {
                (from..to).contains(&hour)
            } else {
                hour >= from || hour < to
            }
        });
        within && now_ms.saturating_sub(last_ms) >= self.interval_s.saturating_mul(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cluster_balances_itself_at_its_hours_only() {
        let automatic = |hours: Value| -> Automatic {
            serde_json::from_value(json!({"policy": "even-slots", "hours": hours})).unwrap()
        };
        let at = |hour: u64| hour * 3_600_000 + 24 * 3_600_000;
        let night = automatic(json!({"from": 22, "to": 6}));
        let due = |automatic: &Automatic| {
            let hours = (0..24).filter(|hour| automatic.is_due(0, at(*hour)));
            hours.collect::<Vec<u64>>()
        };
        assert_eq!(due(&night), [0, 1, 2, 3, 4, 5, 22, 23]);
        assert_eq!(due(&automatic(json!({"from": 3, "to": 5}))), [3, 4]);
        assert_eq!(due(&automatic(Value::Null)).len(), 24);
        assert!(!night.is_due(at(1), at(1) + 3_599_000), "an hour later");

        night.check().unwrap();
        for hours in [(24, 1), (1, 25), (3, 3)] {
            let wrong = automatic(json!({"from": hours.0, "to": hours.1}));
            assert_eq!(wrong.check().unwrap_err().0, "hours");
        }
        let hasty: Automatic =
            serde_json::from_value(json!({"policy": "x", "interval_s": 1})).unwrap();
        assert_eq!(hasty.check().unwrap_err().0, "interval_s");
    }
}
