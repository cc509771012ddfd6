//! A zone's wanted record sets, as operators give and see them.

mod records;
mod value;

use portolan_consensus::{Consistency, Revision, Space, Txn};
use serde::Serialize;
use serde_json::Value;

use self::records::{RecordSpec, RecordsSpec, check};
use crate::clock::now_ms;
use crate::documents::{AskedFor, History, HistoryEntry, Serves, ZoneRecords, encode, keys};
use crate::error::SteeringError;
use crate::input;
use crate::names::{BindingName, ServiceName, ZoneName};
use crate::plan::Wanted;
use crate::services::services_of;
use crate::status::ZoneState;
use crate::steering::{PlanView, Steering};
use crate::store::{check_revision, revision_of, until_settled};

/// The largest document of wanted records. What is ours of a zone is remembered in one document
/// too, with more around each set, and the store takes values up to 1.5 MiB.
const MAX_ZONE_BYTES: usize = 512 * 1024;

/// How many changes of all zones are shown together.
const MAX_CHANGES: usize = 1_000;

/// What an answer shows. It can be sent back as it is.
#[derive(Debug, Serialize)]
pub struct RecordsView {
    /// The zone.
    pub zone: ZoneName,
    /// The binding that serves it, if any.
    pub provider: Option<BindingName>,
    records: Vec<RecordSpec>,
    /// The document's revision, for `ETag` and `If-Match`; zero where nothing was ever wanted.
    #[serde(skip)]
    pub revision: Revision,
}

/// A zone in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZoneView {
    /// Its name.
    pub zone: ZoneName,
    /// The binding that serves it.
    pub provider: Option<BindingName>,
    /// How it stands.
    pub state: ZoneState,
    /// How many record sets operators want there.
    pub records: usize,
    /// The services that have records there.
    pub services: Vec<ServiceName>,
}

/// A change and its zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZoneChange {
    /// The zone.
    pub zone: ZoneName,
    /// The change.
    #[serde(flatten)]
    pub change: HistoryEntry,
}

impl Steering {
    /// A zone's wanted record sets.
    pub async fn records(&self, zone: &str) -> Result<RecordsView, SteeringError> {
        let zone = zone_name(zone)?;
        let records = self
            .store
            .load::<ZoneRecords>(&keys::zone(&zone), Consistency::Linearizable)
            .await?;
        let provider = self
            .serving(&zone, Consistency::Linearizable)
            .await?
            .map(|(name, _)| name);
        if records.is_none() && provider.is_none() {
            return Err(not_served(&zone));
        }
        let revision = revision_of(&records);
        let wanted = records
            .map(|stored| stored.document.records)
            .unwrap_or_default();
        Ok(view(zone, provider, wanted, revision))
    }

    /// Replaces a zone's wanted record sets. To want none at all takes `allow_empty`, for it deletes
    /// all that is ours. `revision` is as in [`Steering::put_binding`].
    pub async fn put_records(
        &self,
        zone: &str,
        body: Value,
        revision: Option<Revision>,
        allow_empty: bool,
    ) -> Result<RecordsView, SteeringError> {
        let zone = zone_name(zone)?;
        let spec: RecordsSpec = input::parse(body)?;
        if spec.zone.as_ref().is_some_and(|given| *given != zone) {
            return Err(SteeringError::invalid(
                "zone",
                format!("the path says {zone}"),
            ));
        }
        let records = check(&zone, spec.records)?;
        if records.is_empty() && !allow_empty {
            return Err(SteeringError::invalid(
                "records",
                "is empty, which would delete every record set of ours in the zone; repeat with \
                 ?allow_empty=true if that is meant",
            ));
        }
        let document = ZoneRecords { records };
        let encoded = encode(&document);
        if encoded.len() > MAX_ZONE_BYTES {
            return Err(SteeringError::invalid(
                "records",
                format!(
                    "take {} bytes, more than the {MAX_ZONE_BYTES} of one zone",
                    encoded.len()
                ),
            ));
        }
        until_settled(|| async {
            let key = keys::zone(&zone);
            let standing = self
                .store
                .load::<ZoneRecords>(&key, Consistency::Linearizable)
                .await?;
            check_revision(
                &format!("the zone {zone}"),
                revision,
                revision_of(&standing),
            )?;
            let (provider, serves) = self
                .serving(&zone, Consistency::Linearizable)
                .await?
                .ok_or_else(|| not_served(&zone))?;
            let txn = Txn::new()
                .guard(Space::Steering, key.as_str(), revision_of(&standing))
                .guard(Space::Steering, keys::serves(&zone), serves)
                .put(Space::Steering, key, encoded.clone());
            let txn = self.guard_services(txn, &zone, &document.records).await?;
            let revision = self.store.commit(txn).await?;
            tracing::info!(%zone, records = document.records.len(), "wanted records set");
            Ok(view(
                zone.clone(),
                Some(provider),
                document.records.clone(),
                revision,
            ))
        })
        .await
    }

    /// The zones in which something is wanted.
    pub async fn zones(&self) -> Result<Vec<ZoneView>, SteeringError> {
        let mut views = Vec::new();
        for status in self.status().await? {
            let zone = status.zone;
            let records = self
                .store
                .load::<ZoneRecords>(&keys::zone(&zone), Consistency::Stale)
                .await?;
            let services = self.zone_services(&zone, Consistency::Stale).await?;
            let provider = self.serving(&zone, Consistency::Stale).await?;
            views.push(ZoneView {
                provider: provider.map(|(name, _)| name),
                state: status.state,
                records: records.map_or(0, |stored| stored.document.records.len()),
                services: services_of(&services).cloned().collect(),
                zone,
            });
        }
        Ok(views)
    }

    /// Has the leader make zones what they shall be at once, whatever it was waiting for, and answers what
    /// it will do.
    pub async fn apply(&self, zone: Option<&str>) -> Result<Vec<PlanView>, SteeringError> {
        let plans = self.plan(zone).await?;
        let key = match zone {
            Some(zone) => keys::apply(&zone_name(zone)?),
            None => keys::APPLY.to_owned(),
        };
        let asked = AskedFor { at_ms: now_ms() };
        let txn = Txn::new().put(Space::Steering, key, encode(&asked));
        self.store.commit(txn).await?;
        Ok(plans)
    }

    /// The last changes that were made in all zones, newest first.
    pub async fn histories(&self) -> Result<Vec<ZoneChange>, SteeringError> {
        let stored = self
            .store
            .list::<History>(keys::HISTORIES, Consistency::Linearizable)
            .await?;
        let mut changes = Vec::new();
        for (zone, history) in stored {
            let zone = zone_name(&zone)?;
            let entries = history?.document.entries.into_iter();
            changes.extend(entries.map(|change| ZoneChange {
                zone: zone.clone(),
                change,
            }));
        }
        changes.sort_by_key(|it| std::cmp::Reverse(it.change.at_ms));
        changes.truncate(MAX_CHANGES);
        Ok(changes)
    }

    /// The last changes that were made in a zone, newest first.
    pub async fn history(&self, zone: &str) -> Result<Vec<HistoryEntry>, SteeringError> {
        let key = keys::history(&zone_name(zone)?);
        let history = self
            .store
            .load::<History>(&key, Consistency::Linearizable)
            .await?;
        let entries = history
            .map(|stored| stored.document.entries)
            .unwrap_or_default();
        Ok(entries.into_iter().rev().collect())
    }

    /// The binding that serves a zone, and the revision of that fact.
    pub(crate) async fn serving(
        &self,
        zone: &ZoneName,
        consistency: Consistency,
    ) -> Result<Option<(BindingName, Revision)>, SteeringError> {
        let serves = self
            .store
            .load::<Serves>(&keys::serves(zone), consistency)
            .await?;
        Ok(serves.map(|stored| (stored.document.binding, stored.modified)))
    }
}

pub(crate) fn zone_name(text: &str) -> Result<ZoneName, SteeringError> {
    ZoneName::parse(text).map_err(|message| SteeringError::invalid("zone", message))
}

pub(crate) fn not_served(zone: &ZoneName) -> SteeringError {
    SteeringError::NotFound(format!(
        "no provider serves the zone {zone}; name it in \"zones\" of PUT /api/v1/dns/providers/<name>"
    ))
}

fn view(
    zone: ZoneName,
    provider: Option<BindingName>,
    records: Vec<Wanted>,
    revision: Revision,
) -> RecordsView {
    let records = records.into_iter().map(RecordSpec::from).collect();
    RecordsView {
        zone,
        provider,
        records,
        revision,
    }
}
