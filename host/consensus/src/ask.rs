//! Questions from member to member: what one sees of the world that another cannot know.
//!
//! They carry no state of the group. Whoever asks decides what an answer is worth, and what it means
//! that none came.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::RwLock;

use crate::error::Error;
use crate::member::Member;
use crate::peers::message::Ask;
use crate::types::MemberId;

type Handler = Arc<dyn Fn(Vec<u8>) -> BoxFuture<'static, Vec<u8>> + Send + Sync>;

/// Who answers here, by topic.
#[derive(Default)]
pub(crate) struct Answers(RwLock<HashMap<&'static str, Handler>>);

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("member {id}: {reason}")]
pub struct AskError {
    /// Who was asked.
    pub id: MemberId,
    /// What went wrong.
    pub reason: String,
}

impl Member {
    /// The members whose votes count, this one included where it is one.
    pub fn voters(&self) -> Vec<MemberId> {
        self.membership().voter_ids().collect()
    }

    /// Has `handler` answer the questions on `topic` that other members ask this one.
    pub fn on_ask<F>(
        &self,
        topic: &'static str,
        handler: impl Fn(Vec<u8>) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Vec<u8>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |question| Box::pin(handler(question)));
        self.0.answers.0.write().insert(topic, handler);
    }

    /// Asks another member.
    ///
    /// # Errors
    /// When it is not in the group, not reached, or does not answer in time.
    pub async fn ask(
        &self,
        id: MemberId,
        topic: &'static str,
        question: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, AskError> {
        let failed = |reason: String| AskError { id, reason };
        let addr = self
            .address_of(id)
            .ok_or_else(|| failed("not a member of this group".into()))?;
        let ask = Ask {
            topic: topic.to_owned(),
            question,
        };
        let link = self.0.peers.link(id, &addr);
        link.call(&ask, timeout)
            .await
            .map_err(|error| failed(error.to_string()))
    }

    pub(crate) async fn answer(&self, ask: Ask) -> Result<Vec<u8>, Error> {
        let handler = self.0.answers.0.read().get(ask.topic.as_str()).cloned();
        match handler {
            Some(handler) => Ok(handler(ask.question).await),
            None => Err(Error::UnknownTopic { topic: ask.topic }),
        }
    }
}
