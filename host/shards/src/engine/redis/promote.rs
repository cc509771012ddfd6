//! Making a replica the master.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::view::{Entry, View};
use super::{LOOK_AGAIN, Redis};
use crate::engine::{Access, NodeError, Pushed};
use crate::model::Role;
use crate::names::NodeAddr;

/// How long the old master may take to show that it is there.
const PING: Duration = Duration::from_millis(500);
/// How long the two may take to hand over.
const HAND_OVER: Duration = Duration::from_secs(5);
/// How long the other masters may take to vote.
const VOTE: Duration = Duration::from_secs(2);
/// How long a node may take to help itself.
const TAKE_OVER: Duration = Duration::from_secs(1);

impl Redis {
    /// Has a replica take its master's place: together with it where it can be reached, by the other
    /// masters' votes where it cannot, and by itself where they have no majority either: that this node
    /// is the master has been decided already (`is_decided`).
    ///
    /// Otherwise it was the master until the nodes replaced it, and stays a replica as long as the one
    /// that they chose is there: what was decided here is older than that.
    pub(super) async fn promote(
        &self,
        node: &Access,
        view: &View,
        is_decided: bool,
    ) -> Result<Pushed, NodeError> {
        let old = view.me().master.as_ref().and_then(|id| view.get(id));
        if let Some(old) = old.filter(|old| !is_decided && !old.is_failing) {
            return Err(replaced_by(old));
        }
        let access = old.and_then(|entry| entry.addr.clone()).map(|addr| Access {
            addr,
            password: node.password.clone(),
        });
        let old_answers = match &access {
            Some(old) => matches!(timeout(PING, self.tell(old, &["PING"])).await, Ok(Ok(()))),
            None => false,
        };
        if old_answers {
            if let Some(old) = old.filter(|_| !is_decided) {
                return Err(replaced_by(old));
            }
            self.tell(node, &["CLUSTER", "FAILOVER"]).await?;
            if self.is_master_within(node, HAND_OVER).await? {
                return Ok(Pushed::Changed);
            }
            return Err(NodeError::Refused(format!(
                "its master did not hand over within {} s",
                HAND_OVER.as_secs()
            )));
        }
        for (how, time) in [("FORCE", VOTE), ("TAKEOVER", TAKE_OVER)] {
            self.tell(node, &["CLUSTER", "FAILOVER", how]).await?;
            if self.is_master_within(node, time).await? {
                return Ok(Pushed::Changed);
            }
        }
        Err(NodeError::Refused(
            "it did not become the master, although it was told to take over".into(),
        ))
    }

    async fn is_master_within(&self, node: &Access, time: Duration) -> Result<bool, NodeError> {
        let deadline = Instant::now() + time;
        loop {
            if self.view(node).await?.me().role == Role::Master {
                return Ok(true);
            }
            if Instant::now() > deadline {
                return Ok(false);
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

fn replaced_by(master: &Entry) -> NodeError {
    let addr = master.addr.as_ref().map_or("?", NodeAddr::as_str);
    NodeError::Refused(format!(
        "the nodes have made {addr} the master in its place, which the next probe takes over; to have \
         it back, fail over to it with POST …/failover"
    ))
}
