//! The daemon as a library: configuration, command line, wiring and shutdown. `main.rs` is the thin
//! program over it.
//!
//! ```text
//! flags > PORTOLAN_* > file > defaults ──> Config ──> Daemon::from_config ──> Daemon::run
//! ```

#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod daemon;
mod layers;
pub mod panics;
mod signals;
pub mod telemetry;

pub use cli::Cli;
pub use config::{Config, ConfigError};
pub use daemon::{Daemon, DaemonError};
pub use layers::{Flag, Loaded, Source, env_name, load};
pub use signals::Signals;
