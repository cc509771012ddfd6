//! The program as a library: the command line, the daemon (configuration, wiring and shutdown), and the
//! client of a running one. `main.rs` is the thin program over it.
//!
//! ```text
//! flags > PORTOLAN_* > file > defaults ──> Config ──> Daemon::from_config ──> Daemon::run
//!
//! ClientCommand::run ──> HTTP ──> a member's API
//! ```

#![forbid(unsafe_code)]

pub mod cli;
pub mod client;
mod cluster_nodes;
pub mod config;
mod contract_options;
pub mod daemon;
mod layers;
pub mod panics;
mod signals;
pub mod telemetry;

pub use cli::Cli;
pub use client::{ClientCommand, ClientError};
pub use config::{Config, ConfigError};
pub use daemon::{Daemon, DaemonError};
pub use layers::{Flag, Loaded, Source, env_name, load};
pub use signals::Signals;
