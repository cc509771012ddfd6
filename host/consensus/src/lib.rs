//! The Raft group: a replicated, ordered, revisioned key-value store.
//!
//! [`Member`] is this daemon's place in the group: it reads ([`Member::get`], [`Member::scan`],
//! [`Member::watch`]), writes ([`Member::txn`]), changes the membership, and forwards to the leader
//! what the leader must do. An acknowledged write is on the disks of a majority.
//!
//! Four parts, each with one idea:
//! - the *log* (`log`): entries and votes, fsynced, many by one fsync;
//! - the *state* (`state`, `store`, `watch`): an ordered map in memory that serves every read;
//! - the *checkpoint* (`checkpoint`): the state on disk, behind the log, written in the background;
//! - the *peers* (`peers`): binary frames over one connection each way.
//!
//! Nothing outside this crate names openraft, the log's crate or the checkpoint's store.

#![forbid(unsafe_code)]

mod ask;
mod checkpoint;
pub mod documents;
mod error;
pub mod files;
mod group;
mod identity;
mod join;
mod journal;
mod key;
mod leader;
mod leading;
mod log;
mod member;
mod membership;
mod metrics;
mod observe;
mod options;
mod peers;
mod raft;
mod read_gate;
mod snapshot;
mod start;
mod state;
mod state_machine;
mod store;
mod telemetry;
mod types;
mod watch;

pub use ask::AskError;
pub use error::{Error, StartError};
pub use journal::{Journal, JournalEvent, Kind};
pub use key::{ClusterKey, SealError};
pub use member::{Committed, Leadership, Member, NotReady};
pub use membership::MembershipChange;
pub use metrics::MetricsView;
pub use options::{Limits, Options, Profile, RaftOptions, ReadMode, StartMode};
pub use peers::{PEER_PATH, PEER_PROTOCOL};
pub use types::{
    Consistency, Event, Guard, Key, MemberId, Op, Page, Record, Revision, Scan, Space, Txn,
};
pub use watch::{Watch, WatchError};
