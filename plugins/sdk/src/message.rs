//! DNS messages, and what becomes of their failures, as [`crate::http`] does it for requests.

pub use crate::bindings::portolan::plugin::dns_message::{
    Algorithm, Error as MessageError, Refusal, Request, Tsig,
};
use crate::{Host, dns::Error, http::Effect};

/// The response code of a server that does not let one do so.
const REFUSED: u8 = 5;
/// The response code of a server that does not have the zone.
const NOTAUTH: u8 = 9;

/// Sends one message and waits for its answer, whatever its response code.
pub fn exchange(host: &dyn Host, request: &Request, effect: Effect) -> Result<Vec<u8>, Error> {
    host.exchange(request)
        .map_err(|error| failed(error, effect))
}

/// Asks for a zone and waits for all of its messages, or for the one that refuses it.
pub fn transfer(host: &dyn Host, request: &Request) -> Result<Vec<Vec<u8>>, Error> {
    let messages = host.transfer(request);
    messages.map_err(|error| failed(error, Effect::Read))
}

fn failed(error: MessageError, effect: Effect) -> Error {
    match error {
        MessageError::Denied(text) => Error::Denied(text),
        MessageError::Invalid(text) => Error::Invalid(text),
        MessageError::KeyRefused(text) => Error::Auth(text),
        MessageError::NotSent(text) => Error::Transient(text),
        // In place of a zone it says no more than that there is none to be had.
        MessageError::UnsignedRefusal(refusal) => match (effect, refusal.code) {
            (Effect::Read, NOTAUTH) => Error::NotFound(refusal.message),
            (Effect::Read, REFUSED) => Error::Auth(refusal.message),
            _ => effect.lost(refusal.message),
        },
        // A limit may be met before the message leaves or while its answer arrives.
        MessageError::Limit(text)
        | MessageError::Interrupted(text)
        | MessageError::BadSignature(text) => effect.lost(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_becomes_the_error_that_the_daemon_acts_on() {
        let text = || "why".to_owned();
        let interrupted = MessageError::Interrupted(text());
        assert_eq!(
            failed(interrupted.clone(), Effect::Read),
            Error::Transient(text())
        );
        assert_eq!(
            failed(interrupted, Effect::Write),
            Error::UnknownOutcome(text())
        );
        let unsigned = MessageError::BadSignature(text());
        assert_eq!(
            failed(unsigned, Effect::Write),
            Error::UnknownOutcome(text())
        );
        let refused = MessageError::KeyRefused(text());
        assert_eq!(failed(refused, Effect::Write), Error::Auth(text()));
        let unsigned = |code| {
            let message = text();
            MessageError::UnsignedRefusal(Refusal { code, message })
        };
        assert_eq!(
            failed(unsigned(NOTAUTH), Effect::Read),
            Error::NotFound(text())
        );
        assert_eq!(failed(unsigned(REFUSED), Effect::Read), Error::Auth(text()));
        assert_eq!(
            failed(unsigned(NOTAUTH), Effect::Write),
            Error::UnknownOutcome(text())
        );
        let not_sent = MessageError::NotSent(text());
        assert_eq!(failed(not_sent, Effect::Write), Error::Transient(text()));
    }
}
