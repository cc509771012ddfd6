//! The API: signed calls, their replies, and what its errors mean.

use portolan_plugin::{
    Algorithm, Endpoint, HmacChain, Host,
    dns::{Error, Throttle},
    http::{Effect, Method, Request, Response},
    signing::Moment,
};

use crate::{
    sigv4::{PREFIX, Scope, Unsigned},
    xml::{self, Element},
};

const SERVICE: &str = "route53";
const VERSION: &str = "2013-04-01";
/// The namespace of request bodies.
pub(crate) const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

/// The API at one endpoint.
pub(crate) struct Client {
    endpoint: Endpoint,
    region: String,
}

/// Why a change failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The service refused what one of the changes says; it made none of the request's.
    Refused(Error),
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
            Failure::Refused(error) | Failure::Other(error) => error,
        }
    }
}

impl Client {
    /// The API at `endpoint`: a scheme, a host and perhaps a port.
    pub(crate) fn new(endpoint: &str, region: &str) -> Result<Self, Error> {
        if region.is_empty() {
            return Err(Error::Invalid(
                "`region` is empty: write `us-east-1`, or leave it out".to_owned(),
            ));
        }
        Ok(Self {
            endpoint: Endpoint::parse("endpoint", endpoint, "https://route53.amazonaws.com")?,
            region: region.to_owned(),
        })
    }

    /// Asks for something. `root` names the reply's root element, `what` is for messages: "listing the
    /// hosted zones".
    pub(crate) fn get(
        &self,
        host: &dyn Host,
        path: &str,
        query: &[(&str, String)],
        root: &str,
        what: &str,
    ) -> Result<Element, Error> {
        let request = self.signed(host, Method::Get, path, query, None)?;
        Ok(finish(
            &request.send(host)?,
            Effect::Read,
            &format!("{root}Response"),
            what,
        )?)
    }

    /// Has something changed.
    pub(crate) fn post(
        &self,
        host: &dyn Host,
        path: &str,
        body: String,
        root: &str,
        what: &str,
    ) -> Result<Element, Failure> {
        let request = self.signed(host, Method::Post, path, &[], Some(body))?;
        finish(
            &request.send(host)?,
            Effect::Write,
            &format!("{root}Response"),
            what,
        )
    }

    fn signed(
        &self,
        host: &dyn Host,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<String>,
    ) -> Result<Request, Error> {
        let path = format!("/{VERSION}/{path}");
        let moment = Moment::at(host.now().seconds);
        let mut headers = vec![
            ("host", self.endpoint.authority.clone()),
            ("x-amz-date", moment.basic()),
        ];
        if body.is_some() {
            headers.push(("content-type", "application/xml".to_owned()));
        }
        let sent: Vec<(&str, String)> = headers[1..].to_vec();
        let name = match method {
            Method::Post => "POST",
            _ => "GET",
        };
        let body = body.unwrap_or_default();
        let unsigned = Unsigned::new(name, &path, query, headers, body.as_bytes());
        let scope = Scope {
            moment,
            region: &self.region,
            service: SERVICE,
        };
        let signature = host.hmac(&HmacChain {
            credential: "secret-access-key".to_owned(),
            algorithm: Algorithm::HmacSha256,
            prefix: PREFIX.to_owned(),
            suffix: String::new(),
            steps: scope.steps(unsigned.string_to_sign(&scope)),
        })?;
        let mut url = format!("{}{path}", self.endpoint.origin);
        if !query.is_empty() {
            url.push('?');
            url.push_str(&unsigned.query());
        }
        let authorization = unsigned.authorization("{{access-key-id}}", &scope, &signature);
        // `host` is the daemon's to send; it sends what is signed here.
        let request = Request::new(method, url)
            .header("authorization", authorization)
            .body(body);
        Ok(sent.into_iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        }))
    }
}

/// The reply's root element, if the service did what was asked.
fn finish(response: &Response, effect: Effect, root: &str, what: &str) -> Result<Element, Failure> {
    let text = response.text();
    let reply = xml::parse(&text);
    if response.is_success() {
        return reply
            .filter(|reply| reply.name == root)
            .ok_or_else(|| lost(effect, what, &format!("no whole {root}")).into());
    }
    let refusal = reply.as_ref().and_then(Refusal::of);
    Err(match refusal {
        Some(refusal) => refusal.meaning(response, what),
        None => response.error(what, &text).into(),
    })
}

/// The error for a reply that says something else than it should.
pub(crate) fn lost(effect: Effect, what: &str, missing: &str) -> Error {
    effect.lost(format!("{what}: the reply has {missing}"))
}

/// What the service says where it does not do as asked.
struct Refusal<'a> {
    code: &'a str,
    message: String,
    request_id: &'a str,
}

impl<'a> Refusal<'a> {
    /// A refused batch may come in an element of its own with a message for each bad change.
    fn of(reply: &'a Element) -> Option<Self> {
        let request_id = reply.text_of("RequestId").unwrap_or_default();
        if reply.name == "InvalidChangeBatch" {
            let messages = reply.child("Messages").map_or(&[][..], |m| &m.children);
            let messages: Vec<&str> = messages.iter().map(|m| m.text.as_str()).collect();
            return Some(Self {
                code: &reply.name,
                message: messages.join("; "),
                request_id,
            });
        }
        // What stands before the service itself may put it one deeper.
        let error = reply
            .child("Error")
            .or_else(|| reply.child("Errors")?.child("Error"))?;
        Some(Self {
            code: error.text_of("Code")?,
            message: error.text_of("Message").unwrap_or_default().to_owned(),
            request_id,
        })
    }

    fn meaning(&self, response: &Response, what: &str) -> Failure {
        let Self {
            code,
            message,
            request_id,
        } = self;
        let said = format!("{code}: {message} (request {request_id})");
        let text = format!("{what}: {said}");
        Failure::Other(match *code {
            "InvalidChangeBatch" | "InvalidInput" => {
                return Failure::Refused(refused(message, text));
            }
            "NoSuchHostedZone" => Error::NotFound(text),
            // The service answers 400 to both.
            "Throttling" | "ThrottlingException" | "PriorRequestNotComplete" => {
                let retry_after_ms = response.retry_after_ms();
                Error::Throttled(Throttle {
                    message: text,
                    retry_after_ms,
                })
            }
            // The clocks differ by more than five minutes.
            "SignatureDoesNotMatch" | "RequestExpired" if message.contains("xpired") => {
                Error::Auth(format!("{text}; check the daemon's clock"))
            }
            "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "InvalidSignatureException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "MissingAuthenticationToken"
            | "ExpiredToken"
            | "RequestExpired"
            | "OptInRequired" => Error::Auth(text),
            code if code.starts_with("AccessDenied") || code.starts_with("NotAuthorized") => {
                Error::Auth(text)
            }
            _ => response.error(what, &said),
        })
    }
}

/// One code covers all that is wrong with a change.
fn refused(message: &str, text: String) -> Error {
    let has = |words: &str| message.contains(words);
    if has("already exist") || has("onflict") || has("other RRSets exist") || has("protect") {
        Error::Conflict(text)
    } else if has("limit of") {
        Error::Quota(text)
    } else {
        Error::Invalid(text)
    }
}

#[cfg(test)]
mod tests {
    use portolan_plugin::{http::RawResponse, testing::TestHost};

    use super::*;

    fn host(status: u16, body: String) -> TestHost {
        TestHost::new(move |_| {
            Ok(RawResponse {
                status,
                headers: vec![("retry-after".to_owned(), "2".to_owned())],
                body: body.clone().into_bytes(),
            })
        })
        .credential("access-key-id", "my-id")
        .credential("secret-access-key", "my-secret")
    }

    fn client() -> Client {
        Client::new("https://route53.amazonaws.com", "us-east-1").unwrap()
    }

    fn write(status: u16, body: &str) -> Failure {
        let host = host(status, body.to_owned());
        let written = client().post(&host, "x", "<x/>".to_owned(), "Any", "trying");
        written.err().unwrap()
    }

    fn answered(status: u16, code: &str, message: &str) -> Failure {
        write(
            status,
            &format!(
                "<?xml version=\"1.0\"?><ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>\
                 <Message>{message}</Message></Error><RequestId>R-1</RequestId></ErrorResponse>"
            ),
        )
    }

    #[test]
    fn codes_become_the_errors_that_the_daemon_acts_on() {
        let error = |status, code| Error::from(answered(status, code, "because"));
        for code in [
            "SignatureDoesNotMatch",
            "InvalidClientTokenId",
            "AccessDenied",
            "AccessDeniedException",
        ] {
            assert!(
                matches!(error(403, code), Error::Auth(text) if text.contains(code) && text.contains("R-1"))
            );
        }
        assert!(matches!(error(404, "NoSuchHostedZone"), Error::NotFound(_)));
        for code in ["Throttling", "PriorRequestNotComplete"] {
            let Error::Throttled(throttle) = error(400, code) else {
                panic!("{code}")
            };
            assert_eq!(throttle.retry_after_ms, Some(2_000));
        }
        assert!(matches!(
            error(503, "ServiceUnavailable"),
            Error::Transient(_)
        ));
        assert!(matches!(
            error(500, "InternalFailure"),
            Error::UnknownOutcome(_)
        ));
        assert!(matches!(error(400, "SomethingNew"), Error::Invalid(_)));
        let late = answered(403, "SignatureDoesNotMatch", "Signature expired: 2023 is");
        assert!(matches!(Error::from(late), Error::Auth(text) if text.contains("clock")));
    }

    #[test]
    fn a_refused_batch_says_what_is_wrong_in_either_form() {
        let conflict =
            "[Tried to create resource record set [name='a', type='A'] but it already exists]";
        assert!(matches!(
            answered(400, "InvalidChangeBatch", conflict),
            Failure::Refused(Error::Conflict(_))
        ));
        let own = "<InvalidChangeBatch xmlns='x'><Messages><Message>first is conflicting</Message>\
                   <Message>second</Message></Messages><RequestId>R-2</RequestId></InvalidChangeBatch>";
        assert!(
            matches!(write(400, own), Failure::Refused(Error::Conflict(text)) if text.contains("first is conflicting; second (request R-2)"))
        );
        assert!(matches!(
            answered(
                400,
                "InvalidChangeBatch",
                "Number of records limit of 10000 exceeded."
            ),
            Failure::Refused(Error::Quota(_))
        ));
        assert!(matches!(
            answered(400, "InvalidInput", "Value"),
            Failure::Refused(Error::Invalid(_))
        ));
    }

    #[test]
    fn a_reply_of_another_kind_leaves_a_write_unknown() {
        for body in ["", "<html></html>", "<OtherResponse/>", "<AnyResponse>"] {
            assert!(matches!(
                write(200, body),
                Failure::Other(Error::UnknownOutcome(_))
            ));
            let read = client().get(&host(200, body.to_owned()), "x", &[], "Any", "trying");
            assert!(matches!(read, Err(Error::Transient(_))));
        }
        assert!(matches!(
            write(403, "<html></html>"),
            Failure::Other(Error::Auth(_))
        ));
    }

    #[test]
    fn what_is_signed_is_what_is_sent_and_the_secret_stays_out() {
        let host = host(200, "<AnyResponse/>".to_owned());
        let query = [("name", "a b".to_owned())];
        client().get(&host, "x", &query, "Any", "trying").unwrap();
        client()
            .post(&host, "x", "<x/>".to_owned(), "Any", "trying")
            .unwrap();
        let requests = host.requests();
        assert_eq!(
            requests[0].url,
            "https://route53.amazonaws.com/2013-04-01/x?name=a%20b"
        );
        let header = |index: usize, name: &str| {
            let headers = &requests[index].headers;
            let found = headers.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone())
        };
        assert_eq!(header(0, "host"), None);
        assert_eq!(header(0, "x-amz-date").as_deref(), Some("20231114T221320Z"));
        assert!(header(1, "authorization").unwrap().contains(
            "Credential=my-id/20231114/us-east-1/route53/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, "
        ));
        assert!(!format!("{requests:?}").contains("my-secret"));
    }
}
