//! The provider `local`: the embedded DNS server's zones, in the store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portolan_consensus::documents::{
    DocumentError, Documents, LostRace, Stored, decode, encode, until_settled,
};
use portolan_consensus::{Consistency, Error, Key, Member, Record, Revision, Scan, Space, Txn};
use portolan_steering::{
    Caps, Change, DnsProvider, DomainName, Features, Line, LineCode, Outcome, PerItem,
    ProviderError, RecordPage, RecordSet, RecordType, Zone, ZoneName, ZonePage,
};

use crate::apply::{self, MAX_VALUES, Sets, Standing};
use crate::documents::{
    self, Authority, SetDocument, ZONES, ZoneDocument, set_key, sets_at, sets_of, zone_key,
};
use crate::serial::Serial;
use crate::settings::Settings;
use crate::wire;

/// Record sets on one page.
const PAGE: usize = 1_000;
/// Changes of one transaction, each of which writes at most a set of 64 KiB on the wire, or some 400
/// KiB in JSON at the worst; a transaction holds 8 MiB.
const CHANGES: usize = 16;
/// Keys that one transaction deletes; a key has at most 4 KiB.
const DELETES: usize = 1_000;
/// Lines that are in use with other providers; a zone can use any other code as well.
const LINES: [(&str, &str); 6] = [
    ("default", "Everyone else"),
    ("CT", "China Telecom"),
    ("CU", "China Unicom"),
    ("CMCC", "China Mobile"),
    ("CNEdu", "CERNET"),
    ("OverSea", "Outside of mainland China"),
];

/// A binding of the provider `local`.
pub(crate) struct Local {
    member: Member,
    documents: Documents,
    settings: Settings,
}

/// Why a step of the provider failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Store(#[from] DocumentError),
    #[error("{0}")]
    Settings(String),
}

impl LostRace for Failed {
    fn is_lost_race(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_lost_race())
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Store(error.into())
    }
}

impl Local {
    pub(crate) fn new(member: Member, settings: Settings) -> Self {
        Self {
            documents: Documents::new(member.clone(), Space::Steering),
            member,
            settings,
        }
    }

    /// Has the zone be there as the settings say, and writes nothing where it is. A zone comes to
    /// exist when a binding that serves it looks at it first.
    async fn ensure(&self, zone: &ZoneName) -> Result<Stored<ZoneDocument>, Failed> {
        let authority = self.settings.authority(zone).map_err(Failed::Settings)?;
        until_settled(|| self.ensure_once(zone, &authority)).await
    }

    async fn ensure_once(
        &self,
        zone: &ZoneName,
        authority: &Authority,
    ) -> Result<Stored<ZoneDocument>, Failed> {
        let key = zone_key(zone);
        let standing = self
            .documents
            .load::<ZoneDocument>(&key, Consistency::Linearizable)
            .await?;
        let (serial, created, modified) = match standing {
            Some(stored) if stored.document.authority == *authority => return Ok(stored),
            Some(stored) => (
                stored.document.serial.next(),
                Some(stored.created),
                stored.modified,
            ),
            None => (Serial::starting_now(), None, Revision::ZERO),
        };
        let document = ZoneDocument {
            serial,
            authority: authority.clone(),
        };
        let txn = Txn::new()
            .guard(Space::Steering, key.as_str(), modified)
            .put(Space::Steering, key, encode(&document));
        let modified = self.documents.commit(txn).await?;
        tracing::info!(%zone, serial = serial.0, "local dns zone set");
        Ok(Stored {
            document,
            created: created.unwrap_or(modified),
            modified,
        })
    }

    /// Decides some changes on what stands there and commits what they come to, in one transaction
    /// with the zone's next serial. Nothing is written where nothing changes.
    async fn apply_once(
        &self,
        zone: &ZoneName,
        changes: &[Change],
    ) -> Result<PerItem<Outcome>, Failed> {
        let stored = self.ensure(zone).await?;
        // Not older than the zone, which was read before on this member; newer only if the zone is
        // newer too, and then its guard fails.
        let before = self.standing(zone, changes).await?;
        let mut after = before.clone();
        let outcomes: PerItem<Outcome> = changes
            .iter()
            .map(|change| apply::decide(zone, &mut after, change))
            .collect();
        let txn = write(zone, &before, &after);
        if txn.ops.is_empty() {
            return Ok(outcomes);
        }
        let document = ZoneDocument {
            serial: stored.document.serial.next(),
            ..stored.document
        };
        let key = zone_key(zone);
        let txn = txn
            .guard(Space::Steering, key.as_str(), stored.modified)
            .put(Space::Steering, key, encode(&document));
        self.documents.commit(txn).await?;
        Ok(outcomes)
    }

    /// All sets at the names of some changes.
    async fn standing(&self, zone: &ZoneName, changes: &[Change]) -> Result<Sets, Failed> {
        let names: BTreeSet<&DomainName> = changes.iter().map(|change| &change.key.name).collect();
        let mut sets = Sets::new();
        for name in names {
            let scan = Scan::prefix(sets_at(zone, name));
            let page = self
                .member
                .scan(Space::Steering, scan, Consistency::Stale)
                .await?;
            for (key, record) in &page.items {
                if let Some(set) = read_set(key, record)? {
                    let standing = Standing {
                        data: set.data,
                        modified: Some(record.modified),
                    };
                    sets.insert(set.key, standing);
                }
            }
        }
        Ok(sets)
    }
}

/// The puts and deletes that lead from one state to the other.
fn write(zone: &ZoneName, before: &Sets, after: &Sets) -> Txn {
    let mut txn = Txn::new();
    for (key, standing) in after {
        // What is not written here has a revision.
        if standing.modified.is_none() {
            let document = SetDocument::new(&standing.data);
            txn = txn.put(Space::Steering, set_key(zone, key), encode(&document));
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        txn = txn.delete(Space::Steering, set_key(zone, key));
    }
    txn
}

/// None where the key names no set: nobody writes such a key.
fn read_set(key: &Key, record: &Record) -> Result<Option<RecordSet>, DocumentError> {
    let Some((_, set)) = documents::set_of(key) else {
        return Ok(None);
    };
    let document: SetDocument = decode(key, &record.value)?;
    let mut set = RecordSet::wanted(set, document.data());
    set.handle = apply::handle(record.modified);
    Ok(Some(set))
}

fn store_failed(error: Error) -> ProviderError {
    let text = error.to_string();
    match error {
        Error::UnknownOutcome { .. } => ProviderError::UnknownOutcome(text),
        Error::TooLarge { .. } => ProviderError::Invalid(text),
        Error::StoreFull { .. } => ProviderError::Quota(text),
        _ => ProviderError::Transient(text),
    }
}

impl From<Failed> for ProviderError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Store(DocumentError::Store(error)) => store_failed(error),
            Failed::Store(error) => Self::Transient(error.to_string()),
            Failed::Settings(reason) => Self::Invalid(format!("settings: {reason}")),
        }
    }
}

#[async_trait]
impl DnsProvider for Local {
    fn is_remote(&self) -> bool {
        false
    }

    async fn describe(&self) -> Result<Caps, ProviderError> {
        let types = wire::TYPES.iter();
        Ok(Caps {
            features: Features {
                lines: true,
                weights: true,
                disable: true,
                comment: false,
                atomic_zone: false,
                atomic_rrset: true,
                needs_default_line: false,
            },
            record_types: types
                .filter_map(|(name, _)| RecordType::parse(name).ok())
                .collect(),
            max_values: MAX_VALUES,
            changes_per_call: 50,
            settle: Duration::ZERO,
            hosts: Vec::new(),
        })
    }

    async fn validate(&self) -> Result<(), ProviderError> {
        // They were checked when the account was connected, and there is nobody else to ask.
        Ok(())
    }

    async fn zones(&self, cursor: Option<&str>) -> Result<ZonePage, ProviderError> {
        let scan = Scan {
            prefix: ZONES.to_owned(),
            after: cursor.map(Arc::from),
            limit: Some(PAGE),
        };
        let page = self
            .member
            .scan(Space::Steering, scan, Consistency::Linearizable)
            .await
            .map_err(store_failed)?;
        let keys = page.items.iter().map(|(key, _)| key);
        let zones = keys.clone().filter_map(|key| documents::zone_of(key));
        Ok(ZonePage {
            zones: zones
                .map(|name| Zone {
                    name,
                    min_ttl: None,
                })
                .collect(),
            next: keys.last().filter(|_| page.more).map(ToString::to_string),
        })
    }

    async fn lines(&self, _zone: &ZoneName) -> Result<Vec<Line>, ProviderError> {
        let line = |(code, label): &(&str, &str)| {
            Some(Line {
                code: LineCode::parse(code).ok()?,
                label: (*label).to_owned(),
            })
        };
        Ok(LINES.iter().filter_map(line).collect())
    }

    async fn read(
        &self,
        zone: &ZoneName,
        name: Option<&DomainName>,
        cursor: Option<&str>,
    ) -> Result<RecordPage, ProviderError> {
        self.ensure(zone).await?;
        let scan = Scan {
            prefix: name.map_or_else(|| sets_of(zone), |name| sets_at(zone, name)),
            after: cursor.map(Arc::from),
            limit: Some(PAGE),
        };
        // What `ensure` has read is linearizable, and this is not older.
        let page = self
            .member
            .scan(Space::Steering, scan, Consistency::Stale)
            .await
            .map_err(store_failed)?;
        let mut sets = Vec::with_capacity(page.items.len());
        for (key, record) in &page.items {
            sets.extend(read_set(key, record).map_err(Failed::Store)?);
        }
        let last = page.items.last().map(|(key, _)| key.to_string());
        Ok(RecordPage {
            foreign: page.items.len() - sets.len(),
            sets,
            next: last.filter(|_| page.more),
        })
    }

    async fn normalize(
        &self,
        zone: &ZoneName,
        wanted: &[RecordSet],
    ) -> Result<PerItem<RecordSet>, ProviderError> {
        Ok(wanted.iter().map(|set| apply::normal(zone, set)).collect())
    }

    async fn apply(
        &self,
        zone: &ZoneName,
        changes: &[Change],
    ) -> Result<PerItem<Outcome>, ProviderError> {
        let mut outcomes = Vec::with_capacity(changes.len());
        for some in changes.chunks(CHANGES) {
            match until_settled(|| self.apply_once(zone, some)).await {
                Ok(some) => outcomes.extend(some),
                Err(failed) => {
                    // The ones before are made; these are not, or nobody knows.
                    let error = ProviderError::from(failed);
                    outcomes.extend(some.iter().map(|_| Err(error.clone())));
                }
            }
        }
        Ok(outcomes)
    }
}

/// Takes a zone and its record sets away for good, and answers how many sets those were; the server
/// refuses queries for it from then on. A zone stays, served, when its binding goes: this is how it
/// leaves. Done again after it was interrupted, it takes away what is left.
///
/// # Errors
/// What the store says.
pub async fn delete_zone(member: &Member, zone: &ZoneName) -> Result<usize, Error> {
    let key = zone_key(zone);
    let mut deleted = 0;
    loop {
        let standing = member
            .get(Space::Steering, &key, Consistency::Linearizable)
            .await?;
        let scan = Scan {
            limit: Some(DELETES),
            ..Scan::prefix(sets_of(zone))
        };
        let page = member
            .scan(Space::Steering, scan, Consistency::Stale)
            .await?;
        if standing.is_none() && page.items.is_empty() {
            return Ok(deleted);
        }
        // The zone itself goes first: it is never served in part.
        let modified = standing.map_or(Revision::ZERO, |record| record.modified);
        let mut txn = Txn::new()
            .guard(Space::Steering, key.as_str(), modified)
            .delete(Space::Steering, key.as_str());
        for (key, _) in &page.items {
            txn = txn.delete(Space::Steering, Arc::clone(key));
        }
        member.txn(txn).await?;
        deleted += page.items.len();
    }
}
