//! What the API's errors mean.

use portolan_plugin::{
    dns::{Error, Throttle},
    http::Response,
    records::Failure,
};
use serde::Deserialize;

/// The part of a reply that says how the request went.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Verdict {
    pub(crate) success: bool,
    errors: Vec<Fault>,
}

/// One of the API's errors.
#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    code: u32,
    #[serde(default)]
    message: String,
    /// What exactly is wrong, where the error itself only says that something is.
    #[serde(default)]
    error_chain: Vec<Fault>,
}

/// What an error reply means. `what` is for messages: "reading the records of example.com".
pub(crate) fn failure(response: &Response, what: &str) -> Failure {
    let verdict: Verdict = response.json(what).unwrap_or_default();
    let Some(first) = verdict.errors.first() else {
        return Failure::Other(response.error(what, &response.text()));
    };
    let code = first.code;
    let mut reason = String::new();
    tell(&verdict.errors, &mut reason);
    let text = format!("{what}: {reason}");
    Failure::Other(match code {
        81057 | 81058 => return Failure::Duplicate(Error::Conflict(text)),
        81044 => return Failure::Gone(Error::NotFound(text)),
        // A CNAME beside addresses, or the other way around; a name that is delegated.
        81053..=81056 => Error::Conflict(text),
        81045 => Error::Quota(text),
        971 | 10100 => Error::Throttled(Throttle {
            message: text,
            retry_after_ms: response.retry_after_ms(),
        }),
        // The header is missing or malformed, the token is wrong or may not do this.
        6003 | 9106 | 9107 | 9109 | 10000 | 10001 => Error::Auth(text),
        7000 | 7003 => Error::NotFound(text),
        // The service takes no changes by API under some top-level domains.
        1038 => Error::Unsupported(text),
        _ => response.error(what, &reason),
    })
}

/// The codes and messages of all errors: `1004 DNS Validation Error (9021 Invalid TTL)`.
fn tell(faults: &[Fault], text: &mut String) {
    for (index, fault) in faults.iter().enumerate() {
        if index > 0 {
            text.push_str("; ");
        }
        text.push_str(&format!("{} {}", fault.code, fault.message));
        if !fault.error_chain.is_empty() {
            text.push_str(" (");
            tell(&fault.error_chain, text);
            text.push(')');
        }
    }
}

/// Is this about what was asked for, so that another request may fare better? Nothing has been changed
/// then.
pub(crate) fn is_refusal(failure: &Failure) -> bool {
    match failure {
        Failure::Duplicate(_) | Failure::Gone(_) => true,
        Failure::Other(error) => !matches!(
            error,
            Error::Auth(_)
                | Error::Denied(_)
                | Error::Throttled(_)
                | Error::Transient(_)
                | Error::UnknownOutcome(_)
        ),
    }
}

#[cfg(test)]
mod tests {
    use portolan_plugin::{
        http::{Method, RawResponse, Request},
        testing::TestHost,
    };

    use super::*;

    fn answered(method: Method, status: u16, body: &str) -> Failure {
        let body = body.as_bytes().to_vec();
        let host = TestHost::new(move |_| {
            Ok(RawResponse {
                status,
                headers: vec![("retry-after".to_owned(), "7".to_owned())],
                body: body.clone(),
            })
        });
        let request = Request::new(method, "https://api.cloudflare.com/");
        failure(&request.send(&host).unwrap(), "trying")
    }

    fn coded(status: u16, code: u32) -> Failure {
        let body = format!(
            r#"{{"result":null,"success":false,"errors":[{{"code":{code},"message":"because"}}],"messages":[]}}"#
        );
        answered(Method::Post, status, &body)
    }

    #[test]
    fn codes_become_the_errors_that_the_daemon_acts_on() {
        let error = |status, code| Error::from(coded(status, code));
        for (status, code) in [(400, 6003), (403, 9109), (403, 10000), (401, 10001)] {
            assert!(matches!(error(status, code), Error::Auth(text) if text.contains("because")));
        }
        for code in [81053, 81054] {
            assert!(matches!(error(400, code), Error::Conflict(_)), "{code}");
        }
        assert!(matches!(error(404, 7003), Error::NotFound(_)));
        assert!(matches!(error(400, 81045), Error::Quota(_)));
        assert!(matches!(error(400, 1038), Error::Unsupported(_)));
        for (status, code) in [(429, 971), (429, 1), (400, 10100)] {
            assert!(
                matches!(error(status, code), Error::Throttled(throttle) if throttle.retry_after_ms == Some(7000))
            );
        }
        assert!(matches!(coded(400, 81058), Failure::Duplicate(_)));
        assert!(matches!(coded(404, 81044), Failure::Gone(_)));
    }

    #[test]
    fn the_chain_behind_an_error_is_told() {
        let body = r#"{"success":false,"errors":[{"code":1004,"message":"DNS Validation Error",
            "error_chain":[{"code":9021,"message":"Invalid TTL"},{"message":"odd"}]}]}"#;
        let Error::Invalid(text) = answered(Method::Post, 400, body).into() else {
            panic!("not invalid");
        };
        assert!(
            text.contains("1004 DNS Validation Error (9021 Invalid TTL; 0 odd)"),
            "{text}"
        );
    }

    #[test]
    fn a_server_error_is_unknown_after_a_write_only() {
        let page = "<html>502</html>";
        let error = |method| Error::from(answered(method, 502, page));
        assert!(matches!(error(Method::Get), Error::Transient(_)));
        assert!(matches!(error(Method::Post), Error::UnknownOutcome(_)));
        assert!(!is_refusal(&answered(Method::Post, 502, page)));
        assert!(is_refusal(&coded(400, 81053)));
        assert!(!is_refusal(&coded(429, 971)));
    }
}
