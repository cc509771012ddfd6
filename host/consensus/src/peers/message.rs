//! What members say to one another.

use std::collections::BTreeSet;
use std::sync::Arc;

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::identity::ClusterId;
use crate::membership::MembershipChange;
use crate::raft::{SnapshotMeta, TypeConfig, Vote};
use crate::snapshot::Piece;
use crate::types::{MemberId, Revision, Txn};

/// A request and its reply.
pub(crate) trait Message: Serialize + DeserializeOwned + Send {
    type Reply: Serialize + DeserializeOwned + Send;
    /// The frame's kind. Never reused for another message.
    const KIND: u8;
    /// In metrics and messages.
    const NAME: &'static str;
}

macro_rules! messages {
    ($($message:ty => $reply:ty, $kind:literal, $name:literal;)*) => {
        $(impl Message for $message {
            type Reply = $reply;
            const KIND: u8 = $kind;
            const NAME: &'static str = $name;
        })*
    };
}

messages! {
    Hello => HelloReply, 1, "hello";
    AppendEntriesRequest<TypeConfig> => AppendEntriesResponse<TypeConfig>, 2, "append";
    VoteRequest<TypeConfig> => VoteResponse<TypeConfig>, 3, "vote";
    PreVote => VoteResponse<TypeConfig>, 4, "pre-vote";
    TransferLeaderRequest<TypeConfig> => TransferLeaderResponse<TypeConfig>, 5, "transfer-leader";
    SnapshotPiece => (), 6, "snapshot-piece";
    InstallSnapshot => SnapshotResponse<TypeConfig>, 7, "install-snapshot";
    PullSnapshot => PulledPiece, 8, "pull-snapshot";
    Forward => ForwardReply, 9, "forward";
    Join => JoinReply, 10, "join";
    Welcome => (), 11, "welcome";
    Ask => Vec<u8>, 12, "ask";
}

/// The first message of every connection: who asks, and whom it takes the other to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The asking member's group; none while it belongs to none.
    pub cluster: Option<ClusterId>,
    /// Whom the asker expects; none where it does not know.
    pub to: Option<MemberId>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HelloReply {
    pub id: MemberId,
    pub cluster: Option<ClusterId>,
}

/// Would you vote for me? (Raft thesis §9.6)
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PreVote(pub VoteRequest<TypeConfig>);

/// A piece of the snapshot that the leader sends; they come one after the other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SnapshotPiece {
    /// Tells one snapshot's pieces from another's on the same connection.
    pub transfer: u64,
    pub piece: Piece,
}

/// All pieces are there: install them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InstallSnapshot {
    pub transfer: u64,
    pub vote: Vote,
    pub meta: SnapshotMeta,
}

/// Asks any member for its state, piece by piece, to rebuild a lost checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PullSnapshot {
    /// True for the first piece of a new image.
    pub restart: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PulledPiece {
    pub meta: SnapshotMeta,
    /// None behind the last.
    pub piece: Option<Piece>,
}

/// Something that the leader alone can do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Forward {
    Write(Arc<Txn>),
    /// Up to which entry must I have applied to read what is acknowledged now?
    ReadIndex,
    AddLearner {
        id: MemberId,
        addr: String,
    },
    /// Adds a learner and makes it a voter once it has caught up.
    AddVoter {
        id: MemberId,
        addr: String,
    },
    ChangeMembership(BTreeSet<MemberId>),
}

impl Forward {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Forward::Write(_) => "the write",
            Forward::ReadIndex => "the read",
            Forward::AddLearner { .. } | Forward::AddVoter { .. } => "adding the member",
            Forward::ChangeMembership(_) => "the membership change",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ForwardReply {
    Written(Revision),
    ReadIndex(u64),
    Membership(MembershipChange),
}

/// A question of a domain crate to its like on another member ([`crate::Member::ask`]).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ask {
    pub topic: String,
    pub question: Vec<u8>,
}

/// Asks a group to take this member in; the answer is what it needs to know before it is added.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Join {
    /// The id that it wants; none for the next free one.
    pub id: Option<MemberId>,
    pub addr: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct JoinReply {
    pub id: MemberId,
    pub cluster: ClusterId,
    pub key: Vec<u8>,
}

/// Takes a standby into the group, before it is added.
#[derive(Serialize, Deserialize)]
pub(crate) struct Welcome {
    pub cluster: ClusterId,
    pub key: Vec<u8>,
}

/// What a reply frame carries.
pub(crate) type Answer<M> = Result<<M as Message>::Reply, Error>;
