//! openraft's types, bound to ours. Nothing outside this crate names openraft.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::snapshot::Image;
use crate::types::{Key, MemberId, Revision, Space, Txn};

openraft::declare_raft_types!(
    /// The types that this group's Raft works with.
    pub(crate) TypeConfig:
        D = Command,
        R = Outcome,
        NodeId = MemberId,
        Node = openraft::BasicNode,
);

/// The content of a log entry: a transaction, shared by log cache, replication and state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command(pub Arc<Txn>);

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "txn of {} guards, {} ops",
            self.0.guards.len(),
            self.0.ops.len()
        )
    }
}

/// What applying an entry came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// All changes were made (or the entry held none).
    Applied,
    /// A guard did not hold; nothing was changed.
    GuardFailed {
        space: Space,
        key: Key,
        expected: Revision,
        actual: Revision,
    },
}

pub(crate) type Raft = openraft::Raft<TypeConfig, crate::state_machine::StateMachine>;
pub(crate) type LogId = openraft::alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = openraft::alias::VoteOf<TypeConfig>;
pub(crate) type Entry = openraft::alias::EntryOf<TypeConfig>;
pub(crate) type Payload = openraft::alias::PayloadOf<TypeConfig>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<MemberId, openraft::BasicNode>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Snapshot = openraft::alias::SnapshotOf<TypeConfig, Image>;
pub(crate) type ClientWriteError = openraft::errors::ClientWriteError<TypeConfig>;
pub(crate) type ClientWriteResponse = openraft::raft::ClientWriteResponse<TypeConfig>;
