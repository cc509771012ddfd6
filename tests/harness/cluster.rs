//! Members that form one group.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::daemon::Daemon;
use crate::network::Network;
use crate::wait::eventually;

/// What a group is started with.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Every member's configuration file (TOML).
    pub config: String,
    /// Every member's plugin directory.
    pub plugins: Option<PathBuf>,
    /// The network on whose hosts the members run, member 1 on host 0; this host's loopback where it is
    /// none.
    pub network: Option<Arc<Network>>,
    /// How many members; three where it is none.
    pub members: Option<u64>,
    /// Whether every member answers DNS queries, at [`Daemon::dns_address`].
    pub dns: bool,
    /// Where the members keep their files; the system's temporary directory where it is none.
    pub below: Option<PathBuf>,
}

/// Members with the ids 1, 2, 3 …, all voters. Dropping it ends them and removes their files.
#[derive(Debug)]
pub struct Cluster {
    /// The members, by index (id − 1).
    pub members: Vec<Daemon>,
    // After the members: they end before their files go.
    home: TempDir,
    setup: Setup,
}

impl Cluster {
    /// Starts three members with default settings.
    pub async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    /// Starts the members: the first bootstraps, the others join it.
    pub async fn start_with(setup: Setup) -> Self {
        let home = match &setup.below {
            Some(directory) => TempDir::new_in(directory),
            None => TempDir::new(),
        };
        let home = home.expect("create a temporary directory");
        let mut cluster = Self {
            members: vec![],
            home,
            setup,
        };

        let mut first = cluster.new_member(1);
        first.start_ready().await;
        let address = first.address();
        cluster.members.push(first);
        let ids: Vec<u64> = (1..=cluster.setup.members.unwrap_or(3)).collect();
        for &id in &ids[1..] {
            let mut member = cluster.new_member(id).join(&address);
            member.start();
            cluster.members.push(member);
        }
        cluster.all_ready().await;
        cluster.voters_are(&ids).await;
        cluster
    }

    /// Another member for this group, not started.
    pub fn new_member(&self, id: u64) -> Daemon {
        let mut member = Daemon::new(self.home.path(), id).config(&self.setup.config);
        if let Some(network) = &self.setup.network {
            let host = u8::try_from(id - 1).expect("a host's number");
            member = member.at(network, host);
        }
        if self.setup.dns {
            member = member.with_dns();
        }
        match &self.setup.plugins {
            Some(directory) => member.plugins(directory),
            None => member,
        }
    }

    /// A client of the member at `index`.
    pub fn client(&self, index: usize) -> Client {
        self.members[index].client()
    }

    /// The addresses of all members.
    pub fn addresses(&self) -> Vec<String> {
        self.members.iter().map(Daemon::address).collect()
    }

    /// The indexes of the members that run.
    pub fn running(&self) -> Vec<usize> {
        (0..self.members.len())
            .filter(|index| self.members[*index].is_running())
            .collect()
    }

    /// Waits until every running member is ready.
    pub async fn all_ready(&mut self) {
        for member in self.members.iter_mut().filter(|member| member.is_running()) {
            member.ready().await;
        }
    }

    /// Waits until all running members name the same running leader; returns its index.
    pub async fn leader(&self) -> usize {
        eventually(
            "all running members agree on a running leader",
            async || {
                let mut named = BTreeSet::new();
                for index in self.running() {
                    named.insert(self.members[index].metrics().await?["current_leader"].as_u64());
                }
                let leader = match Vec::from_iter(&named)[..] {
                    [Some(leader)] => *leader,
                    _ => return Err(format!("they name {named:?}")),
                };
                let index = self.members.iter().position(|member| member.id() == leader);
                index
                    .filter(|index| self.members[*index].is_running())
                    .ok_or_else(|| format!("member {leader} does not run"))
            },
        )
        .await
    }

    /// The index of a running member that does not lead.
    pub async fn follower(&self) -> usize {
        let leader = self.leader().await;
        self.running()
            .into_iter()
            .find(|index| *index != leader)
            .expect("more than one member runs")
    }

    /// Waits until every running member knows exactly these voters.
    pub async fn voters_are(&self, ids: &[u64]) {
        let wanted = json!([ids]);
        eventually(
            &format!("every running member knows the voters {ids:?}"),
            async || {
                for index in self.running() {
                    let metrics = self.members[index].metrics().await?;
                    let configs = &metrics["membership_config"]["membership"]["configs"];
                    if *configs != wanted {
                        return Err(format!("member {} knows {configs}", index + 1));
                    }
                }
                Ok(())
            },
        )
        .await;
    }

    /// Waits until all running members have applied the same log entry.
    pub async fn all_caught_up(&self) {
        eventually(
            "all running members have applied the same entry",
            async || {
                let mut applied: Vec<Value> = vec![];
                for index in self.running() {
                    applied
                        .push(self.members[index].metrics().await?["last_applied"]["index"].take());
                }
                match applied.iter().all(|index| *index == applied[0]) {
                    true => Ok(()),
                    false => Err(format!("they have applied {applied:?}")),
                }
            },
        )
        .await;
    }

    /// `kill -9` of all running members at once.
    pub fn kill9_all(&mut self) {
        let ids = self
            .running()
            .into_iter()
            .map(|index| self.members[index].running().id());
        let mut kill = std::process::Command::new("kill");
        kill.arg("-9").args(ids.map(|id| id.to_string()));
        assert!(kill.status().expect("run kill").success(), "kill failed");
        for member in self.members.iter_mut().filter(|member| member.is_running()) {
            member.kill9();
        }
    }

    /// Starts every member that does not run, and waits until all are ready.
    pub async fn restart_all(&mut self) {
        for member in self
            .members
            .iter_mut()
            .filter(|member| !member.is_running())
        {
            member.start();
        }
        self.all_ready().await;
    }
}
