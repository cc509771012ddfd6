//! The API: signed calls, their replies, and what its errors mean.

use portolan_plugin::{
    Algorithm, Endpoint, HmacChain, Host,
    dns::{Error, Throttle},
    http::{Effect, Method, Request, Response},
    signing::Moment,
};
use serde::{Deserialize, Serialize};

use crate::{
    sdk_hmac::{DATE, Unsigned},
    set::Set,
};

/// The API at one endpoint.
pub(crate) struct Client {
    endpoint: Endpoint,
    project_id: Option<String>,
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What shall be written clashes with what stands there: a set of the same key, or a CNAME.
    Clash(Error),
    /// The record set is not there any more.
    Gone(Error),
    /// The service is still busy with an earlier change of the set or the zone.
    Unsteady(Error),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Clash(error)
            | Failure::Gone(error)
            | Failure::Unsteady(error)
            | Failure::Other(error) => error,
        }
    }
}

impl Failure {
    /// Has the service looked at the request and refused what it says, changing nothing?
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Clash(_) | Self::Gone(_) | Self::Unsteady(_) => true,
            Self::Other(error) => matches!(
                error,
                Error::Invalid(_) | Error::Conflict(_) | Error::Unsupported(_) | Error::Quota(_)
            ),
        }
    }
}

/// What is asked for. `what` is for messages: "listing the zones".
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// The parts of the path between its slashes.
    pub(crate) path: &'a [&'a str],
    pub(crate) query: Vec<(&'a str, String)>,
    pub(crate) body: Option<Body<'a>>,
    pub(crate) what: &'a str,
}

/// What any call can send: each fills in its own part. One type, because the code to write each weighs
/// some KB in the component.
#[derive(Default, Serialize)]
pub(crate) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    pub(crate) rtype: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) records: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weight: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) recordsets: Vec<Body<'a>>,
}

/// What any call can answer, with the same thought.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reply {
    /// Of the set that was created, changed or deleted.
    pub(crate) id: Option<String>,
    pub(crate) zones: Option<Vec<Entry>>,
    pub(crate) recordsets: Option<Vec<Set>>,
    pub(crate) lines: Option<Vec<Entry>>,
    pub(crate) metadata: Option<Metadata>,
    // The service says `code`, the gateway before it `error_code`.
    #[serde(alias = "error_code")]
    code: String,
    #[serde(alias = "error_msg")]
    message: String,
}

#[derive(Deserialize)]
pub(crate) struct Metadata {
    /// Of all pages together.
    pub(crate) total_count: usize,
}

/// A zone or a line.
#[derive(Deserialize)]
pub(crate) struct Entry {
    /// Lines of the account's own have it under the other name.
    #[serde(alias = "line_id")]
    pub(crate) id: String,
    pub(crate) name: String,
}

/// A part of a reply that its call always fills in. Nothing is made of a reply without it: a missing
/// list is not an empty one.
pub(crate) fn present<T>(part: Option<T>, effect: Effect, what: &str) -> Result<T, Error> {
    part.ok_or_else(|| effect.lost(format!("{what}: the reply lacks what this call answers")))
}

impl Client {
    /// The API at `endpoint`, a scheme, a host and perhaps a port, in this IAM project or in the one
    /// that is the region's own.
    pub(crate) fn new(endpoint: &str, project_id: Option<String>) -> Result<Self, Error> {
        let example = "https://dns.cn-north-4.myhuaweicloud.com";
        Ok(Self {
            endpoint: Endpoint::parse("endpoint", endpoint, example)?,
            project_id,
        })
    }

    /// Makes one call.
    pub(crate) fn call(&self, host: &dyn Host, call: Call<'_>) -> Result<Reply, Failure> {
        let what = call.what;
        let effect = match call.method {
            Method::Get => Effect::Read,
            _ => Effect::Write,
        };
        let response = self.signed(host, call)?.send(host)?;
        if response.is_success() {
            return Ok(response.json(what)?);
        }
        Err(failure(&response, effect, what))
    }

    fn signed(&self, host: &dyn Host, call: Call<'_>) -> Result<Request, Error> {
        let method = match call.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Head => "HEAD",
            Method::Patch => "PATCH",
        };
        let mut headers = vec![
            ("host", self.endpoint.authority.clone()),
            (DATE, Moment::at(host.now().seconds).basic()),
        ];
        if let Some(project_id) = &self.project_id {
            headers.push(("x-project-id", project_id.clone()));
        }
        let body = call.body.as_ref();
        // These are the octets that `Request::json` sends.
        let octets = body.and_then(|body| serde_json::to_vec(body).ok());
        let octets = octets.unwrap_or_default();
        if body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        let unsigned = Unsigned::new(method, call.path, call.query, headers, &octets);
        let signature = host.hmac(&HmacChain {
            credential: "secret-key".to_owned(),
            algorithm: Algorithm::HmacSha256,
            prefix: String::new(),
            suffix: String::new(),
            steps: vec![unsigned.string_to_sign().into_bytes()],
        })?;
        let url = format!("{}{}", self.endpoint.origin, unsigned.target());
        let authorization = unsigned.authorization("{{access-key}}", &signature);
        let mut request = Request::new(call.method, url).header("authorization", authorization);
        if let Some(body) = body {
            request = request.json(body);
        }
        // `host` is the daemon's to send, and `json` has set the content type.
        let others = unsigned
            .headers
            .into_iter()
            .filter(|(name, _)| !matches!(*name, "host" | "content-type"));
        Ok(others.fold(request, |request, (name, value)| {
            request.header(name, value)
        }))
    }
}

/// What an error reply means.
fn failure(response: &Response, effect: Effect, what: &str) -> Failure {
    let refusal: Reply = response.json(what).unwrap_or_default();
    let Reply { code, message, .. } = refusal;
    if code.is_empty() {
        return Failure::Other(response.error(what, &response.text()));
    }
    let reason = match response.header("x-request-id") {
        Some(id) => format!("{code}: {message} (request {id})"),
        None => format!("{code}: {message}"),
    };
    let text = format!("{what}: {reason}");
    // The same gateway calls itself by two names.
    let gateway = code
        .strip_prefix("APIGW.")
        .or_else(|| code.strip_prefix("APIG."));
    Failure::Other(match (gateway, code.as_str()) {
        (Some("0308"), _) | (None, "DNS.0014") => Error::Throttled(Throttle {
            message: text,
            retry_after_ms: response.retry_after_ms(),
        }),
        (Some("0301" | "0302" | "0303" | "0305" | "0306" | "0307"), _) => Error::Auth(text),
        // 0005: no authentication; 0013, 0030, 1802: no permission; 0040: the account's owner has not
        // shown who he is.
        (None, "DNS.0005" | "DNS.0013" | "DNS.0030" | "DNS.0040" | "DNS.1802") => Error::Auth(text),
        (None, "DNS.0301" | "DNS.0302") => Error::NotFound(text),
        (None, "DNS.0004" | "DNS.0313") => return Failure::Gone(Error::NotFound(text)),
        // 0209: the zone, 0314: the set is not in a steady state; 0021: no lock on it was to be had.
        (None, "DNS.0021" | "DNS.0209" | "DNS.0314") => {
            return Failure::Unsteady(Error::Transient(text));
        }
        // 0016, 0312, 0335: it is there already; 0324: more sets of one key than may be. The others
        // are not in every edition of the list and are about other sets of the same name.
        (
            None,
            "DNS.0016" | "DNS.0312" | "DNS.0324" | "DNS.0328" | "DNS.0334" | "DNS.0335"
            | "DNS.0342",
        ) => return Failure::Clash(Error::Conflict(text)),
        // Sets that the service makes for each zone can be neither deleted nor changed.
        (None, "DNS.0317" | "DNS.0318") => Error::Unsupported(text),
        (None, "DNS.0403" | "DNS.0404" | "DNS.2002") => Error::Quota(text),
        _ if response.status() >= 500 => effect.lost(text),
        _ => response.error(what, &reason),
    })
}

#[cfg(test)]
mod tests {
    use portolan_plugin::{http::RawResponse, testing::TestHost};
    use serde_json::json;

    use super::*;

    fn answered(status: u16, body: serde_json::Value, method: Method) -> Failure {
        let host = TestHost::new(move |_| {
            Ok(RawResponse {
                status,
                headers: vec![("x-request-id".to_owned(), "R-1".to_owned())],
                body: body.to_string().into_bytes(),
            })
        })
        .credential("access-key", "id")
        .credential("secret-key", "secret");
        let client = Client::new("https://dns.cn-north-4.myhuaweicloud.com", None).unwrap();
        let call = Call {
            method,
            path: &["v2.1", "recordsets"],
            query: Vec::new(),
            body: None,
            what: "trying",
        };
        client.call(&host, call).err().unwrap()
    }

    fn error(status: u16, code: &str) -> Error {
        let body = json!({ "code": code, "message": "because" });
        answered(status, body, Method::Put).into()
    }

    #[test]
    fn codes_become_the_errors_that_the_daemon_acts_on() {
        let gateway = json!({
            "error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information",
            "request_id": "R-1",
        });
        assert!(matches!(
            Error::from(answered(401, gateway, Method::Get)),
            Error::Auth(text) if text.contains("APIGW.0301: Incorrect") && text.contains("R-1")
        ));
        assert!(matches!(error(403, "DNS.0013"), Error::Auth(_)));
        assert!(matches!(error(403, "DNS.0014"), Error::Throttled(_)));
        assert!(matches!(error(429, "APIG.0308"), Error::Throttled(_)));
        assert!(matches!(error(400, "DNS.0302"), Error::NotFound(_)));
        assert!(matches!(error(400, "DNS.0308"), Error::Invalid(text) if text.contains("because")));
        assert!(matches!(error(409, "DNS.0317"), Error::Unsupported(_)));
        assert!(matches!(error(403, "DNS.0403"), Error::Quota(_)));
        assert!(matches!(error(400, "DNS.0312"), Error::Conflict(_)));
        assert!(matches!(error(400, "DNS.0314"), Error::Transient(_)));
        assert!(matches!(error(500, "DNS.0021"), Error::Transient(_)));
        let gone = json!({ "code": "DNS.0313", "message": "because" });
        assert!(matches!(answered(404, gone, Method::Put), Failure::Gone(_)));
    }

    #[test]
    fn a_server_error_is_unknown_after_a_write_only() {
        let body = json!({ "code": "DNS.0001", "message": "Internal error." });
        let read = answered(500, body.clone(), Method::Get).into();
        assert!(matches!(read, Error::Transient(_)));
        let write = answered(500, body, Method::Post).into();
        assert!(matches!(write, Error::UnknownOutcome(_)));
    }

    #[test]
    fn the_secret_stays_out_of_what_leaves() {
        let host = TestHost::new(|_| {
            Ok(RawResponse {
                status: 202,
                headers: Vec::new(),
                body: b"{}".to_vec(),
            })
        })
        .credential("access-key", "my-key")
        .credential("secret-key", "my-secret");
        let client = Client::new("https://dns.example", Some("p1".to_owned())).unwrap();
        let body = Body {
            status: Some("ENABLE"),
            ..Body::default()
        };
        let call = Call {
            method: Method::Put,
            path: &["a"],
            query: Vec::new(),
            body: Some(body),
            what: "trying",
        };
        client.call(&host, call).unwrap();
        let requests = host.requests();
        let headers = &requests[0].headers;
        let header = |name: &str| headers.iter().find(|(key, _)| key == name);
        assert_eq!(requests[0].body, br#"{"status":"ENABLE"}"#);
        assert_eq!(header("host"), None);
        assert_eq!(header("x-project-id").unwrap().1, "p1");
        assert!(header("authorization").unwrap().1.contains(
            "Access=my-key, SignedHeaders=content-type;host;x-project-id;x-sdk-date, Signature="
        ));
        assert!(!format!("{requests:?}").contains("my-secret"));
    }
}
