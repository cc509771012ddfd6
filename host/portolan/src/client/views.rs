//! What the server shows, as far as it is printed. A field that a server does not send is empty here, and
//! one that is unknown here is passed over.

use std::collections::BTreeMap;

use portolan_shards::SlotRange;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// A cluster.
#[derive(Debug, Deserialize)]
pub(super) struct Cluster {
    #[serde(default)]
    pub(super) version: u64,
    #[serde(default)]
    pub(super) engine: String,
    pub(super) shards: Vec<Shard>,
}

/// A shard.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Shard {
    /// Stays the same when shards before it go.
    #[serde(default)]
    pub(super) id: Option<u64>,
    #[serde(default)]
    pub(super) nodes: Vec<Node>,
    #[serde(default)]
    slot_ranges: Option<Vec<SlotRange>>,
    #[serde(default)]
    migrating_slot: Moving,
    #[serde(default)]
    import_slot: Moving,
    #[serde(default)]
    target_shard_index: Option<i64>,
    #[serde(default)]
    pub(super) weight: Option<f64>,
    #[serde(default)]
    pub(super) zone: Option<String>,
    #[serde(default)]
    pub(super) draining: bool,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

/// A node.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) addr: String,
    pub(super) role: String,
    /// Empty unless it was asked for.
    #[serde(default)]
    pub(super) password: String,
    /// None unless it was asked for.
    #[serde(default)]
    status: Option<Status>,
}

/// How a node is at the moment.
#[derive(Debug, Deserialize)]
struct Status {
    state: String,
    #[serde(default)]
    reason: Option<String>,
}

impl Node {
    /// `up`, or `down: why`; empty where it was not asked for.
    pub(super) fn status(&self) -> String {
        match &self.status {
            None => String::new(),
            Some(Status {
                state,
                reason: Some(reason),
            }) => format!("{state}: {reason}"),
            Some(status) => status.state.clone(),
        }
    }
}

/// Slots on their way: -1 for none, a number for one, text for a range.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
enum Moving {
    Range(SlotRange),
    Number(i32),
    Other(IgnoredAny),
    #[default]
    Nothing,
}

impl Moving {
    fn range(&self) -> Option<SlotRange> {
        match self {
            Self::Range(range) => Some(*range),
            Self::Number(slot) => u16::try_from(*slot).ok().and_then(SlotRange::single),
            Self::Other(_) | Self::Nothing => None,
        }
    }
}

impl Shard {
    /// The slots that it serves, ascending.
    pub(super) fn slots(&self) -> &[SlotRange] {
        self.slot_ranges.as_deref().unwrap_or_default()
    }

    /// How many slots it serves.
    pub(super) fn slot_count(&self) -> u16 {
        self.slots().iter().map(|range| range.count()).sum()
    }

    /// Slots on their way out.
    pub(super) fn leaving(&self) -> Option<SlotRange> {
        self.migrating_slot.range()
    }

    /// Slots on their way in.
    pub(super) fn arriving(&self) -> Option<SlotRange> {
        self.import_slot.range()
    }

    /// The shard that [`Self::leaving`] go to.
    pub(super) fn goes_to(&self) -> Option<usize> {
        usize::try_from(self.target_shard_index?).ok()
    }

    pub(super) fn master(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.role == "master")
    }
}

/// A migration.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Migration {
    pub(super) id: u64,
    pub(super) slots: SlotRange,
    /// The id of the shard that they go to.
    pub(super) target: u64,
    pub(super) state: MigrationState,
    #[serde(default)]
    pub(super) attempts: u32,
    #[serde(default)]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) slots_done: Option<u64>,
    #[serde(default)]
    pub(super) slots_total: Option<u64>,
    #[serde(default)]
    pub(super) keys_moved: Option<u64>,
    #[serde(default)]
    pub(super) bytes_left: Option<u64>,
    #[serde(default)]
    pub(super) rate_slots_per_s: Option<f64>,
    /// Milliseconds since 1970.
    #[serde(default)]
    pub(super) expected_end_ms: Option<u64>,
}

impl Migration {
    pub(super) fn total(&self) -> u64 {
        self.slots_total.unwrap_or(self.slots.count().into())
    }

    /// How many slots have arrived.
    pub(super) fn done(&self) -> u64 {
        match self.state {
            MigrationState::Done => self.total(),
            _ => self.slots_done.unwrap_or_default(),
        }
    }
}

/// Where a migration stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(super) enum MigrationState {
    Done,
    Failed,
    Cancelled,
    /// On its way, in the server's word for it.
    Pending(String),
}

impl From<String> for MigrationState {
    fn from(word: String) -> Self {
        match word.as_str() {
            "done" => Self::Done,
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            _ => Self::Pending(word),
        }
    }
}

impl MigrationState {
    pub(super) fn word(&self) -> &str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Pending(word) => word,
        }
    }
}

/// Something that happened to a cluster.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    #[serde(default)]
    pub(super) number: u64,
    pub(super) at_ms: u64,
    pub(super) kind: String,
    pub(super) text: String,
}

/// What a policy would have moved.
#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    #[serde(default)]
    pub(super) id: Value,
    #[serde(default)]
    pub(super) policy: Value,
    #[serde(default)]
    pub(super) trigger: Value,
    /// The version of the topology that it is for.
    #[serde(default)]
    pub(super) version: Value,
    #[serde(default)]
    pub(super) state: Value,
    #[serde(default)]
    pub(super) created_at_ms: Option<u64>,
    #[serde(default)]
    pub(super) moves: Vec<Move>,
    #[serde(default)]
    pub(super) score_before: Value,
    #[serde(default)]
    pub(super) score_after: Value,
    #[serde(default)]
    pub(super) nothing_to_do: Option<Vec<Value>>,
    #[serde(default)]
    pub(super) rejected: Option<Vec<Move>>,
}

/// A move of a plan, or one that was thought of and rejected.
#[derive(Debug, Deserialize)]
pub(super) struct Move {
    #[serde(default)]
    pub(super) slots: Value,
    #[serde(default)]
    pub(super) from: Value,
    #[serde(default)]
    pub(super) to: Value,
    #[serde(default)]
    pub(super) priority: Value,
    #[serde(default)]
    pub(super) reason: Value,
    #[serde(default)]
    pub(super) text: Value,
    #[serde(default)]
    pub(super) expected_gain: Value,
    #[serde(default)]
    pub(super) estimated_bytes: Option<u64>,
    #[serde(default)]
    pub(super) refused: Value,
    #[serde(default)]
    pub(super) migration: Option<u64>,
}

impl Plan {
    /// Whether applying it would move anything.
    pub(super) fn can_be_applied(&self) -> bool {
        self.moves.iter().any(|step| step.refused.is_null())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_shard_is_read_as_the_contract_shows_it() {
        let shard: Shard = from_value(json!({
            "nodes": [{"id": "a", "addr": "h:1", "role": "master", "created_at": 1,
                       "status": {"state": "down", "reason": "no answer"}}],
            "slot_ranges": ["0-99", "200"], "migrating_slot": 5, "import_slot": -1,
            "target_shard_index": 2, "new": {}
        }))
        .unwrap();
        assert_eq!(shard.slot_count(), 101);
        assert_eq!(shard.leaving(), SlotRange::single(5));
        assert_eq!((shard.arriving(), shard.goes_to()), (None, Some(2)));
        let master = shard.master().unwrap();
        assert_eq!(
            (&*master.addr, &*master.status()),
            ("h:1", "down: no answer")
        );

        let empty: Shard = from_value(
            json!({"slot_ranges": null, "import_slot": "7-9", "target_shard_index": -1}),
        )
        .unwrap();
        assert_eq!((empty.slot_count(), empty.goes_to()), (0, None));
        assert_eq!(empty.arriving(), SlotRange::new(7, 9));
        let strange: Shard = from_value(json!({"migrating_slot": {"a": 1}})).unwrap();
        assert_eq!(strange.leaving(), None);
    }

    #[test]
    fn a_migration_needs_no_progress() {
        let old: Migration =
            from_value(json!({"id": 1, "slots": "0-9", "target": 1, "state": "starting"})).unwrap();
        assert_eq!((old.done(), old.total()), (0, 10));
        assert_eq!(old.state.word(), "starting");
        let done = Migration {
            state: MigrationState::Done,
            ..old
        };
        assert_eq!(done.done(), 10);
    }
}
