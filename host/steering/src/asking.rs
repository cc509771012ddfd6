//! What members ask one another: JSON over [`portolan_consensus::Member::ask`].

use std::sync::Arc;
use std::time::Duration;

use portolan_consensus::{AskError, MemberId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::steering::Steering;

/// For the way to a member in another city and back.
const WAY: Duration = Duration::from_millis(1_000);

impl Steering {
    /// Has this member answer a question; nothing when it is about to stop.
    pub(crate) fn on_ask<T: Serialize>(
        self: &Arc<Self>,
        topic: &'static str,
        answer: impl Fn(&Self, &[u8]) -> T + Send + Sync + 'static,
    ) {
        let steering = Arc::downgrade(self);
        self.member.on_ask(topic, move |question| {
            let steering = steering.upgrade();
            let told = steering.map(|steering| answer(&steering, &question));
            // Plain data: serde_json cannot fail on it.
            let told = serde_json::to_vec(&told).unwrap_or_default();
            async move { told }
        });
    }

    /// Asks another member. Nothing is also the answer of one that is about to stop, or that speaks
    /// otherwise.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        id: MemberId,
        topic: &'static str,
        question: Vec<u8>,
    ) -> Result<Option<T>, AskError> {
        let answer = self.member.ask(id, topic, question, WAY).await?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }
}
