//! This daemon's place in the group.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ask::Answers;
use crate::checkpoint::Checkpointer;
use crate::error::Error;
use crate::group::Group;
use crate::key::ClusterKey;
use crate::log::LogStore;
use crate::observe::SILENCE;
use crate::options::{Limits, RaftOptions};
use crate::peers::link::LinkError;
use crate::peers::message::{Forward, ForwardReply};
use crate::peers::network::Peers;
use crate::raft::{Membership, Raft};
use crate::read_gate::ReadGate;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::types::{Consistency, MemberId, Op, Page, Record, Revision, Scan, Space, Txn};
use crate::watch::Watch;

/// How long a read or a write may take, waiting for a leader included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a change of the membership may take: a member that joins has to catch up.
const MEMBERSHIP_TIMEOUT: Duration = Duration::from_secs(60);
/// A request without a leader gives up after this long, so that nobody hangs in an outage.
const LEADER_WAIT: Duration = Duration::from_secs(5);
/// Looks again for a leader at least this often.
const RETRY: Duration = Duration::from_millis(25);
/// A transaction's changes together; many values of the largest size must not come as one.
const MAX_TXN_BYTES: u64 = 8 << 20;

/// A handle to this daemon's member; clones share it.
#[derive(Clone)]
pub struct Member(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub group: Arc<Group>,
    pub raft: Raft,
    pub store: Arc<Store>,
    pub log: LogStore,
    pub checkpointer: Checkpointer,
    pub peers: Peers,
    pub options: RaftOptions,
    pub limits: Limits,
    pub gate: ReadGate,
    pub telemetry: Arc<Telemetry>,
    pub answers: Answers,
    pub leadership: watch::Receiver<Leadership>,
    /// When the leader last spoke to this member.
    pub heard_leader: Mutex<Option<Instant>>,
    pub failure: watch::Receiver<Option<String>>,
    pub stop: CancellationToken,
}

/// A handle that does not keep the member alive, for its own background tasks.
#[derive(Clone)]
pub(crate) struct WeakMember(Weak<Inner>);

impl WeakMember {
    pub(crate) fn upgrade(&self) -> Option<Member> {
        self.0.upgrade().map(Member)
    }
}

/// Who leads, as far as this member knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leader; none during an election or without a majority.
    pub leader: Option<MemberId>,
    /// Whether this member leads.
    pub is_self: bool,
    /// The Raft term.
    pub term: u64,
}

/// What a transaction came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The revision of its changes.
    pub revision: Revision,
}

/// Why a member cannot serve yet, or any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotReady(pub String);

impl Member {
    /// This member's id.
    pub fn id(&self) -> MemberId {
        self.0.group.id
    }

    /// The address that this member advertises, `host:port`.
    pub fn advertise(&self) -> &str {
        &self.0.group.advertise
    }

    /// Where the leader is reached, `host:port`, as far as this member knows.
    pub fn leader_address(&self) -> Option<String> {
        self.address_of(self.0.leadership.borrow().leader?)
    }

    /// The addresses of all members, learners included, as of what this one has applied.
    pub fn addresses(&self) -> BTreeMap<MemberId, String> {
        let membership = self.membership();
        let nodes = membership.nodes();
        nodes.map(|(id, node)| (*id, node.addr.clone())).collect()
    }

    /// Reads one key.
    ///
    /// # Errors
    /// For a linearizable read: [`Error::NoLeader`] and the like, when no majority confirms it in time.
    pub async fn get(
        &self,
        space: Space,
        key: &str,
        consistency: Consistency,
    ) -> Result<Option<Record>, Error> {
        self.catch_up(consistency).await?;
        Ok(self.0.store.get(space, key))
    }

    /// Reads keys in order, all as of one revision.
    ///
    /// # Errors
    /// As [`Member::get`].
    pub async fn scan(
        &self,
        space: Space,
        scan: Scan,
        consistency: Consistency,
    ) -> Result<Page, Error> {
        self.catch_up(consistency).await?;
        Ok(self.0.store.scan(space, &scan))
    }

    /// Makes changes, all or none; returns when they are on a majority's disks and applied.
    ///
    /// # Errors
    /// [`Error::GuardFailed`] when a guard did not hold; [`Error::TooLarge`], [`Error::EmptyKey`] and
    /// [`Error::StoreFull`] for what may not be stored; [`Error::NoLeader`] when it certainly did not
    /// happen; [`Error::UnknownOutcome`] when it may have.
    pub async fn txn(&self, txn: Txn) -> Result<Committed, Error> {
        self.check(&txn)?;
        match self.submit(Forward::Write(Arc::new(txn))).await? {
            ForwardReply::Written(revision) => Ok(Committed { revision }),
            other => Err(unexpected(self.id(), &other)),
        }
    }

    /// The changes of keys that begin with `prefix`, those after revision `from` first.
    pub fn watch(&self, space: Space, prefix: impl Into<String>, from: Revision) -> Watch {
        self.0.store.watch(space, prefix.into(), from)
    }

    /// Follows who leads.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.0.leadership.clone()
    }

    /// Whether this member follows a leader that has spoken to it within this time. That leader may have
    /// lost its own quorum meanwhile.
    pub fn hears_leader(&self, within: Duration) -> bool {
        let heard = *self.0.heard_leader.lock();
        heard.is_some_and(|at| at.elapsed() <= within)
    }

    pub(crate) fn heard_leader(&self) {
        *self.0.heard_leader.lock() = Some(Instant::now());
    }

    /// Makes sure, by a quorum, that this member leads at this moment.
    ///
    /// # Errors
    /// [`Error::NotLeader`] when another does, [`Error::NoLeader`] when no majority answers.
    pub async fn confirm_leadership(&self) -> Result<(), Error> {
        self.confirm_as_leader().await.map(drop)
    }

    /// Whether this member knows a leader and has applied all that the group had acknowledged when it
    /// was asked.
    ///
    /// # Errors
    /// The reason, for the operator.
    pub async fn ready(&self) -> Result<(), NotReady> {
        const PATIENCE: Duration = Duration::from_secs(1);
        if let Some(reason) = self.0.failure.borrow().clone() {
            return Err(NotReady(reason));
        }
        if self.0.stop.is_cancelled() {
            return Err(NotReady(Error::ShuttingDown.to_string()));
        }
        match tokio::time::timeout(PATIENCE, self.catch_up(Consistency::Linearizable)).await {
            Ok(result) => result.map_err(|error| NotReady(error.to_string())),
            Err(_) => match self.leadership().borrow().leader {
                Some(leader) if leader != self.id() && !self.hears_leader(SILENCE) => {
                    Err(NotReady(format!(
                        "member {leader}, the last leader, has not been heard for {} s, and the group \
                         has elected no other",
                        SILENCE.as_secs()
                    )))
                }
                Some(leader) => Err(NotReady(format!(
                    "catching up with the leader, member {leader}"
                ))),
                None => Err(NotReady("no leader is known".into())),
            },
        }
    }

    /// Waits until the member's disk or Raft core has failed for good, and answers why. The daemon
    /// should end then, so that it is started again.
    pub async fn failed(&self) -> String {
        let mut failure = self.0.failure.clone();
        let reason = failure
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            // The observer is gone: the member was shut down and will not fail any more.
            None => std::future::pending().await,
        }
    }

    /// The group's key for secrets at rest; none on a standby that no group has taken in.
    pub fn cluster_key(&self) -> Option<ClusterKey> {
        self.0.group.key()
    }

    /// Takes over a connection that another member has upgraded at [`crate::PEER_PATH`], and answers
    /// its requests until it ends.
    pub async fn serve_peer(&self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        crate::peers::server::serve(self.clone(), io).await;
    }

    /// Hands leadership over where this member leads, puts everything on disk and stops.
    ///
    /// # Errors
    /// When the last checkpoint could not be written; nothing is lost then, the log has it.
    pub async fn shutdown(&self) -> Result<(), Error> {
        if let Err(error) = self.transfer_leadership().await {
            tracing::warn!(%error, "leadership was not handed over; the others elect a leader");
        }
        self.0.stop.cancel();
        if let Err(error) = self.0.raft.shutdown().await {
            tracing::warn!(%error, "the raft core did not end cleanly");
        }
        self.0.store.close();
        self.0
            .checkpointer
            .stop()
            .await
            .map_err(|error| self.stopped_by(error.to_string()))
    }

    /// Brings this member up to what is acknowledged.
    async fn catch_up(&self, consistency: Consistency) -> Result<(), Error> {
        if consistency == Consistency::Stale {
            return Ok(());
        }
        let index = self.0.gate.index().await?;
        match tokio::time::timeout(REQUEST_TIMEOUT, self.0.store.applied_to(index)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Error::NoLeader {
                waited_ms: REQUEST_TIMEOUT.as_millis() as u64,
            }),
        }
    }

    fn check(&self, txn: &Txn) -> Result<(), Error> {
        let limits = &self.0.limits;
        let within = |what: &str, bytes: u64, limit: u64| {
            if bytes > limit {
                return Err(Error::TooLarge {
                    what: what.into(),
                    bytes,
                    limit,
                });
            }
            Ok(())
        };
        for op in &txn.ops {
            let (key, value) = match op {
                Op::Put { key, value, .. } => (key, value.len()),
                Op::Delete { key, .. } => (key, 0),
            };
            if key.is_empty() {
                return Err(Error::EmptyKey);
            }
            within("key", key.len() as u64, limits.max_key_bytes as u64)?;
            within("value", value as u64, limits.max_value_bytes as u64)?;
        }
        within("transaction", txn.bytes(), MAX_TXN_BYTES)
    }

    /// Has the leader carry a request out, wherever it is.
    pub(crate) async fn submit(&self, request: Forward) -> Result<ForwardReply, Error> {
        let started = Instant::now();
        let timeout = match request {
            Forward::Write(_) | Forward::ReadIndex => REQUEST_TIMEOUT,
            _ => MEMBERSHIP_TIMEOUT,
        };
        let deadline = started + timeout;
        let mut leadership = self.leadership();
        loop {
            let leader = leadership.borrow_and_update().leader;
            let attempt = match leader {
                Some(id) if id == self.id() => match request {
                    // Not by way of the gate, which is who asks here.
                    Forward::ReadIndex => self
                        .read_index_as_leader()
                        .await
                        .map(ForwardReply::ReadIndex),
                    _ => self.lead(request.clone()).await,
                },
                Some(id) => self.forward(id, &request, deadline).await,
                None if self.0.group.cluster().is_none() => {
                    return Err(Error::NotInitialised {
                        id: self.id(),
                        addr: self.advertise().to_owned(),
                    });
                }
                None => Err(Error::NotLeader {
                    id: self.id(),
                    leader: None,
                }),
            };
            // Whatever else came is the answer; without a leader the request has not happened.
            let Err(Error::NotLeader { .. }) = attempt else {
                return attempt;
            };
            if self.0.stop.is_cancelled() {
                return Err(Error::ShuttingDown);
            }
            if started.elapsed() > LEADER_WAIT {
                return Err(Error::NoLeader {
                    waited_ms: started.elapsed().as_millis() as u64,
                });
            }
            // A change of leadership ends the wait early.
            let _ = tokio::time::timeout(RETRY, leadership.changed()).await;
        }
    }

    /// Asks the leader on another member.
    async fn forward(
        &self,
        leader: MemberId,
        request: &Forward,
        deadline: Instant,
    ) -> Result<ForwardReply, Error> {
        let not_led = Error::NotLeader {
            id: self.id(),
            leader: None,
        };
        let Some(addr) = self.address_of(leader) else {
            return Err(not_led);
        };
        let link = self.0.peers.link(leader, &addr);
        let timeout = deadline.saturating_duration_since(Instant::now());
        let started = Instant::now();
        match link.call(request, timeout).await {
            Ok(reply) => Ok(reply),
            Err(LinkError::Remote(error)) => Err(error),
            Err(LinkError::NotSent { .. }) => Err(not_led),
            // A read may be asked again; anything else may have happened.
            Err(_) if matches!(request, Forward::ReadIndex) => Err(not_led),
            Err(_) => Err(Error::UnknownOutcome {
                what: request.name().into(),
                waited_ms: started.elapsed().as_millis() as u64,
            }),
        }
    }

    pub(crate) fn membership(&self) -> Membership {
        self.0.store.applied().1.membership().clone()
    }

    /// Where a member of the group is reached.
    pub(crate) fn address_of(&self, id: MemberId) -> Option<String> {
        // The effective membership may be ahead of the applied one on a member that lags.
        let metrics = self.raft_metrics();
        metrics
            .membership_config
            .membership()
            .get_node(&id)
            .map(|node| node.addr.clone())
    }

    pub(crate) fn group(&self) -> &Arc<Group> {
        &self.0.group
    }

    pub(crate) fn raft(&self) -> &Raft {
        &self.0.raft
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn telemetry(&self) -> &Arc<Telemetry> {
        &self.0.telemetry
    }

    pub(crate) fn downgrade(&self) -> WeakMember {
        WeakMember(Arc::downgrade(&self.0))
    }

    /// Waits until the member is told to stop.
    pub(crate) async fn stopped(&self) {
        self.0.stop.cancelled().await;
    }

    /// What the user hears when this member's core is gone.
    pub(crate) fn fatal(&self, error: &impl std::fmt::Display) -> Error {
        self.stopped_by(error.to_string())
    }

    pub(crate) fn stopped_by(&self, reason: String) -> Error {
        if self.0.stop.is_cancelled() {
            return Error::ShuttingDown;
        }
        Error::Stopped {
            id: self.id(),
            reason,
        }
    }
}

pub(crate) fn unexpected(id: MemberId, reply: &ForwardReply) -> Error {
    Error::Stopped {
        id,
        reason: format!("the leader gave an answer of another kind: {reply:?}"),
    }
}
