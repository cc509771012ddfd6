//! Why the server does not start.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("[dns] listen: cannot answer {transport} queries on {address}: {source}")]
    Listen {
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
    /// The file of the lines cannot be used.
    #[error("[dns] lines: {}: {reason}", path.display())]
    Lines {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line's number where it is a line's fault.
        reason: String,
    },
    /// An option that makes no sense.
    #[error("[dns] {0}")]
    Options(String),
    /// The store did not answer.
    #[error("the zones cannot be read from the store: {0}")]
    Store(#[from] portolan_consensus::Error),
    /// The metrics cannot be registered.
    #[error("the dns server's metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}
