//! How often a target is looked at, and how many looks count.

use std::time::Duration;

use super::tally::Sight;

/// The longest that anything here may last, and that lines ever wait for their return: one hour.
pub(super) const HOUR_MS: u64 = 3_600_000;
/// No target gains from being asked more often, and some take it for an attack.
const MIN_INTERVAL_MS: u64 = 200;
/// Less than the way to another city and back would call every such target down.
const MIN_TIMEOUT_MS: u64 = 50;
const MAX_TIMEOUT_MS: u64 = 60_000;
const MAX_IN_A_ROW: u64 = 100;

/// How often a target is looked at, how patiently, and how many looks count. Times are in
/// milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pace {
    /// From the end of one look to the beginning of the next.
    pub interval_ms: u64,
    /// How long one look may take, from the first packet to the last byte.
    pub timeout_ms: u64,
    /// The interval where the target is down; `interval_ms`, unless given.
    pub down_interval_ms: Option<u64>,
    /// The timeout where the target is down; `timeout_ms`, unless given.
    pub down_timeout_ms: Option<u64>,
    /// Failures in a row that make a member call the target down.
    pub down_after: u32,
    /// Successes in a row that make a member call a target up again that it called down.
    pub up_after: u32,
    /// How long a target must have been up again before its lines return to it. It is doubled with
    /// every further time that it went down within an hour, up to one hour; 0 has lines return at once.
    pub stable_ms: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            interval_ms: 1_000,
            // A lost first packet is sent again after one second (RFC 6298 §2): one alone is no failure.
            timeout_ms: 1_500,
            down_interval_ms: None,
            down_timeout_ms: None,
            down_after: 3,
            up_after: 5,
            stable_ms: 60_000,
        }
    }
}

impl Pace {
    /// The interval for a target that is seen so.
    pub fn interval_ms(&self, sight: Sight) -> u64 {
        match sight {
            Sight::Down => self.down_interval_ms.unwrap_or(self.interval_ms),
            Sight::Up | Sight::Unknown => self.interval_ms,
        }
    }

    /// The timeout for a target that is seen so.
    pub fn timeout(&self, sight: Sight) -> Duration {
        Duration::from_millis(match sight {
            Sight::Down => self.down_timeout_ms.unwrap_or(self.timeout_ms),
            Sight::Up | Sight::Unknown => self.timeout_ms,
        })
    }

    /// Whether the numbers can be; the error is the field and the sentence.
    pub(super) fn validate(&self) -> Result<(), (String, String)> {
        let intervals = MIN_INTERVAL_MS..=HOUR_MS;
        let timeouts = MIN_TIMEOUT_MS..=MAX_TIMEOUT_MS;
        let counts = 1..=MAX_IN_A_ROW;
        let ms = "milliseconds";
        let bounds = [
            ("interval_ms", Some(self.interval_ms), intervals.clone(), ms),
            ("timeout_ms", Some(self.timeout_ms), timeouts.clone(), ms),
            ("down_interval_ms", self.down_interval_ms, intervals, ms),
            ("down_timeout_ms", self.down_timeout_ms, timeouts, ms),
            (
                "down_after",
                Some(self.down_after.into()),
                counts.clone(),
                "failures in a row",
            ),
            (
                "up_after",
                Some(self.up_after.into()),
                counts,
                "successes in a row",
            ),
            ("stable_ms", Some(self.stable_ms), 0..=HOUR_MS, ms),
        ];
        for (field, given, allowed, unit) in bounds {
            if let Some(given) = given.filter(|given| !allowed.contains(given)) {
                let (least, most) = allowed.into_inner();
                let sentence = format!("is {given}; write {least} to {most} {unit}");
                return Err((field.to_owned(), sentence));
            }
        }
        Ok(())
    }
}
