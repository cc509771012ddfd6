//! The words of the store: spaces, keys, revisions, transactions.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A member's id within its group. Never reused for another data directory.
pub type MemberId = u64;

/// A moment in the store's history: the Raft log index of the change. Zero is before all changes.
///
/// Every change of one transaction has the same revision, and revisions only grow.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// Before all changes; as a guard: "the key does not exist".
    pub const ZERO: Revision = Revision(0);
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A keyspace. Keys of different spaces never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Space {
    /// What the KV contract reads and writes, and nothing else does.
    User,
    /// Sharded clusters.
    Shards,
    /// DNS steering.
    Steering,
    /// Installed plugins and their grants.
    Plugins,
    /// The daemon's own documents.
    System,
}

impl Space {
    /// All spaces, in the order of their discriminants.
    pub const ALL: [Space; 5] = [
        Space::User,
        Space::Shards,
        Space::Steering,
        Space::Plugins,
        Space::System,
    ];
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Space::User => "user",
            Space::Shards => "shards",
            Space::Steering => "steering",
            Space::Plugins => "plugins",
            Space::System => "system",
        })
    }
}

/// A key: UTF-8, ordered by bytes, cheap to clone.
pub type Key = Arc<str>;

/// A value and the revisions that made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The bytes as they were put.
    pub value: Bytes,
    /// When the key came to exist (last put after a delete, or the first).
    pub created: Revision,
    /// When the value was last put. This is what a [`Guard`] compares.
    pub modified: Revision,
}

/// A condition of a transaction: the key's `modified` revision is still this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// The key's space.
    pub space: Space,
    /// The key.
    pub key: Key,
    /// The revision that the decision was made on; [`Revision::ZERO`] for "does not exist".
    pub expected: Revision,
}

/// One change of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Sets a key's value.
    Put {
        /// The key's space.
        space: Space,
        /// The key.
        key: Key,
        /// The new value.
        value: Bytes,
    },
    /// Removes a key; nothing happens where it does not exist.
    Delete {
        /// The key's space.
        space: Space,
        /// The key.
        key: Key,
    },
}

/// Changes that happen together, at one revision, if every guard holds; otherwise none happens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Txn {
    /// All must hold when the transaction is applied.
    pub guards: Vec<Guard>,
    /// Made in order; a later one wins over an earlier one on the same key.
    pub ops: Vec<Op>,
}

impl Txn {
    /// An empty transaction, to build on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds "`key` still has revision `expected`" ([`Revision::ZERO`]: does not exist).
    #[must_use]
    pub fn guard(mut self, space: Space, key: impl Into<Key>, expected: Revision) -> Self {
        self.guards.push(Guard {
            space,
            key: key.into(),
            expected,
        });
        self
    }

    /// Adds a put.
    #[must_use]
    pub fn put(mut self, space: Space, key: impl Into<Key>, value: impl Into<Bytes>) -> Self {
        self.ops.push(Op::Put {
            space,
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// About how many bytes it carries: keys and values.
    pub(crate) fn bytes(&self) -> u64 {
        let ops = self.ops.iter().map(|op| match op {
            Op::Put { key, value, .. } => key.len() + value.len(),
            Op::Delete { key, .. } => key.len(),
        });
        let guards = self.guards.iter().map(|guard| guard.key.len());
        ops.chain(guards).sum::<usize>() as u64
    }

    /// Adds a delete.
    #[must_use]
    pub fn delete(mut self, space: Space, key: impl Into<Key>) -> Self {
        self.ops.push(Op::Delete {
            space,
            key: key.into(),
        });
        self
    }
}

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Sees every write that was acknowledged before the read began, on any member. Costs a quorum
    /// check, shared by all reads that wait at the time.
    #[default]
    Linearizable,
    /// Whatever this member has applied; works without a leader.
    Stale,
}

/// Which keys a scan returns, in key order.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Only keys greater than this one: the last key of the page before.
    pub after: Option<Key>,
    /// At most this many; all where it is none.
    pub limit: Option<usize>,
}

impl Scan {
    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            ..Self::default()
        }
    }
}

/// What a scan found.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Keys and their records, in key order.
    pub items: Vec<(Key, Record)>,
    /// Whether keys were left out because of the limit.
    pub more: bool,
    /// The revision that the page shows.
    pub revision: Revision,
}

/// A change of one key, as a watch tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it happened.
    pub revision: Revision,
    /// The key's space.
    pub space: Space,
    /// The key.
    pub key: Key,
    /// The new record; none when the key was deleted.
    pub record: Option<Record>,
}
