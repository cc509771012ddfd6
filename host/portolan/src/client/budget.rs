//! How much may move at a time.

use clap::Args;
use serde::Serialize;

/// How much a plan may move. What is not given is the server's business.
#[derive(Debug, Args, Serialize)]
pub(super) struct Budget {
    /// The most moves at a time
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_moves: Option<u32>,
    /// The most slots at a time
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_slots: Option<u32>,
    /// The most bytes at a time, as far as they are known
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
}
