//! The types of the policy interface, and what most policies need to plan.
//!
//! A plan is made in three steps: a [`Board`] says what stands where and what may move; the policy
//! decides; a [`Draft`] collects its moves and keeps them within the budget. Policies that aim at
//! numbers of slots find the rest here, too: [`apportion`] says how many slots each shard shall have,
//! [`spread`] finds the moves that get there.

mod board;
mod draft;
mod range;
mod shares;
mod spread;

pub use crate::bindings::policy::exports::portolan::migration::policy::{
    ActiveMove, Budget, Description, Error, Limits, Metric, Move, MoveOutcome, Node, Plan,
    RecentMove, Rejected, Role, Shard, SlotRange, SlotStatistics, Snapshot, Trigger,
};
pub use board::{Board, Hold, Obstacle, per_slot};
pub use draft::{Draft, Why};
pub use range::{SLOTS, runs};
pub use shares::{Share, apportion};
pub use spread::spread;
