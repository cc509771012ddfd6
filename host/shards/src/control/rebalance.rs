//! Clusters that are to balance themselves.

use std::time::Duration;

use portolan_sandbox::migration::{Budget, Trigger};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::error::ShardsError;
use crate::events::{EventKind, now_ms};
use crate::plans::{Automatic, Request};
use crate::service::{Place, Shards};

/// How often it is looked whether a cluster is due.
const LOOK: Duration = Duration::from_secs(1);

impl Shards {
    /// Balances a cluster whenever it is due, until `ended`.
    pub(super) async fn balance(&self, place: &Place, ended: CancellationToken) {
        while !ended.is_cancelled() {
            if let Err(error) = self.balance_once(place).await {
                let text = format!("the cluster could not be balanced: {error}");
                let events = [(EventKind::PlanFailed, text)];
                if let Err(error) = self.record(place, &events).await {
                    tracing::warn!(%error, cluster = %place.1, "events could not be stored");
                }
            }
            ended.run_until_cancelled(sleep(LOOK)).await;
        }
    }

    async fn balance_once(&self, place: &Place) -> Result<(), ShardsError> {
        let Some(stored) = self.here(place).await? else {
            return Ok(());
        };
        let Some(automatic) = stored.document.automatic else {
            return Ok(());
        };
        let now = now_ms();
        let (revision, mut plans) = self.stored_plans(place).await?;
        if !automatic.is_due(plans.automatic_at_ms, now) {
            return Ok(());
        }
        let (_, queue) = self.queue(&place.0, &place.1).await?;
        if queue.current(u64::MAX).is_some() {
            // What is under way or waits would be planned for twice.
            return Ok(());
        }
        plans.automatic_at_ms = now;
        self.put_plans(place, revision, &plans).await?;
        let Automatic {
            policy,
            settings,
            max_moves,
            max_slots,
            max_bytes,
            ..
        } = automatic;
        let request = Request {
            policy,
            settings,
            trigger: Trigger::Periodic,
            budget: Budget {
                max_moves,
                max_slots,
                max_bytes,
            },
        };
        self.rebalance(place.0.as_str(), place.1.as_str(), request, true)
            .await
            .map(drop)
    }
}
