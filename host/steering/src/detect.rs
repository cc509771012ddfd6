//! Which public address a site has: asked on the member that stands there, for its own site.
//!
//! An operator lists methods ([`Detection`]) in the order in which they are tried; the first that
//! yields an address wins. Every method answers for one address family and speaks over that family
//! alone. Only global addresses count, unless a method says `allow_private`. Whatever is asked
//! outside needs two that agree: one that lies, or whose reply holds something else than an address,
//! changes nothing.
//!
//! [`settle`] then decides what becomes of the address that was known: it gives way to a new one that
//! is found repeatedly, and to nothing else.

mod agree;
mod command;
mod dns;
mod error;
mod interface;
mod known;
mod method;
mod page;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::error::{DetectError, Failure, Said, Tried};
pub use self::known::{Known, Warning, settle};
pub use self::method::{
    AddressRecord, ByCommand, ByDns, ByInterface, BySources, Detection, Reflector, validate_methods,
};
use self::sources::Clients;
use crate::error::SteeringError;
use crate::family::{Family, is_global};
use crate::outbound::Outbound;

/// What the operator of a member sets in its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectOptions {
    /// The commands that the method `command` may run, by name: the program and its arguments. No
    /// shell reads them.
    pub commands: BTreeMap<String, Vec<String>>,
    /// The longest wait for one source, resolver or command. Milliseconds.
    pub timeout_ms: u64,
    /// Certificates that are trusted beside the operating system's, in PEM.
    pub extra_ca_file: Option<PathBuf>,
}

impl Default for DetectOptions {
    fn default() -> Self {
        Self {
            commands: BTreeMap::new(),
            timeout_ms: 5_000,
            extra_ca_file: None,
        }
    }
}

/// Finds the addresses of the site at which it runs. Cheap to clone.
#[derive(Clone)]
pub struct Detector {
    inner: Arc<Inner>,
}

struct Inner {
    commands: BTreeMap<String, Vec<String>>,
    timeout: Duration,
    clients: Clients,
}

impl Detector {
    /// Fails where an option is wrong; the error names it.
    pub fn new(options: DetectOptions) -> Result<Self, SteeringError> {
        for (name, command) in &options.commands {
            if command.first().is_none_or(String::is_empty) {
                return Err(SteeringError::invalid(
                    format!("commands.{name}"),
                    "names no program; write [\"/path/to/program\", \"argument\", …]",
                ));
            }
        }
        if options.timeout_ms == 0 {
            return Err(SteeringError::invalid(
                "timeout_ms",
                "is 0, so nothing could ever answer in time; write 5000 for five seconds",
            ));
        }
        let timeout = Duration::from_millis(options.timeout_ms);
        let outbound = Outbound::new(options.extra_ca_file.as_deref())?;
        let inner = Inner {
            commands: options.commands,
            timeout,
            clients: Clients::new(&outbound, timeout)?,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Tries the methods in order until one yields. The answer is sorted and holds at least one
    /// address; the error tells what each method said.
    pub async fn detect(
        &self,
        family: Family,
        methods: &[Detection],
    ) -> Result<Vec<IpAddr>, DetectError> {
        let mut tried = Vec::new();
        for method in methods {
            match self.try_method(family, method).await {
                Ok(mut addresses) => {
                    addresses.sort();
                    addresses.dedup();
                    return Ok(addresses);
                }
                Err(failure) => tried.push(Tried {
                    method: method.to_string(),
                    failure,
                }),
            }
        }
        Err(DetectError { family, tried })
    }

    async fn try_method(&self, family: Family, method: &Detection) -> Result<Vec<IpAddr>, Failure> {
        let inner = &self.inner;
        match method {
            Detection::Interface(by) => interface::detect(family, by).map(|found| vec![found]),
            Detection::Sources(by) => sources::detect(&inner.clients, family, by)
                .await
                .map(|found| vec![found]),
            Detection::Dns(by) => dns::detect(family, by, inner.timeout)
                .await
                .map(|found| vec![found]),
            Detection::Command(by) => {
                command::detect(&inner.commands, family, by, inner.timeout).await
            }
        }
    }
}

/// Whether an address may stand for a site; the error is a sentence.
fn admissible(address: IpAddr, allow_private: bool) -> Result<IpAddr, String> {
    let never = address.is_unspecified()
        || address.is_multicast()
        || matches!(address, IpAddr::V4(address) if address.is_broadcast())
        // It means nothing without its interface.
        || matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    if never {
        Err(format!("{address} is no address of a host"))
    } else if allow_private || is_global(address) {
        Ok(address)
    } else {
        Err(format!("{address} is not a global address"))
    }
}
