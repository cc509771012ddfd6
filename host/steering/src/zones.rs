//! A zone's wanted record sets, as operators give and see them.

mod records;
mod value;

use portolan_consensus::{Consistency, Revision, Space, Txn};
use serde::Serialize;
use serde_json::Value;

use self::records::{RecordSpec, RecordsSpec, check};
use crate::documents::{History, HistoryEntry, Serves, ZoneRecords, encode, keys};
use crate::error::SteeringError;
use crate::input;
use crate::names::{BindingName, ZoneName};
use crate::plan::Wanted;
use crate::steering::Steering;
use crate::store::{check_revision, revision_of, until_settled};

/// The largest document of wanted records. What is ours of a zone is remembered in one document
/// too, with more around each set, and the store takes values up to 1.5 MiB.
const MAX_ZONE_BYTES: usize = 512 * 1024;

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
