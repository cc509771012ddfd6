//! Webhooks, as operators give and see them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use portolan_consensus::documents::Document;
use portolan_consensus::{Consistency, Revision, Space, Txn};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alarm::KINDS;
use crate::clock::now_ms;
use crate::documents::{encode, keys};
use crate::error::SteeringError;
use crate::input;
use crate::notify::{Condition, Message, MessageState, Webhook, WebhookView};
use crate::steering::Steering;
use crate::store::{Stored, check_revision, revision_of, until_settled};

/// A webhook as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealedWebhook {
    /// Its JSON with its secrets, sealed with the cluster key, in base64.
    sealed: String,
}

impl Document for SealedWebhook {}

impl Steering {
    /// All webhooks, by name, without their secrets.
    pub async fn webhooks(&self) -> Result<Vec<WebhookView>, SteeringError> {
        let webhooks = self.load_webhooks(Consistency::Linearizable).await?;
        Ok(webhooks.iter().map(Webhook::view).collect())
    }

    /// One webhook and its revision.
    pub async fn webhook(&self, name: &str) -> Result<(WebhookView, Revision), SteeringError> {
        let stored = self.load_webhook(name).await?.ok_or_else(|| none(name))?;
        let webhook = self.open_webhook(name, &stored.document)?;
        Ok((webhook.view(), stored.modified))
    }

    /// Makes a webhook or replaces it; secrets given as `set` stay as they are.
    pub async fn put_webhook(
        &self,
        name: &str,
        body: Value,
        revision: Option<Revision>,
    ) -> Result<(WebhookView, Revision), SteeringError> {
        until_settled(|| async {
            let stored = self.load_webhook(name).await?;
            let what = format!("the webhook {name}");
            check_revision(&what, revision, revision_of(&stored))?;
            let standing = stored
                .as_ref()
                .map(|stored| self.open_webhook(name, &stored.document))
                .transpose()?;
            let webhook = Webhook::parse(name, body.clone(), standing.as_ref())?;
            webhook.check_kinds(&KINDS)?;
            let key = keys::webhook(name);
            let txn = Txn::new()
                .guard(Space::Steering, key.as_str(), revision_of(&stored))
                .put(Space::Steering, key, encode(&self.seal_webhook(&webhook)?));
            let revision = self.store.commit(txn).await?;
            tracing::info!(webhook = name, "webhook set");
            Ok((webhook.view(), revision))
        })
        .await
    }

    /// Removes a webhook; it is told nothing any more, not even that an alarm is over.
    pub async fn delete_webhook(
        &self,
        name: &str,
        revision: Option<Revision>,
    ) -> Result<(), SteeringError> {
        until_settled(|| async {
            let stored = self.load_webhook(name).await?.ok_or_else(|| none(name))?;
            check_revision(&format!("the webhook {name}"), revision, stored.modified)?;
            let key = keys::webhook(name);
            let txn = Txn::new()
                .guard(Space::Steering, key.as_str(), stored.modified)
                .delete(Space::Steering, key)
                .delete(Space::Steering, keys::alarms(name));
            self.store.commit(txn).await?;
            tracing::info!(webhook = name, "webhook deleted");
            Ok(())
        })
        .await
    }

    /// Tells a webhook that this is a test, and what its service said.
    pub async fn test_webhook(&self, name: &str) -> Result<(), SteeringError> {
        let stored = self.load_webhook(name).await?.ok_or_else(|| none(name))?;
        let webhook = self.open_webhook(name, &stored.document)?;
        let message = Message {
            state: MessageState::Firing,
            condition: Condition {
                kind: "test".to_owned(),
                subject: name.to_owned(),
                summary: "This is a test of this webhook; nothing is wrong.".to_owned(),
                since_ms: now_ms(),
            },
        };
        let sent = self.sender.send(&webhook, &message).await;
        sent.map_err(|error| SteeringError::Webhook(error.to_string()))
    }

    /// All webhooks that can be read.
    pub(crate) async fn load_webhooks(
        &self,
        consistency: Consistency,
    ) -> Result<Vec<Webhook>, SteeringError> {
        let stored = self
            .store
            .list::<SealedWebhook>(keys::WEBHOOKS, consistency)
            .await?;
        let opened = stored
            .into_iter()
            .map(|(name, stored)| self.open_webhook(&name, &stored?.document));
        opened.collect()
    }

    async fn load_webhook(
        &self,
        name: &str,
    ) -> Result<Option<Stored<SealedWebhook>>, SteeringError> {
        let key = keys::webhook(name);
        Ok(self.store.load(&key, Consistency::Linearizable).await?)
    }

    fn seal_webhook(&self, webhook: &Webhook) -> Result<SealedWebhook, SteeringError> {
        let mut document = input::document(&webhook.view())?;
        document["url"] = webhook.url().expose_secret().into();
        if let Some(secret) = webhook.secret() {
            document["secret"] = secret.expose_secret().into();
        }
        let text = zeroize::Zeroizing::new(document.to_string());
        let key = self.cluster_key()?;
        let sealed = key.seal(&context(webhook.name()), text.as_bytes());
        Ok(SealedWebhook {
            sealed: BASE64.encode(sealed),
        })
    }

    fn open_webhook(&self, name: &str, stored: &SealedWebhook) -> Result<Webhook, SteeringError> {
        let fail = || {
            SteeringError::Conflict(format!(
                "the webhook {name} was not sealed with this group's key; give it again"
            ))
        };
        let sealed = BASE64.decode(&stored.sealed).map_err(|_| fail())?;
        let key = self.cluster_key()?;
        let plain = key.open(&context(name), &sealed).map_err(|_| fail())?;
        let document = serde_json::from_slice(&plain).map_err(|_| fail())?;
        Webhook::parse(name, document, None)
    }
}

/// A sealed webhook opens only under its own name.
fn context(name: &str) -> String {
    format!("steering/webhook/{name}")
}

fn none(name: &str) -> SteeringError {
    SteeringError::NotFound(format!(
        "no webhook is called {}; GET /api/v1/dns/webhooks lists them",
        name.escape_debug()
    ))
}
