//! How the group stands, by who answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use portolan_consensus::MemberId;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::steering::Steering;
use crate::survivor::Quorum;

/// How often each member looks how the group stands.
const LOOK: Duration = Duration::from_millis(500);
/// How a member finds the group.
const GROUP: &str = "steering/group";
/// How long a leader that is well is silent at most: many heartbeats, of either profile.
const SILENCE: Duration = Duration::from_secs(3);

/// What a member finds of the group by itself.
#[derive(Debug, Default)]
struct Finding {
    /// It reaches a leader that has a quorum at this moment.
    is_ready: bool,
    /// A leader has spoken to it lately.
    hears_leader: bool,
    leader: Option<MemberId>,
    /// Who answers, and how they find the group.
    reached: BTreeMap<MemberId, Option<Quorum>>,
}

impl Steering {
    /// Has this member answer the others.
    pub(crate) fn answer_for_group(self: &Arc<Self>) {
        self.on_ask(GROUP, |steering, _| *steering.group.lock());
    }

    /// Tells how the group stands, again and again; `members` are those of the sites in survivor mode.
    pub(super) async fn keep_looking_at_group(
        self: Arc<Self>,
        members: BTreeSet<MemberId>,
        told: watch::Sender<Quorum>,
    ) {
        loop {
            let found = self.look_at_group(&members).await;
            *self.group.lock() = Some(found);
            told.send_if_modified(|quorum| {
                let changed = *quorum != found;
                if changed {
                    tracing::info!(from = %quorum, to = %found, "the group's quorum, as this member finds it");
                }
                *quorum = found;
                changed
            });
            sleep(LOOK).await;
        }
    }

    async fn look_at_group(&self, members: &BTreeSet<MemberId>) -> Quorum {
        let me = self.member.id();
        let voters: BTreeSet<MemberId> = self.member.voters().into_iter().collect();
        let mut others: BTreeSet<MemberId> = voters.union(members).copied().collect();
        others.remove(&me);
        let asked = others
            .iter()
            .map(async |&id| Some((id, self.ask(id, GROUP, Vec::new()).await.ok()?)));
        let (ready, reached) = tokio::join!(self.member.ready(), join_all(asked));
        let finding = Finding {
            is_ready: ready.is_ok(),
            hears_leader: self.member.hears_leader(SILENCE),
            leader: self.member.leadership().borrow().leader,
            reached: reached.into_iter().flatten().collect(),
        };
        finding.quorum(&others)
    }
}

impl Finding {
    /// A leader that is heard and not reached may have a quorum, and then it would be wrong to act alone;
    /// unless it says itself that it has none.
    fn quorum(&self, others: &BTreeSet<MemberId>) -> Quorum {
        let of_leader = self.leader.and_then(|leader| self.reached.get(&leader));
        let leader_has_none = of_leader == Some(&Some(Quorum::Lost));
        let stands = self.is_ready || (self.hears_leader && !leader_has_none);
        if !stands {
            Quorum::Lost
        } else if others.iter().all(|id| self.reached.contains_key(id)) {
            Quorum::Whole
        } else {
            Quorum::Partial
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(is_ready: bool, hears_leader: bool, reached: &[(u64, Option<Quorum>)]) -> Quorum {
        let finding = Finding {
            is_ready,
            hears_leader,
            leader: Some(2),
            reached: reached.iter().copied().collect(),
        };
        finding.quorum(&[2, 3].into())
    }

    #[test]
    fn who_reaches_a_leader_with_a_quorum_has_one_and_it_is_whole_with_everybody() {
        let all = [(2, Some(Quorum::Whole)), (3, None)];
        assert_eq!(found(true, false, &all), Quorum::Whole);
        assert_eq!(found(true, true, &all[..1]), Quorum::Partial);
        assert_eq!(found(false, false, &all), Quorum::Lost);
    }

    #[test]
    fn a_leader_that_speaks_may_have_a_quorum_unless_it_says_no() {
        assert_eq!(
            found(false, true, &[]),
            Quorum::Partial,
            "it cannot be asked"
        );
        assert_eq!(found(false, true, &[(2, Some(Quorum::Lost))]), Quorum::Lost);
        assert_eq!(found(false, true, &[(2, None)]), Quorum::Partial);
    }
}
