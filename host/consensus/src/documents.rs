//! Versioned JSON documents in one space of the store.
//!
//! Each document's text names the version of its shape and the daemon that wrote it, so that an older
//! daemon says which one is needed instead of misreading it.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::member::Member;
use crate::types::{Consistency, Record, Revision, Scan, Space, Txn};

/// How often a change is decided anew because somebody else's came first. Each lost race means that
/// another change was made, so a handful is already unlikely.
const RACES: usize = 8;

/// A document: its shape's version is the number that stands in the stored text. A change of shape
/// takes the next number and teaches its `Deserialize` to read the one before.
pub trait Document: Serialize + DeserializeOwned {
    /// The shape's version.
    const VERSION: u32 = 1;
}

/// Why a document cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It stands in the store and cannot be read.
    #[error("the document {key} in the store {message}")]
    Unreadable {
        /// Its key.
        key: String,
        /// What is wrong with it and what to do.
        message: String,
    },
    /// The store refused or did not answer.
    #[error(transparent)]
    Store(#[from] Error),
}

/// A document as it stands.
#[derive(Debug, Clone)]
pub struct Stored<D> {
    /// What it says.
    pub document: D,
    /// When it came to exist.
    pub created: Revision,
    /// When it was last written: what a guard compares.
    pub modified: Revision,
}

#[derive(Serialize)]
struct Envelope<'a, D> {
    version: u32,
    /// The daemon's version, for the error of an older one.
    written_by: &'a str,
    document: &'a D,
}

#[derive(Deserialize)]
struct Head {
    version: u32,
    written_by: String,
}

#[derive(Deserialize)]
struct Body<D> {
    document: D,
}

/// The text to store.
pub fn encode<D: Document>(document: &D) -> Bytes {
    let envelope = Envelope {
        version: D::VERSION,
        written_by: env!("CARGO_PKG_VERSION"),
        document,
    };
    // Documents are plain structs with string keys: serde_json cannot fail on them.
    serde_json::to_vec(&envelope).unwrap_or_default().into()
}

/// Reads a stored text; `key` is for the error.
///
/// # Errors
/// [`DocumentError::Unreadable`] when it is damaged or of a newer format than this daemon reads.
pub fn decode<D: Document>(key: &str, text: &[u8]) -> Result<D, DocumentError> {
    let fail = |message: String| DocumentError::Unreadable {
        key: key.to_owned(),
        message,
    };
    let damaged = |error: serde_json::Error| fail(format!("is damaged: {error}"));
    let head: Head = serde_json::from_slice(text).map_err(damaged)?;
    if head.version > D::VERSION {
        return Err(fail(format!(
            "has format {}, and this daemon ({}) reads formats up to {}: run portolan {} or newer \
             here",
            head.version,
            env!("CARGO_PKG_VERSION"),
            D::VERSION,
            head.written_by
        )));
    }
    let body: Body<D> = serde_json::from_slice(text).map_err(damaged)?;
    Ok(body.document)
}

/// The documents of one space.
#[derive(Clone)]
pub struct Documents {
    member: Member,
    space: Space,
}

impl Documents {
    /// The documents that `member` holds in `space`.
    pub fn new(member: Member, space: Space) -> Self {
        Self { member, space }
    }

    pub(crate) fn member(&self) -> &Member {
        &self.member
    }

    pub(crate) fn space(&self) -> Space {
        self.space
    }

    /// Reads one document.
    ///
    /// # Errors
    /// See [`DocumentError`].
    pub async fn load<D: Document>(
        &self,
        key: &str,
        consistency: Consistency,
    ) -> Result<Option<Stored<D>>, DocumentError> {
        let record = self.member.get(self.space, key, consistency).await?;
        record.map(|record| stored(key, &record)).transpose()
    }

    /// The keys below `prefix`, without it, and their documents: each readable or not by itself.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn list<D: Document>(
        &self,
        prefix: &str,
        consistency: Consistency,
    ) -> Result<Vec<(String, Result<Stored<D>, DocumentError>)>, DocumentError> {
        let page = self
            .member
            .scan(self.space, Scan::prefix(prefix), consistency)
            .await?;
        let rest = |key: &str| key.strip_prefix(prefix).unwrap_or(key).to_owned();
        let items = page.items.iter();
        Ok(items
            .map(|(key, record)| (rest(key), stored(key, record)))
            .collect())
    }

    /// The keys below `prefix`, without it, and the revision that this shows: where a watch goes on.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn names(
        &self,
        prefix: &str,
        consistency: Consistency,
    ) -> Result<(Vec<String>, Revision), DocumentError> {
        let page = self
            .member
            .scan(self.space, Scan::prefix(prefix), consistency)
            .await?;
        let rest = |key: &str| key.strip_prefix(prefix).unwrap_or(key).to_owned();
        let names = page.items.iter().map(|(key, _)| rest(key)).collect();
        Ok((names, page.revision))
    }

    /// Commits, and answers the revision.
    ///
    /// # Errors
    /// What the store says; [`Error::GuardFailed`] when somebody else's change came first.
    pub async fn commit(&self, txn: Txn) -> Result<Revision, DocumentError> {
        Ok(self.member.txn(txn).await?.revision)
    }
}

fn stored<D: Document>(key: &str, record: &Record) -> Result<Stored<D>, DocumentError> {
    Ok(Stored {
        document: decode(key, &record.value)?,
        created: record.created,
        modified: record.modified,
    })
}

/// An error that may say that somebody else's change came first.
pub trait LostRace {
    /// Whether it does.
    fn is_lost_race(&self) -> bool;
}

impl LostRace for DocumentError {
    fn is_lost_race(&self) -> bool {
        matches!(self, Self::Store(Error::GuardFailed { .. }))
    }
}

/// Decides and commits, again as long as somebody else's change comes in between.
///
/// # Errors
/// The attempt's own; a lost race only when it was lost again and again.
pub async fn until_settled<T, E, F, A>(mut attempt: F) -> Result<T, E>
where
    E: LostRace,
    // Not `AsyncFnMut`: its future cannot be shown to be `Send`, which the API's handlers must be.
    F: FnMut() -> A,
    A: Future<Output = Result<T, E>>,
{
    let mut races = 0;
    loop {
        match attempt().await {
            Err(error) if error.is_lost_race() && races < RACES => races += 1,
            settled => return settled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        text: String,
    }

    impl Document for Note {
        const VERSION: u32 = 2;
    }

    #[test]
    fn a_document_reads_back_and_a_newer_one_names_the_daemon_to_run() {
        let note = Note { text: "n".into() };
        assert_eq!(decode::<Note>("k", &encode(&note)), Ok(note));

        let newer = br#"{"version":3,"written_by":"9.9.9","document":{"other":1}}"#;
        let error = decode::<Note>("k", newer).unwrap_err().to_string();
        assert!(
            error.contains("document k") && error.contains("format 3"),
            "{error}"
        );
        assert!(error.contains("portolan 9.9.9 or newer"), "{error}");
        for damaged in [
            &b"{"[..],
            br#"{"version":1,"written_by":"0.1.0","document":{}}"#,
        ] {
            let error = decode::<Note>("k", damaged).unwrap_err().to_string();
            assert!(
                error.contains("document k") && error.contains("damaged"),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn a_lost_race_is_run_again_but_not_for_ever() {
        let lost = || {
            Err::<(), _>(DocumentError::Store(Error::GuardFailed {
                space: Space::System,
                key: "k".into(),
                expected: Revision(1),
                actual: Revision(2),
            }))
        };
        let mut attempts = 0;
        let settled = until_settled(|| {
            attempts += 1;
            let result = if attempts < 3 { lost() } else { Ok(()) };
            async { result }
        });
        settled.await.unwrap();
        assert_eq!(attempts, 3);

        let mut attempts = 0;
        let never = until_settled(|| {
            attempts += 1;
            async { lost() }
        });
        never.await.unwrap_err();
        assert_eq!(attempts, RACES + 1);
    }
}
