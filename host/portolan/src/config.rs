//! The daemon's options and the rules among them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use portolan_api::{AddressError, check_address};
use portolan_consensus::{Limits, MemberId, RaftOptions};
use portolan_nameserver::Options as NameserverOptions;
use portolan_sandbox::SandboxOptions;
use portolan_shards::ShardsOptions;
use portolan_steering::{DetectOptions, ProbeOptions, SendOptions, SteeringOptions};
use serde::{Deserialize, Serialize};

pub use crate::contract_options::{ContractOptions, Secret, SecretError};
use crate::layers::Source;
use crate::telemetry;

/// The commented configuration file with all options at their defaults (`config show --default`).
pub const EXAMPLE: &str = include_str!("../../../examples/portolan.toml");

/// All options. `examples/portolan.toml` explains each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the API and the peers' protocol listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// `host:port` where other members and clients reach this one; the listen address by default.
    pub advertise: Option<String>,
    /// The data directory, made where it does not exist.
    pub data: PathBuf,
    /// This member's id; none takes the one in the data directory, or the next free one.
    pub id: Option<MemberId>,
    /// The directory whose plugins are loaded and followed.
    pub plugins: Option<PathBuf>,
    /// Members of the group to join when the data directory is empty.
    pub join: Vec<String>,
    /// Wait for a group to add this member when the data directory is empty.
    pub standby: bool,
    /// Listen beyond loopback although requests are not authenticated.
    pub insecure: bool,
    /// What is written to stderr.
    pub log: LogOptions,
    /// Raft's timing and the bounds of log and checkpoint.
    pub raft: RaftOptions,
    /// What a client may store.
    pub limits: Limits,
    /// What a plugin may use.
    pub sandbox: SandboxOptions,
    /// How sharded clusters are watched.
    pub shards: ShardsOptions,
    /// What other DNS nodes must show to this one.
    pub contract: ContractOptions,
    /// How DNS zones are kept.
    pub steering: SteeringOptions,
    /// What health checks of sites and services may do.
    pub checks: ProbeOptions,
    /// How the addresses of this member's site are looked for.
    pub addresses: DetectOptions,
    /// How webhooks are told.
    pub notify: SendOptions,
    /// The DNS server that this member is.
    pub dns: NameserverOptions,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8420)),
            advertise: None,
            data: PathBuf::from("./portolan-data"),
            id: None,
            plugins: None,
            join: Vec::new(),
            standby: false,
            insecure: false,
            log: LogOptions::default(),
            raft: RaftOptions::default(),
            limits: Limits::default(),
            sandbox: SandboxOptions::default(),
            shards: ShardsOptions::default(),
            contract: ContractOptions::default(),
            steering: SteeringOptions::default(),
            checks: ProbeOptions::default(),
            addresses: DetectOptions::default(),
            notify: SendOptions::default(),
            dns: NameserverOptions::default(),
        }
    }
}

/// What is written to stderr, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogOptions {
    /// For people or for machines.
    pub format: LogFormat,
    /// A level, or directives such as `info,portolan_consensus=debug`.
    pub level: String,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            level: "info".to_owned(),
        }
    }
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line.
    Human,
    /// One JSON object.
    Json,
}

impl Config {
    /// The rules that no single option can break.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.listen.ip().is_loopback() && !self.insecure {
            return Err(ConfigError::NotLoopback {
                listen: self.listen,
            });
        }
        match &self.advertise {
            Some(address) => {
                check_address(address).map_err(ConfigError::address("advertise"))?;
            }
            None if self.listen.ip().is_unspecified() => {
                return Err(ConfigError::AdvertiseNeeded {
                    listen: self.listen,
                });
            }
            None => {}
        }
        for address in &self.join {
            check_address(address).map_err(ConfigError::address("join"))?;
        }
        if self.standby && !self.join.is_empty() {
            return Err(ConfigError::JoinAndStandby);
        }
        if self.id == Some(0) {
            return Err(ConfigError::IdZero);
        }
        if self.contract.secret.is_some() && self.contract.secret_file.is_some() {
            return Err(ConfigError::SecretTwice);
        }
        telemetry::filter(&self.log.level).map_err(|error| ConfigError::LogLevel {
            level: self.log.level.clone(),
            reason: error.to_string(),
        })?;
        Ok(())
    }
}

/// What is wrong with the configuration, and where it stands.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The file is not TOML, or an option in it is of the wrong type.
    #[error("{}:{line}:{column}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The file has an option that does not exist.
    #[error("{}:{line}: there is no option \"{key}\"; the nearest is \"{nearest}\"", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key, with its section.
        key: String,
        /// The known option whose name is nearest.
        nearest: String,
    },
    /// A variable's or a flag's value is of the wrong type.
    #[error("{source_}: {reason}")]
    Value {
        /// The variable or flag.
        source_: Source,
        /// What is wrong with its value.
        reason: String,
    },
    /// The listener would be open to the network.
    #[error(
        "listen = \"{listen}\" is not a loopback address, and requests are not authenticated yet: \
         whoever reaches it could read and change everything. Listen on 127.0.0.1, or say --insecure \
         (insecure = true) where the network itself keeps strangers out"
    )]
    NotLoopback {
        /// The address.
        listen: SocketAddr,
    },
    /// Nobody could be told where this member is.
    #[error(
        "listen = \"{listen}\" names no address that other members can dial: say which one with \
         --advertise HOST:PORT"
    )]
    AdvertiseNeeded {
        /// The address.
        listen: SocketAddr,
    },
    /// Not `host:port`.
    #[error("{option}: {reason}")]
    Address {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// Two ways into a group.
    #[error(
        "join and standby exclude one another: a standby waits for a group to add it, --join asks one"
    )]
    JoinAndStandby,
    /// Two secrets.
    #[error(
        "contract.secret and contract.secret_file exclude one another: keep the file, and take the secret \
         out of the configuration"
    )]
    SecretTwice,
    /// Ids start at 1.
    #[error("id = 0 is no member id; they start at 1")]
    IdZero,
    /// The log's directives.
    #[error(
        "log.level = \"{level}\" cannot be understood ({reason}); use error, warn, info, debug or trace, \
         or directives such as \"info,portolan_consensus=debug\""
    )]
    LogLevel {
        /// What was given.
        level: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ConfigError {
    fn address(option: &'static str) -> impl Fn(AddressError) -> Self {
        move |reason| Self::Address { option, reason }
    }
}
