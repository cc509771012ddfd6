//! The peers as openraft sees them.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::network::v2::RaftNetworkV2;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{BasicNode, OptionalSend, RaftNetworkFactory};
use parking_lot::Mutex;

use super::link::{Link, LinkError};
use super::message::{InstallSnapshot, Message, PreVote, SnapshotPiece};
use crate::group::Group;
use crate::raft::{Snapshot, TypeConfig, Vote};
use crate::snapshot::{Disassembler, Image};
use crate::telemetry::Telemetry;
use crate::types::MemberId;

/// A follower's disk may stall for longer than a heartbeat; its answer is worth waiting for.
const APPEND_TIMEOUT: Duration = Duration::from_secs(2);
/// For one piece of a snapshot, about 1 MiB.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// For writing a whole snapshot to the other's disk.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);

type Links = HashMap<(MemberId, String), Arc<Link>>;

/// The links to all members, one per id and address.
#[derive(Clone)]
pub(crate) struct Peers {
    group: Arc<Group>,
    links: Arc<Mutex<Links>>,
    telemetry: Arc<Telemetry>,
}

impl Peers {
    pub(crate) fn new(group: Arc<Group>, telemetry: Arc<Telemetry>) -> Self {
        Self {
            group,
            links: Arc::default(),
            telemetry,
        }
    }

    /// The link to member `id` at `addr`.
    pub(crate) fn link(&self, id: MemberId, addr: &str) -> Arc<Link> {
        let mut links = self.links.lock();
        if let Some(link) = links.get(&(id, addr.to_owned())) {
            return link.clone();
        }
        let cluster = self.group.cluster();
        let telemetry = Some(self.telemetry.clone());
        let link = Arc::new(Link::new(addr.to_owned(), Some(id), cluster, telemetry));
        // A link made before this member had a group would introduce itself wrongly for ever.
        if cluster.is_some() {
            links.insert((id, addr.to_owned()), link.clone());
        }
        link
    }
}

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = PeerNetwork;

    async fn new_client(&mut self, target: MemberId, node: &BasicNode) -> PeerNetwork {
        PeerNetwork {
            link: self.link(target, &node.addr),
            telemetry: self.telemetry.clone(),
        }
    }
}

/// One member as openraft's replication addresses it.
pub(crate) struct PeerNetwork {
    link: Arc<Link>,
    telemetry: Arc<Telemetry>,
}

impl PeerNetwork {
    async fn call<M: Message>(
        &self,
        message: &M,
        timeout: Duration,
    ) -> Result<M::Reply, RPCError<TypeConfig>> {
        self.link
            .call(message, timeout)
            .await
            .map_err(|error| match error {
                // Retried at once: the next connection may work.
                LinkError::Broken { .. } => NetworkError::new(&error).into(),
                _ => Unreachable::new(&error).into(),
            })
    }
}

impl RaftNetworkV2<TypeConfig> for PeerNetwork {
    type SnapshotData = Image;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let timeout = if request.entries.is_empty() {
            option.hard_ttl()
        } else {
            APPEND_TIMEOUT
        };
        self.call(&request, timeout).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(&request, option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(&PreVote(request), option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let transfer = NEXT.fetch_add(1, Ordering::Relaxed);
        let unreachable = |error: LinkError| StreamingError::from(Unreachable::new(&error));
        let send = async {
            for piece in Disassembler::new(snapshot.snapshot) {
                let message = SnapshotPiece { transfer, piece };
                self.link
                    .call(&message, PIECE_TIMEOUT)
                    .await
                    .map_err(unreachable)?;
            }
            let message = InstallSnapshot {
                transfer,
                vote,
                meta: snapshot.meta,
            };
            self.link
                .call(&message, INSTALL_TIMEOUT)
                .await
                .map_err(unreachable)
        };
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = send => {
                let response = sent?;
                self.telemetry.snapshots_sent.inc();
                Ok(response)
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(&request, option.hard_ttl()).await
    }
}
