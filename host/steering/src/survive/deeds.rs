//! What was done without a quorum becomes the group's history, once, and what was written is the group's own.

use std::collections::BTreeSet;
use std::time::Duration;

use portolan_consensus::documents::Document;
use portolan_consensus::{Consistency, Space, Txn};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::plans::ZonePlan;
use crate::clock::now_ms;
use crate::documents::{History, HistoryEntry, OwnedSets, encode, keys};
use crate::error::SteeringError;
use crate::events::EventKind;
use crate::names::ZoneName;
use crate::provider::{RecordData, RecordValue};
use crate::steering::Steering;
use crate::store::revision_of;
use crate::survivor::{Deed, LineKey, SiteName, What};

/// How long to wait before the store is asked again after it refused.
const RETRY: Duration = Duration::from_secs(1);
/// More are not kept: by then nobody hands the oldest over again.
const KEPT: usize = 1_000;

/// What sites did in a zone without the group, in the one order that has causes before effects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Merged {
    /// The highest sequence that was ever taken in.
    pub(crate) floor: u64,
    deeds: BTreeSet<Deed>,
}

impl Document for Merged {}

impl Merged {
    /// Takes deeds in; answers those that are new, in their order.
    fn take(&mut self, deeds: &[Deed]) -> Vec<Deed> {
        let given: BTreeSet<&Deed> = deeds.iter().collect();
        let new = given.into_iter().filter(|deed| !self.deeds.contains(deed));
        let new: Vec<Deed> = new.cloned().collect();
        self.deeds.extend(new.iter().cloned());
        while self.deeds.len() > KEPT {
            self.deeds.pop_first();
        }
        let last = new.iter().map(|deed| deed.seq).max();
        self.floor = self.floor.max(last.unwrap_or(0));
        new
    }
}

impl Steering {
    /// Merges deeds into the group's history, as often as it takes.
    pub(super) async fn merge_deeds(&self, zone: &ZoneName, deeds: &[Deed], plan: &ZonePlan) {
        while let Err(error) = self.try_to_merge(zone, deeds, plan).await {
            tracing::debug!(%zone, %error, "deeds not merged yet");
            sleep(RETRY).await;
        }
    }

    async fn try_to_merge(
        &self,
        zone: &ZoneName,
        deeds: &[Deed],
        plan: &ZonePlan,
    ) -> Result<(), SteeringError> {
        let key = keys::survivor(zone);
        let consistency = Consistency::Linearizable;
        let stored = self.store.load::<Merged>(&key, consistency).await?;
        let revision = revision_of(&stored);
        let mut merged = stored.map(|it| it.document).unwrap_or_default();
        let new = merged.take(deeds);
        if new.is_empty() {
            return Ok(());
        }
        let history_key = keys::history(zone);
        let history = self
            .store
            .load::<History>(&history_key, consistency)
            .await?;
        let history_revision = revision_of(&history);
        let mut history = history.map(|it| it.document).unwrap_or_default();
        let owned_key = keys::owned(zone);
        let owned = self
            .store
            .load::<OwnedSets>(&owned_key, consistency)
            .await?;
        let owned_revision = revision_of(&owned);
        let mut owned = owned.map(|it| it.document);
        for entry in new.iter().filter_map(|deed| self.entry(deed, plan)) {
            if let Some(owned) = &mut owned {
                owned.follow(&entry);
            }
            history.push(entry);
        }
        let mut txn = Txn::new()
            .guard(Space::Steering, key.as_str(), revision)
            .put(Space::Steering, key, encode(&merged))
            .guard(Space::Steering, history_key.as_str(), history_revision)
            .put(Space::Steering, history_key, encode(&history));
        if let Some(owned) = owned {
            txn = txn
                .guard(Space::Steering, owned_key.as_str(), owned_revision)
                .put(Space::Steering, owned_key, encode(&owned));
        }
        let events: Vec<(EventKind, String)> = new
            .iter()
            .filter_map(|deed| Some((EventKind::Line, told(deed, plan)?)))
            .collect();
        self.commit_telling(txn, &events).await?;
        Ok(())
    }

    /// A change of a record, as the zone's history has it.
    fn entry(&self, deed: &Deed, plan: &ZonePlan) -> Option<HistoryEntry> {
        let What::Pointed { from } = &deed.what else {
            return None;
        };
        let data = |site: &SiteName| addresses(plan, &deed.line, site);
        Some(HistoryEntry {
            at_ms: deed.at.map_or_else(now_ms, |at| at.saturating_mul(1_000)),
            by: self.member.id(),
            action: "update".to_owned(),
            key: plan.records.get(&deed.line)?.clone(),
            before: data(from),
            after: data(&deed.site),
            reason: format!(
                "survivor mode: the site {} took it from {from} while the group had no quorum",
                deed.site
            ),
        })
    }
}

fn addresses(plan: &ZonePlan, line: &LineKey, site: &SiteName) -> Option<RecordData> {
    let addresses = plan.addresses.get(&(site.clone(), line.family))?;
    Some(RecordData {
        ttl: plan.ttls.get(line)?.seconds(),
        values: addresses.iter().cloned().map(RecordValue::plain).collect(),
    })
}

/// What people want to know of it: not that a site had what is its own.
fn told(deed: &Deed, plan: &ZonePlan) -> Option<String> {
    let Deed {
        line, site, what, ..
    } = deed;
    match what {
        What::Pointed { from } => Some(format!(
            "{line} went from {from} to {site} while the group had no quorum (survivor mode)"
        )),
        What::Released if plan.is_home(line, site) => None,
        What::Released => Some(format!("{line} was given back by {site} (survivor mode)")),
        What::Lapsed => Some(format!(
            "{line}: {site} could not renew its claim and let go (survivor mode)"
        )),
        What::Claimed | What::Withdrew | What::Held => None,
    }
}
