//! Whether the voters reach a node: the leader's own sight is not enough to replace a master.

use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::engine::NodeError;
use crate::names::{Name, NodeId};
use crate::service::{Place, Shards};

const TOPIC: &str = "shards/reach";
/// For the way to a voter in another city and back, beside the probe itself.
const WAY: Duration = Duration::from_millis(1_000);

#[derive(Serialize, Deserialize)]
struct Question {
    namespace: Name,
    cluster: Name,
    node: NodeId,
}

/// Whether a voter reaches the node; none where it does not know the node.
#[derive(Serialize, Deserialize)]
struct Answer {
    reaches: Option<bool>,
}

/// What the voters say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Votes {
    /// Do not reach the node. The leader is one of them.
    pub(super) down: usize,
    /// All voters, whether they answered or not.
    pub(super) voters: usize,
}

impl Votes {
    pub(super) fn is_majority(self) -> bool {
        self.down > self.voters / 2
    }
}

impl Shards {
    /// Has this member tell others whether it reaches a node.
    pub(super) fn answer_reach(self: &std::sync::Arc<Self>) {
        let shards = std::sync::Arc::downgrade(self);
        self.member.on_ask(TOPIC, move |question| {
            let shards = shards.clone();
            async move {
                let reaches = match (shards.upgrade(), serde_json::from_slice(&question)) {
                    (Some(shards), Ok(question)) => shards.reaches(question).await,
                    _ => None,
                };
                // A plain struct: serde_json cannot fail on it.
                serde_json::to_vec(&Answer { reaches }).unwrap_or_default()
            }
        });
    }

    async fn reaches(&self, question: Question) -> Option<bool> {
        let place = (question.namespace, question.cluster);
        let cluster = self.here(&place).await.ok()??.document;
        let (_, node) = cluster.nodes().find(|(_, node)| node.id == question.node)?;
        Some(!matches!(
            self.probe(&cluster, node).await,
            Err(NodeError::Unreachable(_))
        ))
    }

    /// Asks all other voters whether they reach a node that this member does not.
    pub(super) async fn votes(&self, place: &Place, node: &NodeId) -> Votes {
        let question = Question {
            namespace: place.0.clone(),
            cluster: place.1.clone(),
            node: node.clone(),
        };
        let question = serde_json::to_vec(&question).unwrap_or_default();
        let voters = self.member.voters();
        let others = voters.iter().filter(|id| **id != self.member.id());
        let answers = others.map(|id| {
            let timeout = self.options.probe_timeout() + WAY;
            let answer = self.member.ask(*id, TOPIC, question.clone(), timeout);
            async move {
                let answer = answer.await.ok()?;
                serde_json::from_slice::<Answer>(&answer).ok()?.reaches
            }
        });
        let answers = join_all(answers).await;
        let down = answers.iter().filter(|answer| **answer == Some(false));
        Votes {
            down: down.count() + usize::from(voters.contains(&self.member.id())),
            voters: voters.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_more_than_half_of_all_voters() {
        let majority = |down, voters| Votes { down, voters }.is_majority();
        assert!(majority(1, 1));
        assert!(!majority(1, 2) && majority(2, 2));
        assert!(!majority(1, 3) && majority(2, 3));
        assert!(!majority(2, 4) && majority(3, 4));
    }
}
