//! Alarms: what is wrong now, told to webhooks by the leader.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use portolan_consensus::documents::{Document, encode};
use portolan_consensus::{Consistency, Space, Txn};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::assign::Health;
use crate::clock::now_ms;
use crate::documents::keys;
use crate::error::SteeringError;
use crate::notify::{Alarms, Condition, Delivery, Webhook};
use crate::status::{TroubleKind, ZoneState, ZoneStatus};
use crate::steering::Steering;
use crate::store::revision_of;
use crate::world::{Outlook, World};

/// How often it is looked at what is wrong.
const INTERVAL: Duration = Duration::from_secs(2);

/// The kinds of conditions.
pub(crate) const KINDS: [&str; 5] = [
    SITE_DOWN,
    SERVICE_DOWN,
    ADDRESS_UNCONFIRMED,
    ZONE_FAILING,
    RECORD_REFUSED,
];
const SITE_DOWN: &str = "site-down";
const SERVICE_DOWN: &str = "service-down";
const ADDRESS_UNCONFIRMED: &str = "address-unconfirmed";
const ZONE_FAILING: &str = "zone-failing";
const RECORD_REFUSED: &str = "record-refused";

/// What a webhook was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    alarms: Alarms,
}

impl Document for Told {}

impl Steering {
    /// Tells webhooks what is wrong, and what is right again, as long as this member leads.
    pub(crate) async fn raise_alarms(self: Arc<Self>, term: CancellationToken) {
        let raising = async {
            loop {
                tokio::time::sleep(INTERVAL).await;
                if let Err(error) = self.raise_once().await {
                    tracing::debug!(%error, "webhooks were not told");
                }
            }
        };
        term.run_until_cancelled(raising).await;
    }

    async fn raise_once(&self) -> Result<(), SteeringError> {
        let webhooks = self.load_webhooks(Consistency::Stale).await?;
        if webhooks.is_empty() {
            return Ok(());
        }
        let mut open = conditions(&self.world(), now_ms());
        open.extend(self.live_statuses().iter().flat_map(zone_conditions));
        let told = webhooks.iter().map(|webhook| self.tell(webhook, &open));
        for result in join_all(told).await {
            result?;
        }
        Ok(())
    }

    async fn tell(&self, webhook: &Webhook, open: &[Condition]) -> Result<(), SteeringError> {
        let key = keys::alarms(webhook.name());
        let stored = self.store.load::<Told>(&key, Consistency::Stale).await?;
        let revision = revision_of(&stored);
        let before = stored.map(|stored| stored.document).unwrap_or_default();
        let mut after = before.clone();
        let wanted = open.iter().filter(|it| webhook.wants(&it.kind)).cloned();
        let wanted: Vec<Condition> = wanted.collect();
        after.alarms.keep_kinds(|kind| webhook.wants(kind));
        let due = after.alarms.step(&wanted, &self.options.alarms(), now_ms());
        for message in due {
            let delivery = match self.sender.send(webhook, &message).await {
                Ok(()) => Delivery::Delivered,
                Err(error) => {
                    tracing::warn!(%error, "webhook");
                    error.delivery()
                }
            };
            self.meter.notified(webhook.name(), delivery);
            after.alarms.record(&message, delivery, now_ms());
        }
        if after != before {
            let txn = Txn::new()
                .guard(Space::Steering, key.as_str(), revision)
                .put(Space::Steering, key, encode(&after));
            self.store.commit(txn).await?;
        }
        Ok(())
    }
}

/// What is wrong with sites and services.
fn conditions(world: &World, now_ms: u64) -> Vec<Condition> {
    let addresses = world.addresses();
    let outlook = Outlook {
        world,
        addresses: &addresses,
        now_ms,
    };
    let mut open = Vec::new();
    for site in world.sites.values().map(|stored| &stored.document) {
        if outlook.site(site) == Health::Down {
            open.push(Condition {
                kind: SITE_DOWN.to_owned(),
                subject: site.code.to_string(),
                summary: format!("the site {} is down", site.code),
                since_ms: outlook.since_ms(site).unwrap_or(now_ms),
            });
        }
    }
    for (id, (target, purposes)) in world.purposes() {
        // A site's own check is a condition of its own.
        let services = purposes
            .into_iter()
            .filter(|it| !it.starts_with("the site "));
        if let Some(verdict) = world.verdict(&id).filter(|verdict| !verdict.up) {
            open.extend(services.map(|service| Condition {
                kind: SERVICE_DOWN.to_owned(),
                summary: format!("{service} is down ({target})"),
                subject: service,
                since_ms: verdict.since_ms,
            }));
        }
    }
    for (code, stored) in &world.presences {
        for (family, known) in &stored.document.known {
            if let Some(trouble) = &known.trouble {
                open.push(Condition {
                    kind: ADDRESS_UNCONFIRMED.to_owned(),
                    subject: format!("{code} {family}"),
                    summary: format!(
                        "the {family} address of the site {code} cannot be confirmed and stays as it \
                         is: {}",
                        trouble.message
                    ),
                    since_ms: trouble.since_ms,
                });
            }
        }
    }
    open
}

/// What is wrong with a zone.
fn zone_conditions(status: &ZoneStatus) -> Vec<Condition> {
    let zone = &status.zone;
    let since_ms = status.last_good_ms.unwrap_or_else(now_ms);
    let mut open = Vec::new();
    if status.state == ZoneState::Failing {
        let error = status.error.as_deref().unwrap_or("it could not be read");
        open.push(Condition {
            kind: ZONE_FAILING.to_owned(),
            subject: zone.to_string(),
            summary: format!("the zone {zone} cannot be kept as it shall be: {error}"),
            since_ms,
        });
    }
    let refused = status.troubles.iter();
    let refused = refused.filter(|trouble| trouble.kind == TroubleKind::Refused);
    open.extend(refused.map(|trouble| Condition {
        kind: RECORD_REFUSED.to_owned(),
        subject: trouble.key.to_string(),
        summary: format!("{} is left undone: {}", trouble.key, trouble.reason),
        since_ms,
    }));
    open
}
