//! Signed DNS messages over TCP (TSIG, RFC 8945), without I/O.
//!
//! A [`Dialogue`] makes the bytes of one request, then takes the server's messages one by one, checks
//! their signatures, which are chained from the request through all of the answers, and says when the
//! last one was there. Who uses it moves the bytes: the plugin host, and the SDK's host for tests.
//!
//! Written here because no library fits: hickory-proto verifies only messages whose every record it
//! can read, and takes a library of asymmetric cryptography along for it.

mod algorithm;
mod dialogue;
mod key;
mod record;
#[cfg(test)]
mod tests;
mod walk;

pub use algorithm::Algorithm;
pub use dialogue::{Dialogue, Expect, Fault, Heard, MAX_MESSAGE, NoRequest};
pub use key::{Key, KeyError};
