//! Typed access to steering's documents.

use std::sync::Arc;

use portolan_consensus::{Consistency, Error, Member, Record, Revision, Scan, Space, Txn};

use crate::documents::{Document, decode};
use crate::error::SteeringError;

/// How often a change without a named revision is decided anew because somebody else's came first.
/// Each lost race means that another change was made, so a handful is already unlikely.
const RACES: usize = 8;

/// A document as it stands.
#[derive(Debug, Clone)]
pub(crate) struct Stored<D> {
    /// What it says.
    pub(crate) document: D,
    /// When it came to exist.
    pub(crate) created: Revision,
    /// When it was last written: what a guard compares.
    pub(crate) modified: Revision,
}

/// A key without its prefix, and its document.
pub(crate) type Listed<D> = (String, Result<Stored<D>, SteeringError>);

/// The revision to guard on, whether the document exists or not.
pub(crate) fn revision_of<D>(stored: &Option<Stored<D>>) -> Revision {
    stored
        .as_ref()
        .map_or(Revision::ZERO, |stored| stored.modified)
}

/// The steering space of the store.
#[derive(Clone)]
pub(crate) struct Store {
    member: Member,
}

impl Store {
    pub(crate) fn new(member: Member) -> Self {
        Self { member }
    }

    pub(crate) async fn load<D: Document>(
        &self,
        key: &str,
        consistency: Consistency,
    ) -> Result<Option<Stored<D>>, SteeringError> {
        let record = self.member.get(Space::Steering, key, consistency).await?;
        record.map(|record| stored(key, &record)).transpose()
    }

    /// The keys below `prefix`, without it, and their documents: each readable or not by itself.
    pub(crate) async fn list<D: Document>(
        &self,
        prefix: &str,
        consistency: Consistency,
    ) -> Result<Vec<Listed<D>>, SteeringError> {
        let page = self
            .member
            .scan(Space::Steering, Scan::prefix(prefix), consistency)
            .await?;
        let rest = |key: &Arc<str>| key.strip_prefix(prefix).unwrap_or(key).to_owned();
        let items = page.items.iter();
        Ok(items
            .map(|(key, record)| (rest(key), stored(key, record)))
            .collect())
    }

    /// The keys below `prefix`, without it, and the revision that this shows: where a watch goes on.
    pub(crate) async fn names(
        &self,
        prefix: &str,
    ) -> Result<(Vec<String>, Revision), SteeringError> {
        let scan = Scan::prefix(prefix);
        let page = self
            .member
            .scan(Space::Steering, scan, Consistency::Linearizable)
            .await?;
        let rest = |key: &Arc<str>| key.strip_prefix(prefix).unwrap_or(key).to_owned();
        Ok((
            page.items.iter().map(|(key, _)| rest(key)).collect(),
            page.revision,
        ))
    }

    /// Commits, and answers the revision.
    pub(crate) async fn commit(&self, txn: Txn) -> Result<Revision, SteeringError> {
        Ok(self.member.txn(txn).await?.revision)
    }
}

fn stored<D: Document>(key: &str, record: &Record) -> Result<Stored<D>, SteeringError> {
    let document = decode(key, &record.value)?;
    Ok(Stored {
        document,
        created: record.created,
        modified: record.modified,
    })
}

/// Decides and commits, again as long as somebody else's change comes in between.
pub(crate) async fn until_settled<T, F, A>(mut attempt: F) -> Result<T, SteeringError>
where
    // Not `AsyncFnMut`: its future cannot be shown to be `Send`, which the API's handlers must be.
    F: FnMut() -> A,
    A: Future<Output = Result<T, SteeringError>>,
{
    let mut races = 0;
    loop {
        match attempt().await {
            Err(SteeringError::Store(Error::GuardFailed { .. })) if races < RACES => races += 1,
            settled => return settled,
        }
    }
}

/// Whether a document is at the revision that the request named ([`Revision::ZERO`]: it does not
/// exist), if it named one.
pub(crate) fn check_revision(
    what: &str,
    named: Option<Revision>,
    actual: Revision,
) -> Result<(), SteeringError> {
    match named {
        Some(named) if named != actual => Err(SteeringError::Precondition(format!(
            "{what} is at revision {actual}, not {named}: somebody changed it meanwhile; read it again"
        ))),
        _ => Ok(()),
    }
}
