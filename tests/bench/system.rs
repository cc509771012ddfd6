//! The two groups behind one face.

use std::ops::Range;
use std::path::Path;

use portolan_tests::{Cluster, Etcd, Load, Process, Setup, request};
use serde_json::{Value, json};

/// How many connections load keys.
const LOADERS: usize = 64;

const VALUE_BYTES: usize = 256;

/// A running group of three.
pub(crate) enum System {
    Etcd(Etcd),
    Portolan(Cluster),
}

/// Which group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    Etcd,
    Portolan,
}

/// Which request a workload sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    Write,
    Read,
    /// Not sent to a group: nodes of sharded clusters are probed.
    Probe,
    /// Not sent to a group: DNS zones are compared with what is wanted.
    Steer,
    /// Not sent to a group: sites and masters are killed, and DNS is asked.
    Move,
    /// Not sent to a group: providers change zones at their services.
    Vendor,
}

impl System {
    pub(crate) async fn start(name: Name, directory: &Path) -> Self {
        match name {
            Name::Etcd => Self::Etcd(Etcd::start(directory).await),
            Name::Portolan => {
                let setup = Setup {
                    below: Some(directory.to_owned()),
                    ..Setup::default()
                };
                Self::Portolan(Cluster::start_with(setup).await)
            }
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Etcd(_) => "etcd",
            Self::Portolan(_) => "portolan",
        }
    }

    /// The index of the leader.
    pub(crate) async fn leader(&self) -> usize {
        match self {
            Self::Etcd(etcd) => etcd.leader().await,
            Self::Portolan(cluster) => cluster.leader().await,
        }
    }

    /// The client address of the member at `index`.
    pub(crate) fn address(&self, index: usize) -> String {
        match self {
            Self::Etcd(etcd) => etcd.address(index),
            Self::Portolan(cluster) => cluster.members[index].address(),
        }
    }

    pub(crate) fn kill9(&mut self, index: usize) {
        match self {
            Self::Etcd(etcd) => etcd.kill9(index),
            Self::Portolan(cluster) => cluster.members[index].kill9(),
        }
    }

    /// Starts a killed member again and waits until the group is whole.
    pub(crate) async fn revive(&mut self, index: usize) {
        match self {
            Self::Etcd(etcd) => etcd.start_member(index),
            Self::Portolan(cluster) => cluster.members[index].start_ready().await,
        }
        self.leader().await;
    }

    fn processes(&self) -> Vec<&Process> {
        match self {
            Self::Etcd(etcd) => etcd.processes(),
            Self::Portolan(cluster) => cluster
                .members
                .iter()
                .map(portolan_tests::Daemon::running)
                .collect(),
        }
    }

    /// CPU seconds of all members so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.processes().into_iter().map(Process::cpu_seconds).sum()
    }

    /// Resident memory of all members.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.processes()
            .into_iter()
            .map(Process::resident_bytes)
            .sum()
    }

    /// What makes requests of this kind for the server at `address`.
    pub(crate) fn requests(
        &self,
        operation: Operation,
        address: &str,
    ) -> impl Fn(u64) -> Vec<u8> + Send + Sync + use<> {
        type Make = fn(&str) -> (&'static str, Value);
        let make: Make = match (self, operation) {
            (Self::Etcd(_), Operation::Write) => |key| Etcd::write_request(key, value()),
            (_, Operation::Probe | Operation::Steer | Operation::Move | Operation::Vendor) => {
                unreachable!("no request of a group's client")
            }
            (Self::Etcd(_), Operation::Read) => Etcd::read_request,
            (Self::Portolan(_), Operation::Write) => {
                |key| ("/write", json!({"Put": {"key": key, "value": value()}}))
            }
            (Self::Portolan(_), Operation::Read) => |key| ("/read", json!(key)),
        };
        let address = address.to_owned();
        move |number| {
            let (path, body) = make(&format!("key-{number:08}"));
            request("POST", path, &address, &body.to_string())
        }
    }

    /// Writes these keys.
    pub(crate) async fn load(&self, keys: Range<u64>) {
        let address = self.address(self.leader().await);
        let make = self.requests(Operation::Write, &address);
        Load::send_all(&address, LOADERS, keys.map(make)).await;
    }
}

/// The value of every key.
fn value() -> &'static str {
    const VALUE: [u8; VALUE_BYTES] = [b'v'; VALUE_BYTES];
    std::str::from_utf8(&VALUE).expect("ASCII")
}
