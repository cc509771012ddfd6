//! What can go wrong, as the sentence that the user needs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::types::{Key, MemberId, Revision, Space};

/// Why a request to the store or the group failed.
///
/// It crosses the wire between members, so that a forwarded request fails with the words of the
/// member that refused it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Error {
    /// A standby that no group has taken in yet.
    #[error(
        "member {id} belongs to no group yet: add it with POST /add-learner [{id}, \"{addr}\"] on a \
         member of the group"
    )]
    NotInitialised {
        /// This member.
        id: MemberId,
        /// The address that it advertises.
        addr: String,
    },
    /// No leader was found in time.
    #[error(
        "no leader within {waited_ms} ms: a majority of the voters must be up and reach one another; \
         stale reads still work with ?consistency=stale"
    )]
    NoLeader {
        /// How long the request waited.
        waited_ms: u64,
    },
    /// This member does not lead (any more); the request was not carried out.
    #[error("member {id} does not lead the group")]
    NotLeader {
        /// The member that was asked.
        id: MemberId,
        /// Who leads, as far as it knows.
        leader: Option<MemberId>,
    },
    /// The deadline passed, or the connection to the leader broke, after the request had left.
    #[error(
        "{what} was sent but not confirmed within {waited_ms} ms: it may or may not have happened; \
         read before you try again"
    )]
    UnknownOutcome {
        /// What was asked for.
        what: String,
        /// How long the request waited.
        waited_ms: u64,
    },
    /// A transaction's guard did not hold; nothing was changed.
    #[error(
        "{space}/{key} is at revision {actual}, not {expected}: somebody changed it meanwhile; read it again"
    )]
    GuardFailed {
        /// The guard's space.
        space: Space,
        /// The guard's key.
        key: Key,
        /// The revision that the transaction was decided on.
        expected: Revision,
        /// The revision found; zero where the key does not exist.
        actual: Revision,
    },
    /// A key or value is over its limit.
    #[error("the {what} is {bytes} bytes long; at most {limit} are accepted")]
    TooLarge {
        /// `key`, `value` or `transaction`.
        what: String,
        /// Its length.
        bytes: u64,
        /// The limit that it is over.
        limit: u64,
    },
    /// An empty key.
    #[error("the key is empty; give it at least one byte")]
    EmptyKey,
    /// The live data has reached its limit; deletes still work.
    #[error(
        "the store holds {live_bytes} bytes of live data and {limit} are allowed: delete keys, or raise \
         limits.max_live_bytes on every member"
    )]
    StoreFull {
        /// Keys and values held.
        live_bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A membership that names ids which are not in the group.
    #[error(
        "not members of the group yet: {}; add each with POST /add-learner [id, \"host:port\"] first",
        list(ids)
    )]
    NotMembers {
        /// The unknown ids.
        ids: Vec<MemberId>,
    },
    /// A membership without voters.
    #[error("a group needs at least one voter; name the ids that shall vote")]
    EmptyMembership,
    /// The id belongs to a member with another address.
    #[error(
        "id {id} is taken by the member at {addr}; choose another id, or remove that member first with \
         POST /change-membership"
    )]
    IdTaken {
        /// The id.
        id: MemberId,
        /// The address of the member that has it.
        addr: String,
    },
    /// The address belongs to a member with another id.
    #[error("the address {addr} belongs to member {id} already")]
    AddressTaken {
        /// The address.
        addr: String,
        /// The member that has it.
        id: MemberId,
    },
    /// An address that is not `host:port`.
    #[error("\"{addr}\" is not an address: expected host:port")]
    BadAddress {
        /// What was given.
        addr: String,
    },
    /// A membership change runs already.
    #[error("another membership change is being made; try again when it is through")]
    ChangeInProgress,
    /// The member to be added did not accept or did not answer.
    #[error("member {id} at {addr} cannot be added: {reason}")]
    CannotAdd {
        /// The id.
        id: MemberId,
        /// The address.
        addr: String,
        /// What went wrong.
        reason: String,
    },
    /// Another member answers at that address.
    #[error("member {asked} was expected there, but member {found} answers")]
    WrongMember {
        /// Who was expected.
        asked: MemberId,
        /// Who answers.
        found: MemberId,
    },
    /// The two belong to different groups.
    #[error("member {id} does not belong to the same group")]
    OtherGroup {
        /// The member that answers.
        id: MemberId,
    },
    /// A message that this daemon does not know.
    #[error(
        "message {kind} of the peers' protocol is not understood; run the same version on all members"
    )]
    UnknownMessage {
        /// Its kind.
        kind: u8,
    },
    /// Nobody answers questions on this topic here: another version.
    #[error("questions on {topic:?} are not answered here; run the same version on all members")]
    UnknownTopic {
        /// The topic.
        topic: String,
    },
    /// A snapshot that did not arrive whole.
    #[error("the snapshot is refused: {reason}")]
    BadSnapshot {
        /// What is wrong with it.
        reason: String,
    },
    /// This member is stopping.
    #[error("this member is shutting down")]
    ShuttingDown,
    /// This member's disk or Raft core failed; it must be restarted.
    #[error("member {id} has stopped: {reason}")]
    Stopped {
        /// The member.
        id: MemberId,
        /// What the core reported.
        reason: String,
    },
}

fn list(ids: &[MemberId]) -> String {
    ids.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Why a member could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file or directory could not be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// Another process works in the data directory.
    #[error(
        "the data directory {} is held by another process; stop that daemon, or give this one another \
         --data",
        path.display()
    )]
    Held {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory belongs to another id.
    #[error(
        "the data directory {} belongs to member {found}, not {wanted}: start with --id {found}, or give \
         member {wanted} a --data of its own",
        path.display()
    )]
    WrongId {
        /// The data directory.
        path: PathBuf,
        /// The id in the directory.
        found: MemberId,
        /// The id that was asked for.
        wanted: MemberId,
    },
    /// The group knows this member by another address.
    #[error(
        "the group knows member {id} as {known}, but it advertises {advertised}: start it with \
         --advertise {known}, or remove it from the group, empty its data directory and join it again"
    )]
    WrongAddress {
        /// The member.
        id: MemberId,
        /// Its address in the group's membership.
        known: String,
        /// Its address now.
        advertised: String,
    },
    /// A standby needs to be told its id.
    #[error("--standby needs --id: the group will add this member under the id that it runs with")]
    StandbyWithoutId,
    /// `member.json` cannot be understood.
    #[error("{} is damaged: {reason}; restore it from a backup, or empty the data directory and join the group again", path.display())]
    BadMemberFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key file is missing or damaged.
    #[error("{} is missing or damaged: {reason}; copy it from another member (every member holds the same key)", path.display())]
    BadKeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The log is damaged before its end: acknowledged entries may be lost on this member.
    #[error(
        "the Raft log is damaged in {}: {reason}. It is not served. In a group: remove this member with \
         POST /change-membership on another one, empty {} and start it with --join <another member>. \
         Alone: restore {} from a backup",
        file.display(), data.display(), data.display()
    )]
    DamagedLog {
        /// The damaged file.
        file: PathBuf,
        /// The data directory.
        data: PathBuf,
        /// What the log found.
        reason: String,
    },
    /// The checkpoint is gone and the log does not reach back to the beginning.
    #[error(
        "the checkpoint in {} is lost and the log begins after entry {purged}; no other member could give \
         a snapshot ({reason}). Start it again when another member is up; alone: restore {} from a backup",
        checkpoint.display(), data.display()
    )]
    LostCheckpoint {
        /// Where the checkpoint was expected.
        checkpoint: PathBuf,
        /// The data directory.
        data: PathBuf,
        /// The last entry that the log no longer has.
        purged: u64,
        /// Why no member helped.
        reason: String,
    },
    /// The group refused this member.
    #[error("the group at {addr} refuses this member: {reason}")]
    Refused {
        /// Who was asked.
        addr: String,
        /// Its reason.
        reason: Error,
    },
    /// Options that contradict one another or openraft's rules.
    #[error("raft settings: {0}")]
    Options(String),
    /// The Raft core did not start.
    #[error("the Raft core did not start: {0}")]
    Raft(String),
}

impl StartError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> StartError {
        let path = path.into();
        move |source| StartError::Io {
            action,
            path,
            source,
        }
    }
}
