//! The API: signed calls, their replies, and what its errors mean.

use portolan_plugin::{
    Algorithm, Endpoint, HmacChain, Host,
    dns::{Error, Throttle},
    http::{Effect, Method, Request, Response},
    records::Failure,
    signing::{Moment, sha256_hex},
};
use serde::Deserialize;

use crate::{
    acs3::{Unsigned, empty_body},
    record::ServiceRecord,
};

const VERSION: &str = "2015-01-09";

/// The API at one endpoint.
pub(crate) struct Client {
    endpoint: Endpoint,
}

/// What any call can answer: each action fills in its own part. One type, because the code to read
/// each weighs some KB in the component.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Reply {
    pub(crate) total_count: Option<usize>,
    pub(crate) domains: Option<Domains>,
    pub(crate) domain_records: Option<Records>,
    pub(crate) record_lines: Option<Lines>,
    pub(crate) min_ttl: Option<u32>,
    pub(crate) record_id: Option<String>,
    code: String,
    message: String,
    request_id: String,
}

/// A part of a reply that its action always fills in. Nothing is made of a reply without it: a missing
/// list is not an empty one.
pub(crate) fn present<T>(part: Option<T>, effect: Effect, what: &str) -> Result<T, Error> {
    part.ok_or_else(|| effect.lost(format!("{what}: the reply lacks what this action answers")))
}

#[derive(Deserialize)]
pub(crate) struct Domains {
    #[serde(rename = "Domain")]
    pub(crate) list: Vec<Domain>,
}

#[derive(Deserialize)]
pub(crate) struct Records {
    #[serde(rename = "Record")]
    pub(crate) list: Vec<ServiceRecord>,
}

#[derive(Deserialize)]
pub(crate) struct Lines {
    #[serde(rename = "RecordLine")]
    pub(crate) list: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Domain {
    pub(crate) domain_name: String,
    /// The A-label form of a name in another script.
    pub(crate) puny_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Line {
    pub(crate) line_code: String,
    pub(crate) line_display_name: Option<String>,
}

impl Client {
    /// The API at `endpoint`: a scheme, a host and perhaps a port.
    pub(crate) fn new(endpoint: &str) -> Result<Self, Error> {
        let endpoint = Endpoint::parse("endpoint", endpoint, "https://alidns.aliyuncs.com")?;
        Ok(Self { endpoint })
    }

    /// Makes one call. `what` is for messages: "listing the domains".
    pub(crate) fn call(
        &self,
        host: &dyn Host,
        action: &str,
        effect: Effect,
        what: &str,
        parameters: Vec<(&str, String)>,
    ) -> Result<Reply, Failure> {
        let response = self
            .signed(host, action, parameters)?
            .effect(effect)
            .send(host)?;
        if response.is_success() {
            return Ok(response.json(what)?);
        }
        Err(failure(&response, effect, what))
    }

    fn signed(
        &self,
        host: &dyn Host,
        action: &str,
        parameters: Vec<(&str, String)>,
    ) -> Result<Request, Error> {
        let now = host.now();
        // The service refuses a nonce that it has seen. No two requests of an account leave in the same
        // nanosecond.
        let unique = format!("{} {} {action}", now.seconds, now.nanoseconds);
        let mut nonce = sha256_hex(unique.as_bytes());
        nonce.truncate(32);
        let headers = vec![
            ("accept", "application/json".to_owned()),
            ("host", self.endpoint.authority.clone()),
            ("x-acs-action", action.to_owned()),
            ("x-acs-content-sha256", empty_body()),
            ("x-acs-date", Moment::at(now.seconds).extended()),
            ("x-acs-signature-nonce", nonce),
            ("x-acs-version", VERSION.to_owned()),
        ];
        let unsigned = Unsigned::new("POST", parameters, headers);
        let signature = host.hmac(&HmacChain {
            credential: "access-key-secret".to_owned(),
            algorithm: Algorithm::HmacSha256,
            prefix: String::new(),
            suffix: String::new(),
            steps: vec![unsigned.string_to_sign().into_bytes()],
        })?;
        let url = format!("{}/?{}", self.endpoint.origin, unsigned.query());
        let authorization = unsigned.authorization("{{access-key-id}}", &signature);
        let request = Request::new(Method::Post, url).header("authorization", authorization);
        // `host` is the daemon's to send; it sends what is signed here.
        let headers = unsigned
            .headers
            .into_iter()
            .filter(|(name, _)| *name != "host");
        Ok(headers.fold(request, |request, (name, value)| {
            request.header(name, value)
        }))
    }
}

/// What an error reply means. The service says most with its codes and nearly always answers 400.
fn failure(response: &Response, effect: Effect, what: &str) -> Failure {
    let refusal: Reply = response.json(what).unwrap_or_default();
    if refusal.code.is_empty() {
        return Failure::Other(response.error(what, &response.text()));
    }
    let Reply {
        code,
        message,
        request_id,
        ..
    } = refusal;
    let text = format!("{what}: {code}: {message} (request {request_id})");
    Failure::Other(match code.as_str() {
        "DomainRecordDuplicate" => return Failure::Duplicate(Error::Conflict(text)),
        "DomainRecordNotBelongToUser" => return Failure::Gone(Error::NotFound(text)),
        "DomainRecordConflict" | "DomainRecordLocked" | "Forbidden.RecordLocked" => {
            Error::Conflict(text)
        }
        "IncorrectDomainUser" => Error::NotFound(text),
        // The clocks differ by more than 15 minutes.
        "InvalidTimeStamp.Expired" => Error::Auth(format!("{text}; check the daemon's clock")),
        "SignatureNonceUsed" | "LastOperationNotFinished" => Error::Transient(text),
        "UnKnownError" => effect.lost(text),
        code if code.starts_with("InvalidDomainName") => Error::NotFound(text),
        code if code.starts_with("QuotaExceeded") => Error::Quota(text),
        code if code.starts_with("Throttling") => {
            let retry_after_ms = response.retry_after_ms();
            Error::Throttled(Throttle {
                message: text,
                retry_after_ms,
            })
        }
        "SignatureDoesNotMatch" | "IncompleteSignature" | "InvalidSecurityToken.Expired" => {
            Error::Auth(text)
        }
        code if code.starts_with("InvalidAccessKeyId") || code.starts_with("Forbidden") => {
            Error::Auth(text)
        }
        _ => response.error(what, &format!("{code}: {message} (request {request_id})")),
    })
}

#[cfg(test)]
mod tests {
    use portolan_plugin::{http::RawResponse, testing::TestHost};
    use serde_json::json;

    use super::*;

    fn answered(status: u16, code: &str, effect: Effect) -> Failure {
        let body = json!({ "Code": code, "Message": "because", "RequestId": "R-1" }).to_string();
        let host = TestHost::new(move |_| {
            Ok(RawResponse {
                status,
                headers: Vec::new(),
                body: body.clone().into_bytes(),
            })
        })
        .credential("access-key-id", "id")
        .credential("access-key-secret", "secret");
        let client = Client::new("https://alidns.aliyuncs.com").unwrap();
        client
            .call(&host, "SomeAction", effect, "trying", Vec::new())
            .err()
            .unwrap()
    }

    #[test]
    fn codes_become_the_errors_that_the_daemon_acts_on() {
        let error = |code| Error::from(answered(400, code, Effect::Write));
        for code in [
            "InvalidAccessKeyId.NotFound",
            "InvalidAccessKeyId.Inactive",
            "SignatureDoesNotMatch",
            "Forbidden.RAM",
            "InvalidTimeStamp.Expired",
        ] {
            assert!(
                matches!(error(code), Error::Auth(text) if text.contains(code)),
                "{code}"
            );
        }
        assert!(matches!(
            error("Forbidden.RecordLocked"),
            Error::Conflict(_)
        ));
        assert!(matches!(error("DomainRecordConflict"), Error::Conflict(_)));
        assert!(matches!(
            error("InvalidDomainName.NoExist"),
            Error::NotFound(_)
        ));
        assert!(matches!(error("IncorrectDomainUser"), Error::NotFound(_)));
        assert!(matches!(error("QuotaExceeded.Record"), Error::Quota(_)));
        assert!(matches!(error("Throttling.User"), Error::Throttled(_)));
        assert!(matches!(error("UnKnownError"), Error::UnknownOutcome(_)));
        assert!(matches!(error("InvalidRR.Format"), Error::Invalid(text) if text.contains("R-1")));
        assert!(matches!(
            answered(400, "DomainRecordDuplicate", Effect::Write),
            Failure::Duplicate(_)
        ));
        assert!(matches!(
            answered(400, "DomainRecordNotBelongToUser", Effect::Write),
            Failure::Gone(_)
        ));
    }

    #[test]
    fn a_server_error_is_unknown_after_a_write_only() {
        let error = |effect| Error::from(answered(500, "InternalError", effect));
        assert!(matches!(error(Effect::Read), Error::Transient(_)));
        assert!(matches!(error(Effect::Write), Error::UnknownOutcome(_)));
        assert!(matches!(
            Error::from(answered(503, "ServiceUnavailable", Effect::Write)),
            Error::Transient(_)
        ));
    }

    #[test]
    fn no_two_requests_share_a_nonce_and_the_secret_stays_out() {
        let host = TestHost::new(|_| {
            Ok(RawResponse {
                status: 200,
                headers: Vec::new(),
                body: b"{}".to_vec(),
            })
        })
        .credential("access-key-id", "my-id")
        .credential("access-key-secret", "my-secret");
        let client = Client::new("https://alidns.aliyuncs.com").unwrap();
        for _ in 0..2 {
            client
                .call(&host, "A", Effect::Read, "trying", Vec::new())
                .unwrap();
        }
        let requests = host.requests();
        let header = |index: usize, name: &str| {
            let found = requests[index].headers.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone())
        };
        assert_ne!(
            header(0, "x-acs-signature-nonce"),
            header(1, "x-acs-signature-nonce")
        );
        assert_eq!(header(0, "host"), None);
        assert!(
            header(0, "authorization")
                .unwrap()
                .contains("Credential=my-id,SignedHeaders=accept;host;x-acs-action;")
        );
        assert!(!format!("{requests:?}").contains("my-secret"));
    }
}
