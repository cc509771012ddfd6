//! What passes through the guard, and why it may not.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

/// A request as a plugin asks for it.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Bytes,
}

/// A response as a plugin gets it: whole, and without the binding's credentials.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// One leg of a request: what goes to one server.
pub(super) struct Leg {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<Header>,
    pub(super) body: Bytes,
}

pub(super) struct Header {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
    /// Stays with the origin that it was written for.
    pub(super) secret: bool,
}

impl Leg {
    /// About how many bytes this puts on the wire.
    pub(super) fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|header| header.name.as_str().len() + header.value.len() + 4)
            .sum();
        self.url.as_str().len() + headers + self.body.len()
    }
}

/// Why there is no response; `portolan:plugin/http.error`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) enum HttpError {
    Denied(String),
    Invalid(String),
    Limit(String),
    NotSent(String),
    Interrupted(String),
}

impl HttpError {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            HttpError::Denied(_) => "denied",
            HttpError::Invalid(_) => "invalid",
            HttpError::Limit(_) => "limit",
            HttpError::NotSent(_) => "not_sent",
            HttpError::Interrupted(_) => "interrupted",
        }
    }
}

/// Why there is no signature; `portolan:plugin/credentials.error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignError {
    Denied(String),
    Invalid(String),
}
