//! Joining a group, and getting the state back from it.

use std::time::Duration;

use crate::error::{Error, StartError};
use crate::group::Group;
use crate::identity::{ClusterId, DataDir, MemberFile};
use crate::key::ClusterKey;
use crate::member::{Member, WeakMember};
use crate::peers::link::{Link, LinkError};
use crate::peers::message::{Forward, Join, PullSnapshot};
use crate::raft::LogId;
use crate::snapshot::{Assembler, Image};
use crate::types::MemberId;

/// One attempt at one address.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// Until the group is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// How often a wait is worth a line in the log.
const REMIND_EVERY: u32 = 10;
/// Making a voter includes catching up.
const VOTER_TIMEOUT: Duration = Duration::from_secs(65);

/// Asks the group at one of `addresses` to take this member in, until one answers. Founding members
/// and those that join may be started in any order.
pub(crate) async fn ask_to_join(
    dir: &DataDir,
    wanted: Option<MemberId>,
    advertise: &str,
    addresses: &[String],
) -> Result<(MemberFile, ClusterKey), StartError> {
    let join = Join {
        id: wanted,
        addr: advertise.to_owned(),
    };
    for attempt in 0u32.. {
        for addr in addresses {
            let link = Link::new(addr.clone(), None, None, None);
            match link.call(&join, ASK_TIMEOUT).await {
                Ok(reply) => {
                    let key = ClusterKey::from_bytes(&reply.key).ok_or_else(|| {
                        StartError::Raft(format!("{addr} handed out a key of a wrong length"))
                    })?;
                    let mut file = MemberFile::new(reply.id, Some(reply.cluster));
                    file.joining = addresses.to_vec();
                    // The key first: who has the group has its key.
                    dir.write_key(&key)?;
                    dir.write_member(&file)?;
                    tracing::info!(id = reply.id, cluster = %reply.cluster, %addr, "accepted by the group");
                    return Ok((file, key));
                }
                Err(LinkError::Remote(Error::NotInitialised { .. })) => {}
                Err(LinkError::Remote(reason)) => {
                    return Err(StartError::Refused {
                        addr: addr.clone(),
                        reason,
                    });
                }
                Err(error) if attempt % REMIND_EVERY == 0 => {
                    tracing::warn!(%error, "waiting for the group to answer");
                }
                Err(_) => {}
            }
        }
        tokio::time::sleep(RETRY).await;
    }
    Err(StartError::Options(
        "--join needs at least one address".into(),
    ))
}

/// Asks the leader to make this member a voter, until it is one.
pub(crate) async fn become_voter(member: WeakMember) {
    for attempt in 0u32.. {
        let Some(member) = member.upgrade() else {
            return;
        };
        let group = member.group().clone();
        if member.membership().voter_ids().any(|id| id == group.id) {
            tracing::info!("this member is a voter of the group");
            if let Err(error) = group.update(|file| file.joining.clear()) {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot write down that this member has joined"
                );
            }
            return;
        }
        let request = Forward::AddVoter {
            id: group.id,
            addr: group.advertise.clone(),
        };
        let result = tokio::select! {
            result = ask_to_vote(&member, &group, request) => result,
            () = member.stopped() => return,
        };
        if let Err(reason) = result
            && attempt % REMIND_EVERY == 0
        {
            tracing::warn!(reason, "not a voter yet; asking again");
        }
        drop(member);
        tokio::time::sleep(RETRY).await;
    }
}

async fn ask_to_vote(member: &Member, group: &Group, request: Forward) -> Result<(), String> {
    if member.leadership().borrow().leader.is_some() {
        return member
            .submit(request)
            .await
            .map(drop)
            .map_err(|error| error.to_string());
    }
    // No leader has written to this member yet: somebody that it was told of passes this on.
    let mut reason = String::from("no address to ask");
    for addr in group.file().joining {
        let link = Link::new(addr, None, group.cluster(), None);
        match link.call(&request, VOTER_TIMEOUT).await {
            Ok(_) => return Ok(()),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(reason)
}

/// Gets the state from any member that has applied everything up to `purged`: for a member whose
/// checkpoint is lost while its log no longer begins at the beginning. What is applied is committed,
/// so this takes back nothing that the member has promised.
pub(crate) async fn pull_state(
    cluster: ClusterId,
    file: &MemberFile,
    purged: LogId,
) -> Result<Image, String> {
    let mut reason = String::from("no other member is known");
    for (id, addr) in &file.peers {
        let link = Link::new(addr.clone(), Some(*id), Some(cluster), None);
        match pull_from(&link, purged).await {
            Ok(image) => {
                tracing::info!(
                    from = id,
                    rows = image.0.rows(),
                    "rebuilt the state from another member"
                );
                return Ok(image);
            }
            Err(error) => reason = format!("member {id}: {error}"),
        }
    }
    Err(reason)
}

async fn pull_from(link: &Link, purged: LogId) -> Result<Image, String> {
    let mut assembler = Assembler::default();
    let mut restart = true;
    loop {
        let pulled = link
            .call(&PullSnapshot { restart }, ASK_TIMEOUT)
            .await
            .map_err(|error| error.to_string())?;
        restart = false;
        let applied = pulled.meta.last_log_id;
        if applied < Some(purged) {
            return Err("it is behind this member's log".into());
        }
        match pulled.piece {
            Some(piece) => assembler.push(piece)?,
            None => return assembler.finish(&pulled.meta),
        }
    }
}
