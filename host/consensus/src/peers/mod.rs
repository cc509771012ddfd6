//! The peers: binary frames between members.
//!
//! A member opens one connection to each other member, by an HTTP/1.1 upgrade at [`PEER_PATH`] of the
//! other's only listener, and sends its requests there; the other's requests come over a connection of
//! the other's own. Requests are answered in any order. Every frame carries the protocol's version and
//! a checksum.
//!
//! [`frame`] is the wire, [`message`] what is said, [`link`] the asking side, [`server`] the answering
//! side, [`network`] what openraft sees of it.

pub(crate) mod frame;
pub(crate) mod link;
pub(crate) mod message;
pub(crate) mod network;
pub(crate) mod server;

/// Where the upgrade is asked for.
pub const PEER_PATH: &str = "/raft/peer";
/// The protocol that the connection is upgraded to.
pub const PEER_PROTOCOL: &str = "portolan-peer/1";
