//! What a webhook is told.

use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Something that is wrong. Kind and subject together are its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What is wrong, as one word: `site-down`.
    pub kind: String,
    /// With what: a site's name, a zone's.
    pub subject: String,
    /// A sentence.
    pub summary: String,
    /// Since when. Milliseconds since 1970.
    pub since_ms: u64,
}

/// Whether a condition is there or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// It is there.
    Firing,
    /// It is gone.
    Resolved,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Whether the condition is there or gone.
    pub state: MessageState,
    /// The condition; of one that is gone, as it was last seen.
    pub condition: Condition,
}

impl MessageState {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

impl Condition {
    /// Since when, in UTC: `2026-02-03T04:05:06Z`.
    pub(super) fn since(&self) -> String {
        // The end of the year 9999, beyond which there is no such spelling.
        const LATEST_MS: u64 = 253_402_300_799_999;
        let since = UNIX_EPOCH + Duration::from_millis(self.since_ms.min(LATEST_MS));
        humantime::format_rfc3339_seconds(since).to_string()
    }
}
