//! The provider against a stand-in for the service.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

mod bench;
mod changes;
mod troubles;
