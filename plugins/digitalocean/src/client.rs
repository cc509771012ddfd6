//! The API: requests, their replies, and what its errors mean.

use portolan_plugin::{
    Endpoint, Host,
    dns::{Error, Throttle},
    http::{Effect, Method, Request, Response},
};
use serde::{Deserialize, Serialize};

use crate::record::Record;

/// The most items per page. A service that gives fewer is understood, too.
pub(crate) const PAGE: usize = 200;

/// The API at one endpoint.
pub(crate) struct Client {
    /// `https://api.digitalocean.com/v2/domains`.
    base: String,
}

/// What any request can be answered with: each fills in its own part, and an error `id`, `message` and
/// perhaps `request_id`. One type, because the code to read each weighs some KB in the component.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reply {
    pub(crate) domains: Option<Vec<Domain>>,
    pub(crate) domain_records: Option<Vec<Record>>,
    pub(crate) domain_record: Option<Record>,
    meta: Option<Meta>,
    links: Option<Links>,
    id: String,
    message: String,
    request_id: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Domain {
    pub(crate) name: String,
}

#[derive(Deserialize)]
struct Meta {
    total: usize,
}

#[derive(Deserialize)]
struct Links {
    pages: Option<Pages>,
}

#[derive(Deserialize)]
struct Pages {
    next: Option<String>,
}

impl Reply {
    /// How many items all pages of this list have together, where the reply says so.
    pub(crate) fn total(&self) -> Option<usize> {
        self.meta.as_ref().map(|meta| meta.total)
    }

    /// Is there another page after this one?
    pub(crate) fn has_next(&self) -> bool {
        let pages = self.links.as_ref().and_then(|links| links.pages.as_ref());
        pages.is_some_and(|pages| pages.next.is_some())
    }
}

/// A part of a reply that its request always fills in. Nothing is made of a reply without it: a missing
/// list is not an empty one.
pub(crate) fn present<T>(part: Option<T>, effect: Effect, what: &str) -> Result<T, Error> {
    part.ok_or_else(|| effect.lost(format!("{what}: the reply lacks what this request answers")))
}

impl Client {
    /// The API at `endpoint`: a scheme, a host and perhaps a port.
    pub(crate) fn new(endpoint: &str) -> Result<Self, Error> {
        let endpoint = Endpoint::parse("endpoint", endpoint, "https://api.digitalocean.com")?;
        Ok(Self {
            base: format!("{}/v2/domains", endpoint.origin),
        })
    }

    /// Reads. `path` is what follows `/v2/domains`, percent-encoded; `what` is for messages: "listing
    /// the domains".
    pub(crate) fn get(&self, host: &dyn Host, path: &str, what: &str) -> Result<Reply, Error> {
        let response = self.request(Method::Get, path).send(host)?;
        checked(host, &response, what)?.json(what)
    }

    /// Adds (`POST`) or replaces (`PUT`) a record.
    pub(crate) fn write(
        &self,
        host: &dyn Host,
        method: Method,
        path: &str,
        body: &impl Serialize,
        what: &str,
    ) -> Result<(), Error> {
        let response = self.request(method, path).json(body).send(host)?;
        let reply: Reply = checked(host, &response, what)?.json(what)?;
        present(reply.domain_record, Effect::Write, what).map(drop)
    }

    /// Deletes a record.
    pub(crate) fn delete(&self, host: &dyn Host, path: &str, what: &str) -> Result<(), Error> {
        let response = self.request(Method::Delete, path).send(host)?;
        match checked(host, &response, what)?.status() {
            204 => Ok(()),
            // Something between us and the service has answered in its place.
            status => Err(Error::UnknownOutcome(format!(
                "{what}: the reply has status {status} in place of 204"
            ))),
        }
    }

    fn request(&self, method: Method, path: &str) -> Request {
        Request::new(method, format!("{}{path}", self.base))
            .header("authorization", "Bearer {{token}}")
    }
}

/// The response, if the service did what was asked.
fn checked<'a>(host: &dyn Host, response: &'a Response, what: &str) -> Result<&'a Response, Error> {
    if response.is_success() {
        return Ok(response);
    }
    let refusal: Reply = response.json(what).unwrap_or_default();
    let mut reason = match refusal.message.as_str() {
        // A proxy's own error, perhaps.
        "" => response.text(),
        message => format!("{}: {message}", refusal.id),
    };
    if let Some(request) = &refusal.request_id {
        reason.push_str(&format!(" (request {request})"));
    }
    Err(match response.error(what, &reason) {
        // The service has one code for all that it refuses: `unprocessable_entity`.
        Error::Invalid(text) if refusal.message.contains("share a name with") => {
            Error::Conflict(text)
        }
        Error::Throttled(throttle) => Error::Throttled(Throttle {
            retry_after_ms: throttle
                .retry_after_ms
                .or_else(|| until_reset_ms(host, response)),
            ..throttle
        }),
        error => error,
    })
}

/// How long it takes until the oldest request of the hour does not count any more; the service says
/// when, in seconds since 1970, and only after bursts how long to wait.
fn until_reset_ms(host: &dyn Host, response: &Response) -> Option<u32> {
    let reset: u64 = response.header("ratelimit-reset")?.trim().parse().ok()?;
    let seconds = reset.checked_sub(host.now().seconds)?;
    u32::try_from(seconds.saturating_mul(1000)).ok()
}

#[cfg(test)]
mod tests {
    use portolan_plugin::{
        http::{RawResponse, SendError},
        testing::TestHost,
    };

    use super::*;

    fn answering(status: u16, headers: &[(&str, &str)], body: &str) -> TestHost {
        let headers: Vec<(String, String)> = headers
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let body = body.as_bytes().to_vec();
        let answer = move |_: &_| -> Result<RawResponse, SendError> {
            Ok(RawResponse {
                status,
                headers: headers.clone(),
                body: body.clone(),
            })
        };
        TestHost::new(answer).credential("token", "my-token")
    }

    fn refused(status: u16, headers: &[(&str, &str)], message: &str) -> Error {
        let body = serde_json::json!({ "id": "some_id", "message": message, "request_id": "R-1" });
        let host = answering(status, headers, &body.to_string());
        let client = Client::new("https://api.digitalocean.com").unwrap();
        client
            .delete(&host, "/example.com/records/1", "trying")
            .unwrap_err()
    }

    #[test]
    fn errors_become_those_that_the_daemon_acts_on() {
        let error = |status, message| refused(status, &[], message);
        assert!(matches!(
            error(401, "Unable to authenticate you"),
            Error::Auth(text) if text.contains("some_id: Unable to authenticate you (request R-1)")
        ));
        assert!(matches!(error(403, "no access"), Error::Auth(_)));
        assert!(matches!(error(404, "not found"), Error::NotFound(_)));
        assert!(matches!(error(422, "Data is invalid"), Error::Invalid(_)));
        for message in [
            "CNAME records cannot share a name with other records",
            "records cannot share a name with a CNAME record",
        ] {
            assert!(matches!(error(422, message), Error::Conflict(text) if text.contains(message)));
        }
        assert!(matches!(error(500, "oops"), Error::UnknownOutcome(_)));
        assert!(matches!(error(503, "later"), Error::Transient(_)));
        assert!(matches!(error(200, "deleted?"), Error::UnknownOutcome(_)));
    }

    #[test]
    fn a_throttled_reply_says_how_long_or_until_when_to_wait() {
        let wait =
            |headers: &[(&str, &str)]| match refused(429, headers, "API Rate limit exceeded.") {
                Error::Throttled(throttle) => throttle.retry_after_ms,
                error => panic!("{error:?}"),
            };
        assert_eq!(wait(&[]), None);
        let reset = ("ratelimit-reset", "1700000090");
        assert_eq!(wait(&[reset]), Some(90_000));
        assert_eq!(wait(&[reset, ("retry-after", "7")]), Some(7_000));
        assert_eq!(wait(&[("ratelimit-reset", "1600000000")]), None, "the past");
    }

    #[test]
    fn the_token_is_put_in_by_the_host() {
        let host = answering(200, &[], "{}");
        let client = Client::new("https://api.digitalocean.com/").unwrap();
        let reply = client.get(&host, "?page=1", "listing the domains").unwrap();
        assert!(reply.domains.is_none() && !reply.has_next());
        let request = &host.requests()[0];
        assert_eq!(
            request.url,
            "https://api.digitalocean.com/v2/domains?page=1"
        );
        let header = ("authorization".to_owned(), "Bearer my-token".to_owned());
        assert!(request.headers.contains(&header));
    }
}
