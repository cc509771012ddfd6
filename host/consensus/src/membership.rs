//! Who belongs to the group: learners added, voters chosen, leadership handed over.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::errors::ChangeMembershipError;
use openraft::vote::RaftLeaderId;
use openraft::{BasicNode, ChangeMembers, Instant, alias};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::member::{Member, unexpected};
use crate::peers::link::LinkError;
use crate::peers::message::{Forward, ForwardReply, Join, JoinReply, Welcome};
use crate::raft::{ClientWriteResponse, LogId, Membership, TypeConfig};
use crate::types::MemberId;

/// How long a member to be added may take to answer.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(5);
/// Until it is asked again.
const WELCOME_RETRY: Duration = Duration::from_millis(100);
/// How long a learner may take to catch up in one attempt; who asked tries again.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(50);

/// A membership as it was committed, in the KV contract's shape:
/// `{"log_id":{"leader_id":{"term","node_id"},"index"},"data":{"value":null},"membership":{"configs":[[1]],"nodes":{"1":{"addr":".."}}}}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MembershipChange {
    log_id: LogId,
    data: NoData,
    membership: Membership,
}

/// A membership change carries no data; the contract shows that as `{"value":null}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct NoData {
    value: Option<()>,
}

impl Member {
    /// Adds a learner: a member that receives the log and does not vote. Adding one that is there
    /// already, with the same address, succeeds again.
    ///
    /// # Errors
    /// [`Error::IdTaken`] and [`Error::AddressTaken`] when id or address belong to another member,
    /// [`Error::CannotAdd`] when no standby with this id answers at the address.
    pub async fn add_learner(&self, id: MemberId, addr: String) -> Result<MembershipChange, Error> {
        self.change(Forward::AddLearner { id, addr }).await
    }

    /// Makes exactly these members the voters. Voters that are left out leave the group.
    ///
    /// # Errors
    /// [`Error::EmptyMembership`] without ids, [`Error::NotMembers`] with ids that are not in the group.
    pub async fn change_membership(
        &self,
        ids: BTreeSet<MemberId>,
    ) -> Result<MembershipChange, Error> {
        if ids.is_empty() {
            return Err(Error::EmptyMembership);
        }
        self.change(Forward::ChangeMembership(ids)).await
    }

    async fn change(&self, request: Forward) -> Result<MembershipChange, Error> {
        match self.submit(request).await? {
            ForwardReply::Membership(change) => Ok(change),
            other => Err(unexpected(self.id(), &other)),
        }
    }

    /// Hands leadership to the most advanced other voter; nothing happens where this member does not
    /// lead or is the only voter.
    ///
    /// # Errors
    /// [`Error::NoLeader`] when no other member has taken over in time.
    pub async fn transfer_leadership(&self) -> Result<(), Error> {
        let mut leadership = self.leadership();
        if !leadership.borrow().is_self {
            return Ok(());
        }
        let metrics = self.raft_metrics();
        let (_, (_, election_max_ms)) = self.0.options.timing();
        let election_max = Duration::from_millis(election_max_ms);
        let replication = metrics.replication.unwrap_or_default();
        let heard = metrics.heartbeat.unwrap_or_default();
        // A member that is dead, or cut off, is no heir.
        let lives = |id: &MemberId| {
            heard
                .get(id)
                .copied()
                .flatten()
                .is_some_and(|at| at.elapsed() < 2 * election_max)
        };
        let heir = metrics
            .membership_config
            .membership()
            .voter_ids()
            .filter(|id| *id != self.id() && lives(id))
            .max_by_key(|id| replication.get(id).copied().flatten());
        let Some(heir) = heir else { return Ok(()) };
        tracing::info!(to = heir, "handing leadership over");
        self.raft()
            .trigger()
            .transfer_leader(heir)
            .await
            .map_err(|error| self.fatal(&error))?;
        let patience = 4 * election_max;
        let taken = leadership.wait_for(|now| now.leader.is_some() && !now.is_self);
        match tokio::time::timeout(patience, taken).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::NoLeader {
                waited_ms: patience.as_millis() as u64,
            }),
        }
    }

    /// Lets a member join that has asked for it: tells it its id, the group and the key. The
    /// membership changes later, when it runs and asks the leader to be made a voter.
    pub(crate) async fn admit(&self, join: Join) -> Result<JoinReply, Error> {
        let (Some(cluster), Some(key)) = (self.group().cluster(), self.group().key()) else {
            return Err(Error::NotInitialised {
                id: self.id(),
                addr: self.advertise().to_owned(),
            });
        };
        let (_, membership) = self.current_membership().await?;
        let at_address = membership
            .nodes()
            .find(|(_, node)| node.addr == join.addr)
            .map(|(id, _)| *id);
        let next = || membership.nodes().map(|(id, _)| *id).max().unwrap_or(0) + 1;
        let id = join.id.or(at_address).unwrap_or_else(next);
        check_free(&membership, id, &join.addr)?;
        tracing::info!(id, addr = %join.addr, "a member asks to join");
        Ok(JoinReply {
            id,
            cluster,
            key: key.as_bytes().to_vec(),
        })
    }

    pub(crate) async fn add_learner_as_leader(
        &self,
        id: MemberId,
        addr: String,
    ) -> Result<MembershipChange, Error> {
        if !is_address(&addr) {
            return Err(Error::BadAddress { addr });
        }
        if check_free(&self.current_membership().await?.1, id, &addr)? {
            return self.as_change().await;
        }
        self.welcome(id, &addr).await?;
        let response = self
            .raft()
            .add_learner(id, BasicNode::new(addr.clone()), false)
            .await;
        let response = response.map_err(|error| self.write_error(error, "adding the learner"))?;
        tracing::info!(id, addr, "added a learner");
        self.committed(response).await
    }

    pub(crate) async fn add_voter_as_leader(
        &self,
        id: MemberId,
        addr: String,
    ) -> Result<MembershipChange, Error> {
        self.add_learner_as_leader(id, addr.clone()).await?;
        let (_, membership) = self.current_membership().await?;
        if membership.voter_ids().any(|voter| voter == id) {
            return self.as_change().await;
        }
        // Blocks until the learner has caught up.
        let caught_up = self.raft().add_learner(id, BasicNode::new(addr), true);
        tokio::time::timeout(CATCH_UP_TIMEOUT, caught_up)
            .await
            .map_err(|_| Error::UnknownOutcome {
                what: "adding the voter".into(),
                waited_ms: CATCH_UP_TIMEOUT.as_millis() as u64,
            })?
            .map_err(|error| self.write_error(error, "adding the voter"))?;
        let add = ChangeMembers::AddVoterIds(BTreeSet::from([id]));
        let response = self.raft().change_membership(add, true).await;
        let response = response.map_err(|error| self.write_error(error, "adding the voter"))?;
        tracing::info!(id, "added a voter");
        self.committed(response).await
    }

    pub(crate) async fn change_membership_as_leader(
        &self,
        ids: BTreeSet<MemberId>,
    ) -> Result<MembershipChange, Error> {
        let (_, membership) = self.current_membership().await?;
        let unknown: Vec<_> = ids
            .iter()
            .copied()
            .filter(|id| membership.get_node(id).is_none())
            .collect();
        if !unknown.is_empty() {
            return Err(Error::NotMembers { ids: unknown });
        }
        let response = self.raft().change_membership(ids.clone(), false).await;
        let response =
            response.map_err(|error| self.write_error(error, "the membership change"))?;
        tracing::info!(voters = ?ids, "changed the membership");
        self.committed(response).await
    }

    /// Makes sure that the member at `addr` is `id` and belongs to this group, or to none yet: then it
    /// is taken in.
    async fn welcome(&self, id: MemberId, addr: &str) -> Result<(), Error> {
        let cannot = |reason: String| Error::CannotAdd {
            id,
            addr: addr.to_owned(),
            reason,
        };
        let (Some(cluster), Some(key)) = (self.group().cluster(), self.group().key()) else {
            return Err(cannot("this member has no group itself".into()));
        };
        let welcome = Welcome {
            cluster,
            key: key.as_bytes().to_vec(),
        };
        // A member that was started a moment ago may not listen yet.
        let deadline = tokio::time::Instant::now() + WELCOME_TIMEOUT;
        loop {
            let link = self.0.peers.link(id, addr);
            match link.call(&welcome, WELCOME_TIMEOUT).await {
                Ok(()) => return Ok(()),
                Err(LinkError::NotSent { .. }) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(WELCOME_RETRY).await;
                }
                Err(error) => return Err(cannot(error.to_string())),
            }
        }
    }

    /// The membership in effect, from the core itself: the metrics lag behind what a caller was told.
    async fn current_membership(&self) -> Result<(LogId, Membership), Error> {
        let nobody = alias::LeaderIdOf::<TypeConfig>::new(0, 0);
        self.raft()
            .with_raft_state(move |state| {
                let stored = state.membership_state.effective();
                let log_id = stored.log_id().unwrap_or_else(|| LogId::new(nobody, 0));
                (log_id, stored.membership().clone())
            })
            .await
            .map_err(|error| self.fatal(&error))
    }

    /// The membership as it is, for a change that has been made before.
    async fn as_change(&self) -> Result<MembershipChange, Error> {
        let (log_id, membership) = self.current_membership().await?;
        Ok(MembershipChange {
            log_id,
            data: NoData::default(),
            membership,
        })
    }

    /// What a membership entry answers.
    async fn committed(&self, response: ClientWriteResponse) -> Result<MembershipChange, Error> {
        match response.membership {
            Some(membership) => {
                let log_id = response.log_id;
                Ok(MembershipChange {
                    log_id,
                    data: NoData::default(),
                    membership,
                })
            }
            None => self.as_change().await,
        }
    }

    pub(crate) fn membership_error(
        &self,
        error: &ChangeMembershipError<alias::CommittedLeaderIdOf<TypeConfig>, MemberId>,
    ) -> Error {
        match error {
            ChangeMembershipError::EmptyMembership(_) => Error::EmptyMembership,
            ChangeMembershipError::LearnerNotFound(missing) => Error::NotMembers {
                ids: vec![missing.node_id],
            },
            _ => Error::ChangeInProgress,
        }
    }
}

/// Whether `id` is in the group at `addr` already; an error where one of the two is somebody else's.
fn check_free(membership: &Membership, id: MemberId, addr: &str) -> Result<bool, Error> {
    if let Some(node) = membership.get_node(&id) {
        if node.addr == addr {
            return Ok(true);
        }
        return Err(Error::IdTaken {
            id,
            addr: node.addr.clone(),
        });
    }
    match membership.nodes().find(|(_, node)| node.addr == addr) {
        Some((id, _)) => Err(Error::AddressTaken {
            addr: addr.to_owned(),
            id: *id,
        }),
        None => Ok(false),
    }
}

/// Whether it reads as `host:port`, with brackets around an IPv6 host.
fn is_address(addr: &str) -> bool {
    let Some((host, port)) = addr.rsplit_once(':') else {
        return false;
    };
    let bare = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
    !host.is_empty() && bare && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn membership() -> Membership {
        let nodes: BTreeMap<MemberId, BasicNode> =
            [(1, BasicNode::new("a:1")), (2, BasicNode::new("b:1"))].into();
        Membership::new(vec![BTreeSet::from([1, 2])], nodes).unwrap()
    }

    #[test]
    fn an_id_or_an_address_of_somebody_else_is_refused() {
        let membership = membership();
        assert_eq!(check_free(&membership, 1, "a:1"), Ok(true));
        assert_eq!(check_free(&membership, 3, "c:1"), Ok(false));
        let taken = Error::IdTaken {
            id: 1,
            addr: "a:1".into(),
        };
        assert_eq!(check_free(&membership, 1, "c:1"), Err(taken));
        let taken = Error::AddressTaken {
            addr: "b:1".into(),
            id: 2,
        };
        assert_eq!(check_free(&membership, 3, "b:1"), Err(taken));
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["127.0.0.1:1", "portolan-2.example:8420", "[::1]:8420"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "host",
            "host:",
            ":1",
            "host:0",
            "host:70000",
            "::1:8420",
            "http://a:1/",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
