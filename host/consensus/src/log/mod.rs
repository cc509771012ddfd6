//! The Raft log: entries and votes, fsynced before they are acknowledged.
//!
//! The file format, its checksums and its recovery are the crate `raft-log`'s. What is added here:
//! one writer thread that turns many appends into one fsync ([`writer`]), and a record encoding that
//! tells a torn tail from a flipped bit ([`codec`]).

mod codec;
mod store;
mod writer;

pub(crate) use store::LogStore;

#[cfg(test)]
mod tests;
