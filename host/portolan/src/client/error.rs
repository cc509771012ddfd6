//! Why a command failed, and the exit code that says so.

use std::io;

/// What programs rely on; in `--help` of every command that asks a server.
pub const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 the server refused it, or it failed; 2 the command line is wrong; 3 there is no \
such thing; 4 it conflicts with how things stand; 5 the server cannot be reached.";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What the command line points at cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The server answered with an error.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The server's sentence.
        message: String,
    },
    /// No answer came.
    #[error("cannot reach {server}: {reason}")]
    Unreachable {
        /// The server as it was given.
        server: String,
        /// The system's words.
        reason: String,
    },
    /// The request was taken, and what it began did not end well.
    #[error("{0}")]
    Failed(String),
    /// Nobody can read what is printed.
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
}

impl ClientError {
    /// One of [`EXIT_CODES`].
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Refused { status: 404, .. } => 3,
            Self::Refused {
                status: 409 | 412, ..
            } => 4,
            Self::Unreachable { .. } => 5,
            Self::Refused { .. } | Self::Failed(_) | Self::Output(_) => 1,
        }
    }

    /// Whether the same request may succeed in a moment: an election, a member that restarts.
    pub(super) fn passes(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Refused {
                    status: 503 | 504,
                    ..
                }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_its_code() {
        let refused = |status| ClientError::Refused {
            status,
            message: "no".into(),
        };
        let codes = [400, 403, 404, 409, 412, 500, 503].map(|status| refused(status).exit_code());
        assert_eq!(codes, [1, 1, 3, 4, 4, 1, 1]);
        assert!(refused(503).passes() && !refused(500).passes());
        assert_eq!(ClientError::Usage(String::new()).exit_code(), 2);
    }
}
