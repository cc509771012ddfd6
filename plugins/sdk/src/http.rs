//! HTTP requests, and what becomes of their failures.
//!
//! The daemon acts on the *kind* of an error: it repeats what is transient, reads the zone again after
//! an unknown outcome, and asks the operator about a denial. So every failure is translated here, once,
//! with the request's [`Effect`] in mind.

use serde::{Serialize, de::DeserializeOwned};

pub use crate::bindings::portolan::plugin::http::{
    Error as SendError, Header, Method, Request as RawRequest, Response as RawResponse,
};
use crate::{
    Host,
    dns::{Error, Throttle},
};

/// How much of a reply's body an error message repeats, in characters.
const EXCERPT: usize = 300;

/// Whether a request changes anything at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does not: after a failure it can simply be sent again.
    Read,
    /// It does: when its answer is lost, nobody knows whether it was carried out.
    Write,
}

impl Effect {
    /// The error for a request whose answer is missing or makes no sense.
    pub fn lost(self, text: String) -> Error {
        match self {
            Self::Read => Error::Transient(text),
            Self::Write => Error::UnknownOutcome(text),
        }
    }
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    raw: RawRequest,
    effect: Effect,
}

impl Request {
    /// A request that counts as [`Effect::Read`] where the method is `GET` or `HEAD`.
    ///
    /// `url` is absolute and already percent-encoded (see [`encode`]).
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        let effect = match method {
            Method::Get | Method::Head => Effect::Read,
            Method::Post | Method::Put | Method::Patch | Method::Delete => Effect::Write,
        };
        let raw = RawRequest {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        Self { raw, effect }
    }

    /// Says what the request does, where its method does not (an API that reads by `POST`).
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Adds a header. `{{name}}` in `value` stands for the credential called `name`; the host puts it
    /// in on the way out.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.raw.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets a JSON body and its content type.
    #[must_use]
    pub fn json(self, body: &impl Serialize) -> Self {
        let mut with_type = self.header("content-type", "application/json");
        // Of what a provider sends nothing fails here: only maps with keys that are not strings do.
        with_type.raw.body = serde_json::to_vec(body).unwrap_or_default();
        with_type
    }

    /// Sets a body of any other kind.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.raw.body = body.into();
        self
    }

    /// Sends it. Any response is a success here, whatever its status.
    pub fn send(&self, host: &dyn Host) -> Result<Response, Error> {
        match host.send(&self.raw) {
            Ok(raw) => Ok(Response {
                raw,
                effect: self.effect,
            }),
            Err(SendError::Denied(text)) => Err(Error::Denied(text)),
            Err(SendError::Invalid(text)) => Err(Error::Invalid(text)),
            Err(SendError::NotSent(text)) => Err(Error::Transient(text)),
            // A limit may be met before the request leaves or while its response arrives.
            Err(SendError::Limit(text) | SendError::Interrupted(text)) => {
                Err(self.effect.lost(text))
            }
        }
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    raw: RawResponse,
    effect: Effect,
}

impl Response {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.raw.status
    }

    /// Is the status 2xx?
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.raw.status)
    }

    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.raw
            .headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.raw.body).into_owned()
    }

    /// The body as JSON. `what` names the request in the error message.
    pub fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T, Error> {
        serde_json::from_slice(&self.raw.body).map_err(|error| {
            self.effect.lost(format!(
                "{what}: the reply with status {} is not the JSON that was expected: {error}",
                self.raw.status
            ))
        })
    }

    /// What the server asked to wait, where it said so in seconds.
    pub fn retry_after_ms(&self) -> Option<u32> {
        let seconds: u32 = self.header("retry-after")?.trim().parse().ok()?;
        Some(seconds.saturating_mul(1000))
    }

    /// The error that a status usually means, for APIs that say nothing more exact. `what` names the
    /// request, `reason` is the server's own explanation.
    pub fn error(&self, what: &str, reason: &str) -> Error {
        let status = self.raw.status;
        let text = format!("{what}: status {status}: {}", excerpt(reason));
        match status {
            401 | 403 => Error::Auth(text),
            404 | 410 => Error::NotFound(text),
            409 => Error::Conflict(text),
            429 => Error::Throttled(Throttle {
                message: text,
                retry_after_ms: self.retry_after_ms(),
            }),
            400..500 => Error::Invalid(text),
            // 503 says that the server did not take the request up.
            503 => Error::Transient(text),
            _ => self.effect.lost(text),
        }
    }
}

/// The beginning of a text, on one line.
fn excerpt(text: &str) -> String {
    let line = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Percent-encodes everything but the unreserved characters of RFC 3986, as URL queries, path segments
/// and the signatures of most vendors want it.
pub fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(effect: Effect, status: u16, headers: &[(&str, &str)]) -> Response {
        let headers = headers
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        Response {
            raw: RawResponse {
                status,
                headers,
                body: b"{\"a\":1".to_vec(),
            },
            effect,
        }
    }

    #[test]
    fn a_status_becomes_the_error_that_the_daemon_acts_on() {
        let kind = |effect, status| response(effect, status, &[]).error("reading", "because");
        assert!(
            matches!(kind(Effect::Read, 401), Error::Auth(text) if text == "reading: status 401: because")
        );
        assert!(matches!(kind(Effect::Read, 404), Error::NotFound(_)));
        assert!(matches!(kind(Effect::Write, 409), Error::Conflict(_)));
        assert!(matches!(kind(Effect::Write, 422), Error::Invalid(_)));
        assert!(matches!(kind(Effect::Read, 500), Error::Transient(_)));
        assert!(matches!(kind(Effect::Write, 500), Error::UnknownOutcome(_)));
        assert!(matches!(kind(Effect::Write, 503), Error::Transient(_)));
    }

    #[test]
    fn a_throttled_reply_keeps_the_wait_that_was_asked_for() {
        let error = response(Effect::Write, 429, &[("retry-after", "3")]).error("writing", "slow");
        let Error::Throttled(throttle) = error else {
            panic!("{error:?}")
        };
        assert_eq!(throttle.retry_after_ms, Some(3000));
    }

    #[test]
    fn a_reply_that_cannot_be_read_leaves_a_write_unknown() {
        let reply = |effect| response(effect, 200, &[]).json::<serde_json::Value>("asking");
        assert!(matches!(reply(Effect::Read), Err(Error::Transient(_))));
        assert!(matches!(
            reply(Effect::Write),
            Err(Error::UnknownOutcome(_))
        ));
    }

    #[test]
    fn encoding_leaves_only_the_unreserved() {
        assert_eq!(encode("a-Z_0.~"), "a-Z_0.~");
        assert_eq!(encode("a b+c*d/e=é%"), "a%20b%2Bc%2Ad%2Fe%3D%C3%A9%25");
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(excerpt("a\n b"), "a b");
        assert_eq!(excerpt(&"é".repeat(301)), format!("{}…", "é".repeat(300)));
    }
}
