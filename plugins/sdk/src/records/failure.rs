//! Why a call that changes a record failed.

use crate::dns::Error;

/// Why a call failed, as far as it matters for what comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The very record is there already.
    Duplicate(Error),
    /// The record is not there any more.
    Gone(Error),
    /// Anything else.
    Other(Error),
}

impl Failure {
    /// The same after something was changed already: nobody may take it for "nothing was changed".
    /// `done` says what: `after 1 of 2 steps`.
    #[must_use]
    pub fn after(self, done: &str) -> Self {
        Self::Other(half_made(self.into(), done))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Duplicate(error) | Failure::Gone(error) | Failure::Other(error) => error,
        }
    }
}

/// An error after something was, or may have been, changed: nobody may take it for "nothing was". `done` says
/// what: `after 1 of 2 steps`.
pub fn half_made(mut error: Error, done: &str) -> Error {
    if let Error::Transient(text) = error {
        error = Error::UnknownOutcome(text);
    }
    match &mut error {
        // These texts go on unchanged.
        Error::Denied(_) | Error::Throttled(_) => {}
        Error::Auth(text)
        | Error::NotFound(text)
        | Error::Conflict(text)
        | Error::Invalid(text)
        | Error::Quota(text)
        | Error::Transient(text)
        | Error::Unsupported(text)
        | Error::UnknownOutcome(text) => text.insert_str(0, &format!("{done}: ")),
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_after_a_step_never_claims_that_nothing_was_changed() {
        let error = Error::Transient("no connection".to_owned());
        assert_eq!(
            Failure::Gone(error).after("after 1 of 2 steps"),
            Failure::Other(Error::UnknownOutcome(
                "after 1 of 2 steps: no connection".to_owned()
            ))
        );
        let denied = Error::Denied("not granted".to_owned());
        assert_eq!(
            Failure::Other(denied.clone()).after("after 1 of 2 steps"),
            Failure::Other(denied)
        );
    }
}
