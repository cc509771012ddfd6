//! One look at one address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use self::trust::Trust;
use super::bounds::check_command_name;
use super::spec::{Check, Question};

mod command;
mod dial;
mod icmp;
mod request;
mod trust;

/// What an operator allows the probes of one member, and how many there may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeOptions {
    /// The commands that checks may name: the program and its arguments, as they are, without a
    /// shell. The address comes in the environment variable `PORTOLAN_ADDRESS`; besides it there is
    /// only `PATH`, for the daemon's environment may hold secrets.
    pub commands: BTreeMap<String, Vec<String>>,
    /// Certificates in PEM that are trusted beside the operating system's.
    pub extra_ca_file: Option<PathBuf>,
    /// Probes at the same time; further ones wait, and their timeouts with them.
    pub probes_at_once: usize,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self {
            commands: BTreeMap::new(),
            extra_ca_file: None,
            probes_at_once: 256,
        }
    }
}

/// An option that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("check option `{option}`: {reason}")]
pub struct ProbeSetupError {
    /// Which: `extra_ca_file`, `commands.lag`.
    pub option: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probed {
    /// How long it took, without the wait for other probes.
    pub took: Duration,
}

/// Why there was no good answer, in a short sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// A verdict on the target: it does not serve.
    #[error("{0}")]
    Down(String),
    /// The member could not look. That says nothing of the target, so it must not vote "down".
    #[error("{0}")]
    Unable(String),
}

/// Asks targets. One per daemon; clones share its limits.
#[derive(Clone)]
pub struct Prober(Arc<Shared>);

struct Shared {
    commands: BTreeMap<String, Vec<String>>,
    trust: Trust,
    permits: Semaphore,
}

impl Prober {
    /// Reads the trusted certificates.
    pub fn new(options: ProbeOptions) -> Result<Self, ProbeSetupError> {
        for (name, line) in &options.commands {
            check_command(name, line).map_err(|reason| ProbeSetupError {
                option: format!("commands.{name}"),
                reason,
            })?;
        }
        Ok(Self(Arc::new(Shared {
            commands: options.commands,
            trust: Trust::new(options.extra_ca_file.as_deref())?,
            permits: Semaphore::new(options.probes_at_once.clamp(1, Semaphore::MAX_PERMITS)),
        })))
    }

    /// Dials `address`, never a name, on a connection of its own, and asks it what `check` says. All
    /// of it may last `timeout` ([`super::Pace::timeout`]); dropping the future ends it as well.
    pub async fn probe(
        &self,
        address: IpAddr,
        check: &Check,
        timeout: Duration,
    ) -> Result<Probed, ProbeFailure> {
        // It is never closed, so this never is an error.
        let _permit = self.0.permits.acquire().await;
        let begun = Instant::now();
        match tokio::time::timeout(timeout, self.ask(address, &check.question)).await {
            Ok(answer) => answer.map(|()| Probed {
                took: begun.elapsed(),
            }),
            Err(_) => Err(ProbeFailure::Down(format!(
                "no answer within {} ms",
                timeout.as_millis()
            ))),
        }
    }

    async fn ask(&self, address: IpAddr, question: &Question) -> Result<(), ProbeFailure> {
        match question {
            Question::Http(http) => request::ask(&self.0.trust, address, http).await,
            Question::Tcp { port } => dial::connect(address, *port).await.map(drop),
            Question::Tls { port, tls } => {
                let stream = dial::connect(address, *port).await?;
                let handshake = self.0.trust.handshake(stream, address, tls, None, &[]);
                handshake.await.map(drop)
            }
            Question::Icmp => icmp::echo(address).await,
            Question::Command { name } => match self.0.commands.get(name).map(Vec::as_slice) {
                Some([program, arguments @ ..]) => {
                    command::run(name, program, arguments, address).await
                }
                _ => Err(ProbeFailure::Unable(format!(
                    "this member does not enable the command {name}"
                ))),
            },
        }
    }
}

fn check_command(name: &str, line: &[String]) -> Result<(), String> {
    check_command_name(name)?;
    match line.first() {
        Some(program) if !program.is_empty() => Ok(()),
        _ => Err("names no program; write [\"/path/to/program\", \"argument\", …]".to_owned()),
    }
}

#[cfg(test)]
mod tests;
