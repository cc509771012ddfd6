//! The embedded authoritative DNS server, and the provider `local` that writes to it.
//!
//! Zones are documents in the store, one per record set. Every member keeps them in memory and
//! answers from there, by the line of the client; steering changes them through the port that all
//! providers have.
//!
//! * `local`, `providers`, `settings`: the provider. `apply` decides what a change comes to (pure).
//! * `documents`, `serial`: what stands in the store.
//! * `follow` → `picture`, `zone`: the store in memory, one immutable picture after another.
//! * `lines`, `lines_file`, `client`: who asks, and on which line.
//! * `answer` → `respond` → `serve`: from the question to the packet (the first two pure).
//! * `limiter`, `transfer`, `notify`: against floods; for secondaries.

#![forbid(unsafe_code)]

mod answer;
mod apply;
mod client;
mod documents;
mod error;
mod follow;
mod limiter;
mod lines;
mod lines_file;
mod local;
mod meter;
mod nameserver;
mod notify;
mod options;
mod picture;
mod providers;
mod respond;
mod serial;
mod serve;
mod settings;
mod transfer;
mod wire;
mod zone;

pub use error::StartError;
pub use local::delete_zone;
pub use nameserver::Nameserver;
pub use options::{Options, RateOptions};
pub use providers::{LocalProviders, PLUGIN};

#[cfg(test)]
mod tests;
