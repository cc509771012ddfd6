//! Log lines to stderr, for people or as JSON.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::util::TryInitError;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogFormat, LogOptions};

/// Parts that report to us what we say in our own words; their errors still show.
const QUIET: &str = "openraft=error,chunked_wal=error,raft_log=error,sled=error";

/// The directives of `log.level`. Directives that name a part win over [`QUIET`].
pub fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(format!("{QUIET},{level}"))
}

/// Begins to log. Once per process.
pub fn start(options: &LogOptions) -> Result<(), TelemetryError> {
    let lines = fmt()
        .with_env_filter(filter(&options.level)?)
        .with_writer(stderr);
    match options.format {
        LogFormat::Human => lines
            .with_ansi(stderr().is_terminal())
            .finish()
            .try_init()?,
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The directives cannot be understood.
    #[error("log.level: {0}")]
    Level(#[from] ParseError),
    /// Something else in this process logs already.
    #[error("cannot begin to log: {0}")]
    Taken(#[from] TryInitError),
}
