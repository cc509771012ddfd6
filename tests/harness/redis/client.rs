//! A client of a whole cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::server::authenticated;
use crate::kvrocks::hash_slot;
use crate::resp::{Resp, RespClient};
use crate::wait::PATIENCE;

/// Between two attempts while the cluster cannot serve.
const PAUSE: Duration = Duration::from_millis(20);

/// How long one node may take to connect or to answer. A paused node never does.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// A pipeline's length: its replies fit into the sockets' buffers.
const BATCH: usize = 1_000;

/// Why a write was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetError {
    /// It certainly did not happen.
    Refused(String),
    /// It was sent and not answered: it may have happened, or may still happen.
    Unknown(String),
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::Unknown(reason) => write!(f, "unknown outcome: {reason}"),
        }
    }
}

impl From<SetError> for String {
    fn from(error: SetError) -> Self {
        error.to_string()
    }
}

/// What one attempt at one node came to.
enum Attempt {
    Answered(Resp),
    /// Nothing was sent.
    Unreachable(String),
    /// Sent, and the connection ended or stayed silent.
    Broken(String),
}

/// What to do after an answer.
enum Next {
    Done(Resp),
    /// To this node, from now on.
    Moved(String),
    /// To this node, once, after ASKING.
    Ask(String),
    /// Again, after a pause.
    Wait(String),
}

/// Connects to any node of a cluster and finds the others. One command at a time.
#[derive(Debug)]
pub struct ClusterClient {
    seeds: Vec<String>,
    password: Option<String>,
    patience: Duration,
    /// First and last slot, and the master that serves them.
    ranges: Vec<(u16, u16, String)>,
    connections: BTreeMap<String, RespClient>,
    /// Which node to ask for the slots next: one that is stale must not be the only source.
    next_source: usize,
}

impl ClusterClient {
    /// Knows the cluster by any of its nodes; connects when it is first used.
    pub fn new(seeds: &[String], password: Option<&str>) -> Self {
        Self {
            seeds: seeds.to_vec(),
            password: password.map(str::to_owned),
            patience: PATIENCE,
            ranges: Vec::new(),
            connections: BTreeMap::new(),
            next_source: 0,
        }
    }

    /// How long an operation is tried again while the cluster does not serve it.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Writes. Tried again only while it certainly did not happen.
    pub async fn set(&mut self, key: &str, value: &str) -> Result<(), SetError> {
        match self.write(key, &["SET", key, value]).await? {
            reply if reply == Resp::ok() => Ok(()),
            reply => Err(SetError::Refused(reply.text())),
        }
    }

    /// Deletes; whether the key was there.
    pub async fn delete(&mut self, key: &str) -> Result<bool, SetError> {
        match self.write(key, &["DEL", key]).await? {
            Resp::Integer(deleted) => Ok(deleted > 0),
            reply => Err(SetError::Refused(reply.text())),
        }
    }

    /// Reads from the key's master.
    pub async fn get(&mut self, key: &str) -> Result<Option<String>, String> {
        let start = Instant::now();
        loop {
            // A read that was not answered did no harm.
            match self.write(key, &["GET", key]).await {
                Ok(Resp::Nil) => return Ok(None),
                Ok(Resp::Bulk(bytes)) => return Ok(Some(String::from_utf8_lossy(&bytes).into())),
                Ok(reply) => return Err(format!("GET {key} says {reply:?}")),
                Err(SetError::Unknown(_)) if start.elapsed() < self.patience => sleep(PAUSE).await,
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Writes many pairs fast: pipelines to the masters, and what those do not take one by one. All
    /// are acknowledged when it returns `Ok`; a pair may be written twice.
    pub async fn pipeline_set(
        &mut self,
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), SetError> {
        if self.ranges.is_empty() {
            self.refresh().await;
        }
        let mut waiting: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for (key, value) in pairs {
            let master = self.master_of(hash_slot(&key)).unwrap_or_default();
            let batch = waiting.entry(master.clone()).or_default();
            batch.push((key, value));
            if batch.len() == BATCH {
                let batch = std::mem::take(batch);
                self.set_batch(&master, batch).await?;
            }
        }
        for (master, batch) in waiting {
            self.set_batch(&master, batch).await?;
        }
        Ok(())
    }

    /// The masters' addresses, as the client knows them now.
    pub async fn masters(&mut self) -> BTreeSet<String> {
        self.refresh().await;
        let ranges = self.ranges.iter();
        ranges.map(|(_, _, master)| master.clone()).collect()
    }

    async fn set_batch(
        &mut self,
        master: &str,
        batch: Vec<(String, String)>,
    ) -> Result<(), SetError> {
        let commands: Vec<[&str; 3]> = batch
            .iter()
            .map(|(key, value)| ["SET", key.as_str(), value.as_str()])
            .collect();
        let commands: Vec<&[&str]> = commands.iter().map(<[&str; 3]>::as_slice).collect();
        let replies = self.exchange(master, &commands).await.unwrap_or_default();
        for (index, (key, value)) in batch.iter().enumerate() {
            if replies.get(index) != Some(&Resp::ok()) {
                self.set(key, value).await?;
            }
        }
        Ok(())
    }

    /// Sends `command` about `key` until it is answered, its outcome is open, or patience ends.
    async fn write(&mut self, key: &str, command: &[&str]) -> Result<Resp, SetError> {
        let slot = hash_slot(key);
        let start = Instant::now();
        let (mut moved, mut ask) = (None, None);
        loop {
            let asking = ask.is_some();
            let node = ask.take().or(moved.take()).or_else(|| self.master_of(slot));
            let attempt = match node {
                Some(node) => self.attempt(&node, asking, command).await,
                None => Attempt::Unreachable(format!("nobody is known to serve slot {slot}")),
            };
            let objection = match attempt {
                Attempt::Broken(reason) => return Err(SetError::Unknown(reason)),
                Attempt::Unreachable(reason) => reason,
                Attempt::Answered(reply) => match next(reply) {
                    Next::Done(Resp::Error(error)) => return Err(SetError::Refused(error)),
                    Next::Done(reply) => return Ok(reply),
                    Next::Moved(to) => {
                        self.refresh().await;
                        let objection = format!("slot {slot} moved to {to}");
                        moved = Some(to);
                        objection
                    }
                    Next::Ask(to) => {
                        let objection = format!("slot {slot} is asked for at {to}");
                        ask = Some(to);
                        objection
                    }
                    Next::Wait(reason) => reason,
                },
            };
            if start.elapsed() > self.patience {
                return Err(SetError::Refused(objection));
            }
            if moved.is_none() && ask.is_none() {
                sleep(PAUSE).await;
                self.refresh().await;
            }
        }
    }

    async fn attempt(&mut self, node: &str, asking: bool, command: &[&str]) -> Attempt {
        if let Err(reason) = self.connection(node).await {
            return Attempt::Unreachable(reason);
        }
        let both: [&[&str]; 2] = [&["ASKING"], command];
        let commands = if asking { &both[..] } else { &both[1..] };
        match self.exchange(node, commands).await {
            Ok(mut replies) => match replies.pop() {
                Some(reply) => Attempt::Answered(reply),
                None => Attempt::Broken(format!("no reply of {node}")),
            },
            Err(reason) => Attempt::Broken(reason),
        }
    }

    /// Sends commands to one node and waits for all replies. On an error the connection is gone.
    async fn exchange(&mut self, node: &str, commands: &[&[&str]]) -> Result<Vec<Resp>, String> {
        self.connection(node).await?;
        let Some(mut connection) = self.connections.remove(node) else {
            return Err(format!("no connection to {node}"));
        };
        let talk = async {
            connection.send_all(commands).await?;
            let mut replies = Vec::with_capacity(commands.len());
            for _ in commands {
                replies.push(connection.receive().await?);
            }
            std::io::Result::Ok(replies)
        };
        match timeout(REPLY_TIMEOUT, talk).await {
            Ok(Ok(replies)) => {
                self.connections.insert(node.to_owned(), connection);
                Ok(replies)
            }
            Ok(Err(error)) => Err(format!("the connection to {node} broke: {error}")),
            Err(_) => Err(format!("{node} did not answer in {REPLY_TIMEOUT:?}")),
        }
    }

    /// Makes sure of a connection. It is unreachable also where it does not take the password in time.
    async fn connection(&mut self, node: &str) -> Result<(), String> {
        if !self.connections.contains_key(node) {
            let connect = authenticated(node, self.password.as_deref());
            let connection = timeout(REPLY_TIMEOUT, connect)
                .await
                .map_err(|_| format!("{node} took no connection in {REPLY_TIMEOUT:?}"))??;
            self.connections.insert(node.to_owned(), connection);
        }
        Ok(())
    }

    fn master_of(&self, slot: u16) -> Option<String> {
        let serves = |(first, last, _): &&(u16, u16, String)| (*first..=*last).contains(&slot);
        let range = self.ranges.iter().find(serves);
        range.map(|(_, _, master)| master.clone())
    }

    /// Learns the slots from the first node that shows any, another one each time.
    async fn refresh(&mut self) {
        let mut sources: BTreeSet<String> = self.seeds.iter().cloned().collect();
        sources.extend(self.ranges.iter().map(|(_, _, master)| master.clone()));
        let sources: Vec<String> = sources.into_iter().collect();
        for _ in 0..sources.len() {
            self.next_source = (self.next_source + 1) % sources.len();
            let source = &sources[self.next_source];
            let Ok(replies) = self.exchange(source, &[&["CLUSTER", "SLOTS"]]).await else {
                continue;
            };
            let ranges = replies.first().map(|slots| slot_ranges(slots, source));
            if let Some(ranges) = ranges
                && !ranges.is_empty()
            {
                self.ranges = ranges;
                return;
            }
        }
    }
}

fn next(reply: Resp) -> Next {
    let Some(error) = reply.error() else {
        return Next::Done(reply);
    };
    let mut words = error.split(' ');
    let kind = words.next().unwrap_or_default();
    let node = words.nth(1).unwrap_or_default().to_owned();
    match kind {
        "MOVED" => Next::Moved(node),
        "ASK" => Next::Ask(node),
        "TRYAGAIN" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "READONLY" => {
            Next::Wait(error.to_owned())
        }
        _ => Next::Done(reply),
    }
}

/// CLUSTER SLOTS: `[[first, last, [host, port, …], replica…], …]`. A host that is not told is that of
/// the `source`.
fn slot_ranges(slots: &Resp, source: &str) -> Vec<(u16, u16, String)> {
    let Resp::Array(entries) = slots else {
        return Vec::new();
    };
    let range = |entry: &Resp| {
        let Resp::Array(items) = entry else {
            return None;
        };
        let [
            Resp::Integer(first),
            Resp::Integer(last),
            Resp::Array(master),
            ..,
        ] = &items[..]
        else {
            return None;
        };
        let [host, port, ..] = &master[..] else {
            return None;
        };
        let host = match host.text() {
            told if told.is_empty() => source.rsplit_once(':')?.0.to_owned(),
            told => told,
        };
        let address = format!("{host}:{}", port.text());
        Some((
            u16::try_from(*first).ok()?,
            u16::try_from(*last).ok()?,
            address,
        ))
    };
    entries.iter().filter_map(range).collect()
}
