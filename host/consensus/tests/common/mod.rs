//! Members in one process, over real sockets and real disks.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Empty;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portolan_consensus::{
    Consistency, Limits, Member, MemberId, Options, RaftOptions, Revision, Space, StartError,
    StartMode, Txn,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A member and the listener that other members reach it at.
pub struct Node {
    pub member: Member,
    registry: prometheus::Registry,
    listener: JoinHandle<()>,
}

impl Node {
    pub async fn start(
        listener: TcpListener,
        id: Option<MemberId>,
        data: &Path,
        start: StartMode,
        raft: RaftOptions,
    ) -> Result<Self, StartError> {
        let registry = prometheus::Registry::new();
        let options = Options {
            id,
            advertise: listener.local_addr().unwrap().to_string(),
            data: data.to_path_buf(),
            start,
            raft,
            limits: Limits::default(),
            registry: registry.clone(),
        };
        let member = Member::start(options).await?;
        let listener = tokio::spawn(listen(listener, member.clone()));
        Ok(Self {
            member,
            registry,
            listener,
        })
    }

    pub async fn stop(self) {
        self.member.shutdown().await.unwrap();
        self.listener.abort();
        let _ = self.listener.await;
    }

    pub async fn put(&self, key: &str, value: &str) -> Revision {
        self.member
            .txn(Txn::new().put(Space::User, key, value.to_owned()))
            .await
            .unwrap()
            .revision
    }

    pub async fn get(&self, key: &str) -> Option<String> {
        let record = self
            .member
            .get(Space::User, key, Consistency::Linearizable)
            .await
            .unwrap();
        record.map(|record| String::from_utf8(record.value.to_vec()).unwrap())
    }

    /// How often it has asked other members for what `kind` says, over all outcomes.
    pub fn asked_peers(&self, kind: &str) -> u64 {
        let families = self.registry.gather();
        let requests = families
            .iter()
            .find(|family| family.name() == "portolan_raft_peer_requests_total")
            .unwrap();
        let of_kind = requests.get_metric().iter().filter(|metric| {
            let labels = metric.get_label();
            labels.iter().any(|label| label.value() == kind)
        });
        of_kind
            .map(|metric| metric.get_counter().get_value())
            .sum::<f64>() as u64
    }

    pub async fn leads(&self) {
        let mut leadership = self.member.leadership();
        tokio::time::timeout(
            Duration::from_secs(10),
            leadership.wait_for(|now| now.is_self),
        )
        .await
        .expect("the member must become leader")
        .unwrap();
    }
}

/// Waits until the log id called `name` in the metrics is past `index`.
pub async fn metric_above(node: &Node, name: &str, index: u64) {
    for _ in 0..500 {
        let metrics = serde_json::to_value(node.member.metrics()).unwrap();
        if metrics[name]["index"].as_u64() > Some(index) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} does not pass {index}: {:?}", node.member.metrics());
}

/// Answers upgrades at the peers' path, as the daemon's listener does.
async fn listen(listener: TcpListener, member: Member) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let member = member.clone();
        let service = service_fn(move |mut request| {
            let member = member.clone();
            async move {
                tokio::spawn(async move {
                    let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
                    member.serve_peer(TokioIo::new(upgraded)).await;
                });
                let response = Response::builder()
                    .status(StatusCode::SWITCHING_PROTOCOLS)
                    .header("connection", "upgrade")
                    .header("upgrade", portolan_consensus::PEER_PROTOCOL)
                    .body(Empty::<Bytes>::new())
                    .unwrap();
                Ok::<_, Infallible>(response)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::spawn(connection);
    }
}

pub async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

pub async fn rebind(addr: &str) -> TcpListener {
    for _ in 0..200 {
        if let Ok(listener) = TcpListener::bind(addr).await {
            return listener;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{addr} stays taken");
}

pub fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub async fn solo(data: &Path) -> Node {
    solo_at(bind().await, data).await
}

pub async fn solo_at(listener: TcpListener, data: &Path) -> Node {
    let raft = RaftOptions::default();
    let node = Node::start(listener, None, data, StartMode::Bootstrap, raft)
        .await
        .unwrap();
    node.leads().await;
    node
}

/// Three voters; the first leads.
pub async fn trio(raft: RaftOptions) -> (Vec<Node>, Vec<TempDir>) {
    let dir = directory();
    let (listener, start) = (bind().await, StartMode::Bootstrap);
    let first = Node::start(listener, Some(1), dir.path(), start, raft.clone())
        .await
        .unwrap();
    let (nodes, mut dirs) = with_two_more(first, raft).await;
    dirs.insert(0, dir);
    (nodes, dirs)
}

/// Makes a group of one, `first`, a group of three, which `first` leads. The directories are those of
/// the other two.
pub async fn with_two_more(first: Node, raft: RaftOptions) -> (Vec<Node>, Vec<TempDir>) {
    first.leads().await;
    let (mut nodes, mut dirs) = (vec![first], Vec::new());
    for id in [2, 3] {
        let dir = directory();
        let (listener, start) = (bind().await, StartMode::Standby);
        let node = Node::start(listener, Some(id), dir.path(), start, raft.clone())
            .await
            .unwrap();
        let addr = node.member.advertise().to_owned();
        nodes[0].member.add_learner(id, addr).await.unwrap();
        nodes.push(node);
        dirs.push(dir);
    }
    nodes[0]
        .member
        .change_membership(BTreeSet::from([1, 2, 3]))
        .await
        .unwrap();
    (nodes, dirs)
}
