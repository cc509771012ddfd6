//! What can go wrong with sharded clusters, as the sentence that the user needs.

use portolan_consensus::documents::{DocumentError, LostRace};

use crate::engine::NodeError;
use crate::names::{BadName, NodeAddr};

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardsError {
    /// Something in the request is wrong.
    #[error("{at}: {message}")]
    Invalid {
        /// The field in the request: `nodes[3]`.
        at: String,
        /// What is wrong with it and what to write instead.
        message: String,
    },
    /// Nothing by that name.
    #[error("the entry does not exist: {0}")]
    NotFound(String),
    /// There is one already.
    #[error("the entry already existed: {0}")]
    Exists(String),
    /// It clashes with how things stand; the sentence says what to do first.
    #[error("{0}")]
    Conflict(String),
    /// It still holds what must go first.
    #[error("{0}")]
    NotEmpty(String),
    /// A node did not do what it was asked for.
    #[error("node {addr}: {error}")]
    Node {
        /// Which.
        addr: NodeAddr,
        /// What it said.
        error: NodeError,
    },
    /// A policy failed.
    #[error("{0}")]
    Policy(String),
    /// A password in the store cannot be read.
    #[error("{0}")]
    Secret(String),
    /// A document in the store cannot be had.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl ShardsError {
    pub(crate) fn invalid(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid {
            at: at.into(),
            message: message.into(),
        }
    }

    /// For a name in the field `at`.
    pub(crate) fn bad_name(at: &str) -> impl FnOnce(BadName) -> Self {
        let at = at.to_owned();
        move |error| Self::invalid(at, error.to_string())
    }

    /// For a call to a node.
    pub(crate) fn node(addr: &NodeAddr) -> impl FnOnce(NodeError) -> Self {
        let addr = addr.clone();
        move |error| Self::Node { addr, error }
    }
}

impl LostRace for ShardsError {
    fn is_lost_race(&self) -> bool {
        matches!(self, Self::Document(error) if error.is_lost_race())
    }
}
