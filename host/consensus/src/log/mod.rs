//! The Raft log: entries and votes, fsynced before they are acknowledged.
//!
//! The file format, its checksums and its recovery are the crate `raft-log`'s. What is added here:
//! a group commit that turns many appends into one fsync ([`flush`]), and a record encoding that
//! tells a torn tail from a flipped bit ([`codec`]).

mod codec;
mod flush;
mod store;

pub(crate) use store::LogStore;

#[cfg(test)]
mod tests;
