//! What the API's errors mean.

use portolan_plugin::{
    Host,
    dns::{Error, Throttle},
    http::{Effect, Response},
};

use crate::api::{Problem, Reply};

/// The longest that a throttled project is told to wait, in seconds. `RateLimit-Reset` names the moment
/// at which *all* requests of an hour are there again, but they come back one by one, a request a second
/// at the usual 3,600 an hour: after a minute there are enough to go on.
const LONGEST_WAIT: u64 = 60;

/// Why a change was not made, or may not have been.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// Someone was faster: the record set is there already, or is not any more. Nothing was changed.
    Overtaken(Error),
    /// The change was taken up, but the service wants no more requests for now, not even the one that
    /// asks what became of it.
    Unwatched(Throttle),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// What a reply means whose status is none of success.
pub(crate) fn refused(host: &dyn Host, response: &Response, effect: Effect, what: &str) -> Failure {
    let reply: Reply = response.json(what).unwrap_or_default();
    let correlation = response.header("x-correlation-id").unwrap_or("none");
    let text = match &reply.error {
        Some(Problem { code, message }) => {
            format!("{what}: {code}: {message} (correlation {correlation})")
        }
        None => response.text(),
    };
    if response.status() == 429 {
        return Failure::Other(Error::Throttled(Throttle {
            message: text,
            retry_after_ms: wait_ms(host, response),
        }));
    }
    match reply.error {
        Some(problem) => meaning(&problem.code, text, effect),
        None => Failure::Other(response.error(what, &text)),
    }
}

/// What a code means. The service says "try again" with several.
pub(crate) fn meaning(code: &str, text: String, effect: Effect) -> Failure {
    Failure::Other(match code {
        "uniqueness_error" => return Failure::Overtaken(Error::Conflict(text)),
        "not_found" => return Failure::Overtaken(Error::NotFound(text)),
        "unauthorized" | "forbidden" => Error::Auth(text),
        "token_readonly" => Error::Auth(format!(
            "{text}; make a token with the permission Read & Write"
        )),
        "protected" => Error::Conflict(format!("{text}; {UNPROTECT}")),
        // Another action is under way in the zone, or came in between.
        "locked" | "conflict" => Error::Transient(text),
        "maintenance" | "unavailable" | "resource_unavailable" => Error::Transient(text),
        "resource_limit_exceeded" => Error::Quota(text),
        "rate_limit_exceeded" => Error::Throttled(Throttle {
            message: text,
            retry_after_ms: None,
        }),
        "incorrect_zone_mode" => Error::Unsupported(format!(
            "{text}; the zone is a copy of another server's, change it there"
        )),
        "unsupported_error" | "deprecated_api_endpoint" | "method_not_allowed" => {
            Error::Unsupported(text)
        }
        "invalid_input" | "json_error" => Error::Invalid(text),
        // `server_error`, `service_error`, `timeout`, `bad_gateway`, `unknown_error`, and what is new.
        _ => effect.lost(text),
    })
}

/// What an operator does about a protected record set.
pub(crate) const UNPROTECT: &str =
    "switch its change protection off in the Hetzner Console, or leave this set alone";

/// How long the service wants to be left alone, where it says so.
fn wait_ms(host: &dyn Host, response: &Response) -> Option<u32> {
    response.retry_after_ms().or_else(|| {
        let reset: u64 = response.header("ratelimit-reset")?.trim().parse().ok()?;
        let seconds = reset.saturating_sub(host.now().seconds);
        u32::try_from(seconds.clamp(1, LONGEST_WAIT) * 1000).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, effect: Effect) -> Error {
        match meaning(code, code.to_owned(), effect) {
            Failure::Overtaken(error) | Failure::Other(error) => error,
            Failure::Unwatched(throttle) => Error::Throttled(throttle),
        }
    }

    #[test]
    fn codes_become_the_errors_that_the_daemon_acts_on() {
        let write = |code| error(code, Effect::Write);
        for code in ["unauthorized", "forbidden", "token_readonly"] {
            assert!(matches!(write(code), Error::Auth(text) if text.contains(code)));
        }
        for code in ["locked", "conflict", "maintenance", "unavailable"] {
            assert!(matches!(write(code), Error::Transient(_)), "{code}");
        }
        assert!(matches!(write("protected"), Error::Conflict(text) if text.contains("Console")));
        assert!(matches!(write("resource_limit_exceeded"), Error::Quota(_)));
        assert!(matches!(
            write("incorrect_zone_mode"),
            Error::Unsupported(_)
        ));
        assert!(matches!(write("invalid_input"), Error::Invalid(_)));
        assert!(matches!(
            meaning("uniqueness_error", String::new(), Effect::Write),
            Failure::Overtaken(Error::Conflict(_))
        ));
        assert!(matches!(
            meaning("not_found", String::new(), Effect::Write),
            Failure::Overtaken(Error::NotFound(_))
        ));
    }

    #[test]
    fn an_error_within_the_service_is_unknown_after_a_write_only() {
        for code in ["server_error", "service_error", "timeout", "never_heard_of"] {
            assert!(matches!(
                error(code, Effect::Write),
                Error::UnknownOutcome(_)
            ));
            assert!(matches!(error(code, Effect::Read), Error::Transient(_)));
        }
    }
}
