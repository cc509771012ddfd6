//! What the leader does for everybody.

use std::time::Duration;

use openraft::errors::{LinearizableReadError, RaftError};
use openraft::raft::ReadPolicy;

use crate::error::Error;
use crate::member::{Member, unexpected};
use crate::options::ReadMode;
use crate::peers::message::{Forward, ForwardReply};
use crate::raft::{ClientWriteError, Command, Outcome, TypeConfig};
use crate::types::{MemberId, Op, Revision, Txn};

/// A little less than the asker waits, so that the reason reaches it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(9);
/// One quorum check.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(3);

impl Member {
    /// Carries a request out as the leader.
    ///
    /// # Errors
    /// [`Error::NotLeader`] when this member does not lead: the request has not happened.
    pub(crate) async fn lead(&self, request: Forward) -> Result<ForwardReply, Error> {
        if !self.0.leadership.borrow().is_self {
            return Err(self.not_leader(self.0.leadership.borrow().leader));
        }
        match request {
            Forward::Write(txn) => self.write(txn).await.map(ForwardReply::Written),
            Forward::ReadIndex => self.0.gate.index().await.map(ForwardReply::ReadIndex),
            Forward::AddLearner { id, addr } => self
                .add_learner_as_leader(id, addr)
                .await
                .map(ForwardReply::Membership),
            Forward::AddVoter { id, addr } => self
                .add_voter_as_leader(id, addr)
                .await
                .map(ForwardReply::Membership),
            Forward::ChangeMembership(ids) => self
                .change_membership_as_leader(ids)
                .await
                .map(ForwardReply::Membership),
        }
    }

    async fn write(&self, txn: std::sync::Arc<Txn>) -> Result<Revision, Error> {
        self.check_room(&txn)?;
        let write = self.0.raft.client_write(Command(txn));
        let unknown = || Error::UnknownOutcome {
            what: "the write".into(),
            waited_ms: WRITE_TIMEOUT.as_millis() as u64,
        };
        let response = tokio::time::timeout(WRITE_TIMEOUT, write)
            .await
            .map_err(|_| unknown())?
            .map_err(|error| self.write_error(error, "the write"))?;
        match response.data {
            Outcome::Applied => Ok(Revision(response.log_id.index)),
            Outcome::GuardFailed {
                space,
                key,
                expected,
                actual,
            } => Err(Error::GuardFailed {
                space,
                key,
                expected,
                actual,
            }),
        }
    }

    /// Refuses what would grow a full store; whoever deletes or overwrites in place is let through.
    fn check_room(&self, txn: &Txn) -> Result<(), Error> {
        let (live_bytes, limit) = (self.0.store.live_bytes(), self.0.limits.max_live_bytes);
        if live_bytes < limit {
            return Ok(());
        }
        let grows = txn.ops.iter().any(|op| matches!(op, Op::Put { .. }));
        if grows {
            Err(Error::StoreFull { live_bytes, limit })
        } else {
            Ok(())
        }
    }

    pub(crate) fn write_error(
        &self,
        error: RaftError<TypeConfig, ClientWriteError>,
        what: &str,
    ) -> Error {
        match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
                self.not_leader(forward.leader_id)
            }
            RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
                self.membership_error(&error)
            }
            // Discarded when another leader's log was adopted: it may yet come back by that leader.
            RaftError::APIError(_) => Error::UnknownOutcome {
                what: what.into(),
                waited_ms: 0,
            },
            RaftError::Fatal(fatal) => self.fatal(&fatal),
        }
    }

    /// The read index, from whoever leads. Called by the read gate alone, which shares the answer.
    pub(crate) async fn find_read_index(&self) -> Result<u64, Error> {
        match self.submit(Forward::ReadIndex).await? {
            ForwardReply::ReadIndex(index) => Ok(index),
            other => Err(unexpected(self.id(), &other)),
        }
    }

    /// The read index as the leader knows it: by the lease where that is asked for and holds, by a
    /// quorum otherwise.
    pub(crate) async fn read_index_as_leader(&self) -> Result<u64, Error> {
        if self.0.options.read == ReadMode::Lease
            && let Ok(linearizer) = self.0.raft.get_read_linearizer(ReadPolicy::LeaseRead).await
        {
            return Ok(linearizer.read_log_id().index());
        }
        self.confirm_as_leader().await
    }

    /// Asks a quorum whether this member still leads.
    pub(crate) async fn confirm_as_leader(&self) -> Result<u64, Error> {
        let check = self.0.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        let no_leader = Error::NoLeader {
            waited_ms: CONFIRM_TIMEOUT.as_millis() as u64,
        };
        match tokio::time::timeout(CONFIRM_TIMEOUT, check).await {
            Ok(Ok(linearizer)) => Ok(linearizer.read_log_id().index()),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)))) => {
                Err(self.not_leader(forward.leader_id))
            }
            Ok(Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)))) | Err(_) => {
                Err(no_leader)
            }
            Ok(Err(RaftError::Fatal(fatal))) => Err(self.fatal(&fatal)),
        }
    }

    fn not_leader(&self, leader: Option<MemberId>) -> Error {
        Error::NotLeader {
            id: self.id(),
            leader,
        }
    }
}
