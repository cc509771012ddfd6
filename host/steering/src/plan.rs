//! The words of a decision: what is wanted, what is ours, what stands there, what to do.
//!
//! [`crate::decide()`] turns the first three into the last.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::names::{BindingName, Ttl, ZoneName};
use crate::provider::{Caps, Change, ProviderError, RecordData, RecordKey, RecordSet, RecordValue};

/// One record set that an operator wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Which set.
    pub key: RecordKey,
    /// How long answers may be cached.
    pub ttl: Ttl,
    /// At least one, at least one of them enabled, contents in their one spelling.
    pub values: Vec<RecordValue>,
    /// Whether a set that stands there and is not ours may become ours.
    pub adopt: bool,
    /// Why it is wanted so, where there is more to say than that somebody asked for it.
    #[serde(skip)]
    pub why: Option<String>,
}

impl Wanted {
    /// The set to hand to a provider.
    pub fn to_set(&self) -> RecordSet {
        let data = RecordData {
            ttl: self.ttl.seconds(),
            values: self.values.clone(),
        };
        RecordSet::wanted(self.key.clone(), data)
    }
}

/// What we know of a record set that we wrote, or are about to write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// What we last wrote; none as long as it is not known that a create arrived.
    pub last: Option<RecordData>,
    /// Contents that a change underway may have left in the zone.
    pub pending: BTreeSet<String>,
    /// When we last wrote or were about to, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Owned {
    /// Whether a set that stands in the zone is ours. Until a create is known to have arrived, it is
    /// when it holds nothing but what we were writing: whoever else made it meanwhile keeps it.
    pub fn recognises(&self, observed: &RecordData) -> bool {
        self.last.is_some()
            || observed
                .contents()
                .iter()
                .all(|it| self.pending.contains(*it))
    }

    /// Whether what stands there is neither what we wrote nor a half of what we were writing.
    pub fn was_changed_outside(&self, observed: &RecordData) -> bool {
        let Some(last) = &self.last else { return false };
        let mut ours: BTreeSet<&str> = last.contents();
        ours.extend(self.pending.iter().map(String::as_str));
        last != observed && (self.pending.is_empty() || !observed.contents().is_subset(&ours))
    }

    /// Whether the zone shows our last write, with no other underway.
    pub fn shows(&self, observed: &RecordData) -> bool {
        self.pending.is_empty() && self.last.as_ref() == Some(observed)
    }

    /// The same, once it is in doubt whether this zone is the one that was written to: what stands
    /// there is ours only if it holds nothing but what we wrote.
    #[must_use]
    pub fn in_doubt(mut self) -> Self {
        if let Some(last) = self.last.take() {
            self.pending
                .extend(last.values.into_iter().map(|value| value.content));
        }
        self
    }
}

/// All that we know to be ours in a zone.
pub type Ownership = BTreeMap<RecordKey, Owned>;

/// A zone as it stands: always all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    /// The record sets by key.
    pub sets: BTreeMap<RecordKey, RecordSet>,
    /// How many more there are whose keys we would never write.
    pub foreign: usize,
}

/// How the provider says that each wanted set will read back, or why it cannot be written.
pub type Normalized = BTreeMap<RecordKey, Result<RecordSet, ProviderError>>;

/// What a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The zone.
    pub zone: &'a ZoneName,
    /// The binding that serves it.
    pub binding: &'a BindingName,
    /// What its provider can do.
    pub caps: &'a Caps,
    /// What shall stand there.
    pub wanted: &'a [Wanted],
    /// The provider's answer to what is wanted and [`crate::admissible`].
    pub normalized: &'a Normalized,
    /// What stands there.
    pub observed: &'a Observation,
    /// What is ours of it.
    pub owned: &'a Ownership,
    /// Sets that stay as they are, for what they should be is not known; and why.
    pub kept: &'a BTreeMap<RecordKey, String>,
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
}

/// What kind of change an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// Write a set that is not there.
    Create,
    /// Change a set in place.
    Update,
    /// Remove a set.
    Delete,
    /// Leave it.
    None,
}

impl ActionKind {
    /// The word for it in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::None => "none",
        }
    }
}

/// What shall happen to one record set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What kind.
    pub kind: ActionKind,
    /// To which set.
    pub key: RecordKey,
    /// As it stands.
    pub before: Option<RecordSet>,
    /// As it shall be.
    pub after: Option<RecordSet>,
    /// Why, for the operator.
    pub reason: Cow<'static, str>,
    /// Whether it puts back what someone else changed.
    pub drift: bool,
}

impl Action {
    /// What a provider is asked for.
    pub fn to_change(&self) -> Change {
        Change {
            key: self.key.clone(),
            before: self.before.clone(),
            after: self.after.clone(),
        }
    }

    /// Whether it is left undone only until the last change shows.
    pub fn is_waiting(&self) -> bool {
        self.reason == Self::WAITING
    }

    /// The reason of what is left undone until the last change shows.
    pub const WAITING: &'static str = "waiting: the last change may not show yet";
}

/// A wanted set that is not written, or a set that is not deleted, and why. As a warning: one that is
/// written otherwise than it was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which set.
    pub key: RecordKey,
    /// What is wrong and what to do.
    pub reason: String,
}

/// What to do with a zone: the answer of [`crate::decide()`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The zone.
    pub zone: ZoneName,
    /// The binding that serves it.
    pub binding: BindingName,
    /// In the order in which they are to be made; those that change nothing come last.
    pub actions: Vec<Action>,
    /// What is left undone.
    pub refused: Vec<Refusal>,
    /// What is done otherwise than it was asked for.
    pub warnings: Vec<Refusal>,
    /// How many sets stand in the zone that are neither wanted nor ours.
    pub unmanaged: usize,
    /// Sets that are ours as they stand, where the record of that has to be brought up to date.
    pub confirmed: BTreeMap<RecordKey, RecordData>,
    /// Sets that are no longer ours, or no longer there.
    pub forgotten: BTreeSet<RecordKey>,
}

impl Plan {
    /// The actions that change something.
    pub fn changes(&self) -> impl Iterator<Item = &Action> {
        self.actions
            .iter()
            .filter(|action| action.kind != ActionKind::None)
    }
}
