//! The one place where a domain error becomes an HTTP answer.
//!
//! Every handler fails with an [`ApiError`]. By itself it answers in the form of the native API,
//! `{"error":{"code","message","at"?}}`; the KV contract's forms wrap it in [`crate::kv`] and
//! [`crate::cluster`].

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use portolan_consensus::Error as StoreError;
use portolan_consensus::documents::DocumentError;
use portolan_shards::{NodeError, ShardsError};
use portolan_steering::{ErrorKind, ProviderError, SteeringError};
use serde::Serialize;

use crate::json;

/// A failed request: how HTTP calls it, a code for programs and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiError {
    /// The answer's status.
    #[serde(skip)]
    pub status: StatusCode,
    /// A stable word in snake case that a program can match on.
    pub code: &'static str,
    /// What was wrong, on what, and what to do.
    pub message: String,
    /// Where in the request it was wrong: `line 1 column 8`, a field's path, a record's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

impl ApiError {
    /// An error that concerns the request as a whole.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            at: None,
        }
    }

    /// The same error, with the place in the request.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.at = Some(place.into());
        self
    }

    /// Nothing by that name.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// Well-formed, but not something that this route accepts.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
    }

    /// Whether the same request may succeed in a moment.
    fn passes(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// The message and, where there is one, the place: what a form without room for both shows.
    pub fn sentence(&self) -> Cow<'_, str> {
        match &self.at {
            Some(at) => format!("{} (at {at})", self.message).into(),
            None => self.message.as_str().into(),
        }
    }

    /// An answer with this error's status and headers, and with `body` for its body.
    pub fn respond_with<T: Serialize + ?Sized>(&self, body: &T) -> Response {
        let mut response = json::answer(self.status, body);
        if self.passes() {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[derive(Serialize)]
struct Native<'a> {
    error: &'a ApiError,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.respond_with(&Native { error: &self })
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let (status, code) = match &error {
            StoreError::NotInitialised { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "not_initialised")
            }
            StoreError::NoLeader { .. } | StoreError::NotLeader { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "no_leader")
            }
            StoreError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
            StoreError::UnknownOutcome { .. } => (StatusCode::GATEWAY_TIMEOUT, "unknown_outcome"),
            StoreError::GuardFailed { .. } => (StatusCode::CONFLICT, "changed_meanwhile"),
            StoreError::AddressTaken { .. } => (StatusCode::CONFLICT, "address_taken"),
            StoreError::IdTaken { .. } => (StatusCode::CONFLICT, "id_taken"),
            StoreError::ChangeInProgress => (StatusCode::CONFLICT, "change_in_progress"),
            StoreError::CannotAdd { .. } => (StatusCode::BAD_GATEWAY, "cannot_add"),
            StoreError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            StoreError::StoreFull { .. } => (StatusCode::INSUFFICIENT_STORAGE, "store_full"),
            StoreError::EmptyKey => (StatusCode::UNPROCESSABLE_ENTITY, "empty_key"),
            StoreError::BadAddress { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad_address"),
            StoreError::NotMembers { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "not_members"),
            StoreError::EmptyMembership => (StatusCode::UNPROCESSABLE_ENTITY, "empty_membership"),
            // What members tell one another; a client meets it when the group itself is at odds.
            StoreError::WrongMember { .. }
            | StoreError::OtherGroup { .. }
            | StoreError::UnknownMessage { .. }
            | StoreError::UnknownTopic { .. }
            | StoreError::BadSnapshot { .. } => (StatusCode::BAD_GATEWAY, "members_at_odds"),
            StoreError::Stopped { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "stopped"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<ShardsError> for ApiError {
    fn from(error: ShardsError) -> Self {
        let (status, code) = match &error {
            ShardsError::Document(DocumentError::Store(store)) => return store.clone().into(),
            ShardsError::Invalid { .. } => (StatusCode::BAD_REQUEST, "invalid"),
            ShardsError::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            ShardsError::Exists(_) => (StatusCode::CONFLICT, "exists"),
            ShardsError::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            ShardsError::NotEmpty(_) => (StatusCode::FORBIDDEN, "not_empty"),
            ShardsError::Policy(_) => (StatusCode::BAD_GATEWAY, "policy_failed"),
            ShardsError::Node { error, .. } => match error {
                NodeError::Password(_) => (StatusCode::BAD_REQUEST, "node_password"),
                NodeError::WrongServer(_) => (StatusCode::BAD_REQUEST, "wrong_server"),
                NodeError::Unreachable(_) => (StatusCode::BAD_GATEWAY, "node_unreachable"),
                NodeError::Loading | NodeError::Refused(_) | NodeError::Nonsense(_) => {
                    (StatusCode::BAD_GATEWAY, "node_error")
                }
            },
            ShardsError::Secret(_) | ShardsError::Document(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        };
        match error {
            ShardsError::Invalid { at, message } => Self::new(status, code, message).at(at),
            other => Self::new(status, code, other.to_string()),
        }
    }
}

impl From<SteeringError> for ApiError {
    fn from(error: SteeringError) -> Self {
        let (status, code) = match (error.kind(), &error) {
            (_, SteeringError::Store(store)) => return store.clone().into(),
            (
                _,
                SteeringError::Provider {
                    error: ProviderError::Denied(_),
                    ..
                },
            ) => (StatusCode::BAD_GATEWAY, "grant_missing"),
            (ErrorKind::Invalid, _) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            (ErrorKind::NotFound, _) => (StatusCode::NOT_FOUND, "not_found"),
            (ErrorKind::Conflict, _) => (StatusCode::CONFLICT, "conflict"),
            (ErrorKind::Precondition, _) => (StatusCode::PRECONDITION_FAILED, "changed_meanwhile"),
            (ErrorKind::Unavailable, _) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            (ErrorKind::Provider, _) => (StatusCode::BAD_GATEWAY, "provider"),
            (ErrorKind::Internal | ErrorKind::Store, _) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        };
        let at = error.at().filter(|at| !at.is_empty()).map(str::to_owned);
        Self {
            status,
            code,
            message: error.message(),
            at,
        }
    }
}

/// `reason` as a header value: what is not printable ASCII is escaped, and the end of a very long
/// one is cut off.
pub(crate) fn header_safe(reason: &str) -> HeaderValue {
    const LONGEST: usize = 1024;
    let mut safe = String::with_capacity(reason.len().min(LONGEST));
    for c in reason.chars() {
        if safe.len() >= LONGEST {
            safe.push_str("...");
            break;
        }
        match c {
            ' '..='~' => safe.push(c),
            c => safe.extend(c.escape_default()),
        }
    }
    HeaderValue::from_str(&safe)
        .unwrap_or_else(|_| HeaderValue::from_static("the reason cannot stand in a header"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_survive_as_header_values() {
        assert_eq!(header_safe("no leader, try again"), "no leader, try again");
        assert_eq!(
            header_safe("key \"é\"\r\nset-cookie: a"),
            "key \"\\u{e9}\"\\r\\nset-cookie: a"
        );
        let long = header_safe(&"x".repeat(5000));
        assert_eq!(long.len(), 1024 + 3);
    }

    #[test]
    fn a_passing_error_says_when_to_come_back() {
        let busy = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_leader", "no leader");
        assert_eq!(busy.into_response().headers()[header::RETRY_AFTER], "1");
        let gone = ApiError::not_found("no provider named x").into_response();
        assert!(!gone.headers().contains_key(header::RETRY_AFTER));
    }
}
