//! What can go wrong in steering, as the sentence that the user needs.

use portolan_consensus::documents::{DocumentError, LostRace};

use crate::names::BindingName;
use crate::provider::{ConnectError, ProviderError};

/// Why a request to steering, or a round of it, failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SteeringError {
    /// Something in the request is wrong.
    #[error("{at}: {message}")]
    Invalid {
        /// The field's path in the request: `records[3].ttl`.
        at: String,
        /// What is wrong with it and what to write instead.
        message: String,
    },
    /// Nothing by that name.
    #[error("{0}")]
    NotFound(String),
    /// It clashes with what stands.
    #[error("{0}")]
    Conflict(String),
    /// The document is no longer at the revision that the request named.
    #[error("{0}")]
    Precondition(String),
    /// It may work later, without another request.
    #[error("{0}")]
    Unavailable(String),
    /// A provider did not do what it was asked for.
    #[error("provider {binding}, {call}: {error}")]
    Provider {
        /// The binding.
        binding: BindingName,
        /// Which call.
        call: &'static str,
        /// What it said.
        error: ProviderError,
    },
    /// A webhook's service does not take a message.
    #[error("{0}")]
    Webhook(String),
    /// A document in the store cannot be read.
    #[error("the document {key} in the store {message}")]
    Document {
        /// Its key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// The store refused or did not answer.
    #[error(transparent)]
    Store(#[from] portolan_consensus::Error),
}

/// What kind of answer an error is: what HTTP needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request is wrong (400).
    Invalid,
    /// Nothing by that name (404).
    NotFound,
    /// It clashes with what stands (409).
    Conflict,
    /// The named revision is not the current one (412).
    Precondition,
    /// Try again later (503).
    Unavailable,
    /// Somebody else's fault that is not settled by waiting (502).
    Provider,
    /// A defect (500).
    Internal,
    /// See the error of the store.
    Store,
}

impl SteeringError {
    /// A wrong field.
    pub(crate) fn invalid(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid {
            at: at.into(),
            message: message.into(),
        }
    }

    /// What kind of answer this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } => ErrorKind::Invalid,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::Precondition(_) => ErrorKind::Precondition,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Provider { error, .. } => match error {
                ProviderError::Throttled { .. }
                | ProviderError::Transient(_)
                | ProviderError::UnknownOutcome(_) => ErrorKind::Unavailable,
                _ => ErrorKind::Provider,
            },
            Self::Webhook(_) => ErrorKind::Provider,
            Self::Document { .. } => ErrorKind::Internal,
            Self::Store(_) => ErrorKind::Store,
        }
    }

    /// The path of the wrong field, where a field is wrong.
    pub fn at(&self) -> Option<&str> {
        match self {
            Self::Invalid { at, .. } => Some(at),
            _ => None,
        }
    }

    /// The sentence without the path.
    pub fn message(&self) -> String {
        match self {
            Self::Invalid { message, .. } => message.clone(),
            other => other.to_string(),
        }
    }
}

impl From<DocumentError> for SteeringError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Unreadable { key, message } => Self::Document { key, message },
            DocumentError::Store(error) => Self::Store(error),
        }
    }
}

impl LostRace for SteeringError {
    fn is_lost_race(&self) -> bool {
        matches!(
            self,
            Self::Store(portolan_consensus::Error::GuardFailed { .. })
        )
    }
}

impl From<ConnectError> for SteeringError {
    fn from(error: ConnectError) -> Self {
        Self::Invalid {
            at: error.at,
            message: error.message,
        }
    }
}
