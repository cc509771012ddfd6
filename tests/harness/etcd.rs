//! Three members of etcd, to compare with.

use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::ports::Port;
use crate::process::Process;
use crate::wait::eventually;

/// A group of three with Debian's defaults. Dropping it ends them and removes their data.
#[derive(Debug)]
pub struct Etcd {
    members: Vec<Member>,
    // After the members: they end before their files go.
    home: TempDir,
}

#[derive(Debug)]
struct Member {
    name: String,
    clients: Port,
    peers: Port,
    process: Option<Process>,
}

impl Etcd {
    /// Starts a new group below `directory`.
    pub async fn start(directory: &Path) -> Self {
        let home = TempDir::new_in(directory).expect("create a temporary directory");
        let member = |number| Member {
            name: format!("etcd-{number}"),
            clients: Port::reserve(),
            peers: Port::reserve(),
            process: None,
        };
        let mut etcd = Self {
            members: (1..=3).map(member).collect(),
            home,
        };
        for index in 0..etcd.members.len() {
            etcd.start_member(index);
        }
        etcd.leader().await;
        etcd
    }

    /// Starts the member at `index`, or starts it again on its data.
    pub fn start_member(&mut self, index: usize) {
        let group: Vec<String> = self
            .members
            .iter()
            .map(|member| format!("{}=http://{}", member.name, member.peers.address()))
            .collect();
        let member = &mut self.members[index];
        let clients = format!("http://{}", member.clients.address());
        let peers = format!("http://{}", member.peers.address());
        let mut command = Command::new("etcd");
        command
            .arg("--data-dir")
            .arg(self.home.path().join(&member.name));
        command.args(["--name", &member.name]);
        command.args([
            "--initial-cluster",
            &group.join(","),
            "--initial-cluster-state",
            "new",
        ]);
        command.args([
            "--listen-client-urls",
            &clients,
            "--advertise-client-urls",
            &clients,
        ]);
        command.args([
            "--listen-peer-urls",
            &peers,
            "--initial-advertise-peer-urls",
            &peers,
        ]);
        command.args(["--logger", "zap", "--log-level", "warn"]);
        let log = self.home.path().join(format!("{}.log", member.name));
        member.process = Some(Process::start(&member.name, command, &log));
    }

    /// `kill -9` of the member at `index`.
    pub fn kill9(&mut self, index: usize) {
        self.members[index].process.take().expect("it runs").kill9();
    }

    /// Waits until all running members name the same running leader; returns its index.
    pub async fn leader(&self) -> usize {
        eventually("the members of etcd agree on a leader", async || {
            let mut leaders = vec![];
            for (index, member) in self.members.iter().enumerate() {
                if member.process.is_none() {
                    continue;
                }
                let client = Client::new(member.clients.address());
                let reply = client
                    .send("POST", "/v3/maintenance/status", &[], "{}")
                    .await?;
                let status = reply.json();
                if status["leader"].as_str().is_none_or(|leader| leader == "0") {
                    return Err(format!("{} knows none", member.name));
                }
                if status["leader"] == status["header"]["member_id"] {
                    leaders.push(index);
                }
            }
            match leaders[..] {
                [leader] => Ok(leader),
                _ => Err(format!("{} members lead", leaders.len())),
            }
        })
        .await
    }

    /// The address of the member at `index`.
    pub fn address(&self, index: usize) -> String {
        self.members[index].clients.address()
    }

    /// The processes that run.
    pub fn processes(&self) -> Vec<&Process> {
        self.members
            .iter()
            .filter_map(|member| member.process.as_ref())
            .collect()
    }

    /// Path and body of a write through the JSON gateway.
    pub fn write_request(key: &str, value: &str) -> (&'static str, Value) {
        let (key, value) = (BASE64_STANDARD.encode(key), BASE64_STANDARD.encode(value));
        ("/v3/kv/put", json!({"key": key, "value": value}))
    }

    /// Path and body of a linearizable read through the JSON gateway.
    pub fn read_request(key: &str) -> (&'static str, Value) {
        ("/v3/kv/range", json!({"key": BASE64_STANDARD.encode(key)}))
    }
}
