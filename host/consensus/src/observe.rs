//! Background tasks that follow the Raft core: who leads, whether it still runs, what it counts.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::watch;

use crate::group::Group;
use crate::member::{Leadership, WeakMember};
use crate::raft::Raft;
use crate::telemetry::Telemetry;
use crate::types::Space;

/// How often gauges follow the core.
const INTERVAL: Duration = Duration::from_millis(500);
/// A leader that says nothing for so long is not there: it speaks several times a second.
pub(crate) const SILENCE: Duration = Duration::from_secs(3);

/// Keeps `leadership` up to date until the core ends.
pub(crate) async fn follow_leadership(
    raft: Raft,
    group: Arc<Group>,
    telemetry: Arc<Telemetry>,
    leadership: watch::Sender<Leadership>,
) {
    let mut server = raft.server_metrics();
    loop {
        let now = {
            let metrics = server.borrow_watched();
            Leadership {
                leader: metrics.current_leader,
                is_self: metrics.state == ServerState::Leader
                    && metrics.current_leader == Some(metrics.id),
                term: metrics.vote.leader_id().term,
            }
        };
        let before = *leadership.borrow();
        if now != before {
            if now.leader != before.leader {
                match now.leader {
                    Some(leader) => {
                        telemetry.leader_changes.inc();
                        tracing::info!(leader, term = now.term, "the group has a leader");
                    }
                    None => tracing::warn!(term = now.term, "the group has no leader"),
                }
            }
            telemetry.is_leader.set(now.is_self.into());
            telemetry.term.set(now.term as i64);
            leadership.send_replace(now);
        }
        remember_peers(&raft, &group);
        if server.changed().await.is_err() {
            leadership.send_replace(Leadership {
                term: now.term,
                ..Leadership::default()
            });
            return;
        }
    }
}

/// Writes down where the other members are, to find them if the checkpoint is ever lost.
fn remember_peers(raft: &Raft, group: &Group) {
    let membership = raft
        .server_metrics()
        .borrow_watched()
        .membership_config
        .clone();
    let peers = membership
        .membership()
        .nodes()
        .filter(|(id, _)| **id != group.id)
        .map(|(id, node)| (*id, node.addr.clone()))
        .collect();
    if let Err(error) = group.update(|file| file.peers = peers) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "cannot write down the other members' addresses"
        );
    }
}

/// Sets the gauges, and reports a core that has ended for good.
pub(crate) async fn follow_core(member: WeakMember, failure: watch::Sender<Option<String>>) {
    let mut was_led = false;
    loop {
        let Some(member) = member.upgrade() else {
            return;
        };
        if member.0.stop.is_cancelled() {
            return;
        }
        let metrics = member.raft_metrics();
        if let Err(fatal) = &metrics.running_state {
            tracing::error!(error = %fatal, "the raft core has stopped");
            failure.send_replace(Some(member.fatal(fatal).to_string()));
            return;
        }
        let (telemetry, store) = (member.telemetry(), member.store());
        // The core goes on naming a leader that is gone for as long as nobody can elect another.
        let leader = metrics.current_leader;
        let is_led = leader == Some(metrics.id) || leader.is_some() && member.hears_leader(SILENCE);
        if was_led
            && !is_led
            && let Some(leader) = leader
        {
            tracing::warn!(leader, "the leader is not heard any more");
        }
        was_led = is_led;
        telemetry.has_leader.set(is_led.into());
        telemetry
            .last_log_index
            .set(metrics.last_log_index.unwrap_or(0) as i64);
        telemetry
            .applied_index
            .set(metrics.last_applied.map_or(0, |id| id.index) as i64);
        let membership = metrics.membership_config.membership();
        telemetry.voters.set(membership.voter_ids().count() as i64);
        telemetry
            .learners
            .set(membership.learner_ids().count() as i64);
        telemetry
            .log_disk_bytes
            .set(member.0.log.disk_bytes() as i64);
        telemetry.live_bytes.set(store.live_bytes() as i64);
        for space in Space::ALL {
            let keys = telemetry.keys.with_label_values(&[&space.to_string()]);
            keys.set(store.keys(space) as i64);
        }
        drop(member);
        tokio::time::sleep(INTERVAL).await;
    }
}
