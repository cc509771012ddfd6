//! The port: what the daemon sees of a DNS service, whoever implements it.
//!
//! It mirrors the plugins' contract (`wit/dns-0.1.0/provider.wit`, whose prose holds here too) in
//! this crate's own checked types. Plugins implement it through [`crate::plugin`]; the in-memory twin
//! implements it for tests; one suite runs on both.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portolan_sandbox::HostGrant;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::names::{BindingName, DomainName, LineCode, RecordType, SetId, ZoneName};

/// What identifies a record set within a zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    /// The absolute name.
    pub name: DomainName,
    /// The type.
    #[serde(rename = "type")]
    pub rtype: RecordType,
    /// The line that the set answers.
    pub line: LineCode,
    /// Tells sets of one name, type and line apart.
    pub set_id: SetId,
}

impl std::fmt::Display for RecordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.rtype)?;
        if !self.line.is_default() {
            write!(f, " line {}", self.line)?;
        }
        if !self.set_id.is_none() {
            write!(f, " set {}", self.set_id)?;
        }
        Ok(())
    }
}

/// One value of a record set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordValue {
    /// In presentation format.
    pub content: String,
    /// Its share among the set's values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Whether it is served.
    pub enabled: bool,
}

impl RecordValue {
    /// One that is served, without a weight.
    pub fn plain(content: String) -> Self {
        Self {
            content,
            weight: None,
            enabled: true,
        }
    }
}

/// What a record set says: the part that the daemon manages, compares and remembers.
#[derive(Debug, Clone, Eq, Serialize, Deserialize)]
pub struct RecordData {
    /// Seconds.
    pub ttl: u32,
    /// In any order, without duplicates.
    pub values: Vec<RecordValue>,
}

impl RecordData {
    /// The contents alone, whatever their weights.
    pub fn contents(&self) -> BTreeSet<&str> {
        self.values
            .iter()
            .map(|value| value.content.as_str())
            .collect()
    }

    /// Whether any value is served.
    pub fn serves(&self) -> bool {
        self.values.iter().any(|value| value.enabled)
    }
}

impl PartialEq for RecordData {
    /// The order of values carries no meaning.
    fn eq(&self, other: &Self) -> bool {
        let sorted = |data: &Self| {
            let mut values = data.values.clone();
            values.sort();
            values
        };
        self.ttl == other.ttl
            && self.values.len() == other.values.len()
            && sorted(self) == sorted(other)
    }
}

impl std::fmt::Display for RecordData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}s", self.ttl)?;
        for value in &self.values {
            write!(f, " {}", value.content)?;
            if let Some(weight) = value.weight {
                write!(f, " (weight {weight})")?;
            }
            if !value.enabled {
                f.write_str(" (disabled)")?;
            }
        }
        Ok(())
    }
}

/// All values of one key, with what the provider keeps beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// Which set.
    pub key: RecordKey,
    /// What it says.
    pub data: RecordData,
    /// A note that is not ours to manage: preserved.
    pub comment: Option<String>,
    /// The provider's own identifiers of what it read, passed back in [`Change::before`].
    pub handle: String,
    /// What else the provider keeps beside it: preserved.
    pub extras: String,
}

impl RecordSet {
    /// A set as the daemon wants it: without what only a provider knows.
    pub fn wanted(key: RecordKey, data: RecordData) -> Self {
        Self {
            key,
            data,
            comment: None,
            handle: String::new(),
            extras: String::new(),
        }
    }
}

/// One wanted change: create (no `before`), delete (no `after`), or update in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which set; `before` and `after` have the same key.
    pub key: RecordKey,
    /// The set as it was last read.
    pub before: Option<RecordSet>,
    /// The set as it shall be.
    pub after: Option<RecordSet>,
}

/// What became of a change that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has been made.
    Applied,
    /// The zone stood so already.
    Already,
    /// The zone no longer stands like `before`; nothing was written.
    Stale,
}

/// What a provider can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    /// Answers differ by line.
    pub lines: bool,
    /// Values carry weights.
    pub weights: bool,
    /// A value can be switched off without being deleted.
    pub disable: bool,
    /// Record sets carry a comment.
    pub comment: bool,
    /// One `apply` changes all of its changes or none.
    pub atomic_zone: bool,
    /// One change is made wholly or not at all.
    pub atomic_rrset: bool,
    /// Another line needs a set of the same name and type on the line `default` beside it.
    pub needs_default_line: bool,
}

/// A provider's description of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caps {
    /// What it can do.
    pub features: Features,
    /// The types that it can read and write.
    pub record_types: BTreeSet<RecordType>,
    /// The most values of one set.
    pub max_values: u32,
    /// How many changes it takes best in one call.
    pub changes_per_call: u32,
    /// How long after a change a read may still show the old state.
    pub settle: Duration,
    /// The hosts that it talks to where the settings name no other.
    pub hosts: Vec<String>,
}

/// A zone that the account can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: ZoneName,
    /// The smallest TTL that it accepts, in seconds.
    pub min_ttl: Option<u32>,
}

/// One page of zones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZonePage {
    /// The zones.
    pub zones: Vec<Zone>,
    /// The cursor of the next page; none after the last.
    pub next: Option<String>,
}

/// A line that records can stand on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// As in [`RecordKey::line`].
    pub code: LineCode,
    /// For people.
    pub label: String,
}

/// One page of record sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordPage {
    /// The sets whose keys are well formed.
    pub sets: Vec<RecordSet>,
    /// How many stood there under names, types or lines that this daemon would never write. They are
    /// somebody else's: counted and left alone.
    pub foreign: usize,
    /// The cursor of the next page; none after the last.
    pub next: Option<String>,
}

/// Why a call or a change failed; the texts are for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The provider does not accept the credential, or it lacks a permission.
    #[error("the provider refuses the credential: {0}")]
    Auth(String),
    /// A grant is missing; the text names it and says how to give it.
    #[error("{0}")]
    Denied(String),
    /// The zone or record does not exist.
    #[error("not found: {0}")]
    NotFound(String),
    /// It clashes with what stands in the zone.
    #[error("conflict: {0}")]
    Conflict(String),
    /// It will never be accepted.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The account's quota is used up.
    #[error("the quota is used up: {0}")]
    Quota(String),
    /// Too many requests.
    #[error("throttled: {message}")]
    Throttled {
        /// The provider's words.
        message: String,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// It may work later; certainly nothing was changed.
    #[error("failed for now: {0}")]
    Transient(String),
    /// The provider cannot do this.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// It may have been carried out.
    #[error("the outcome is unknown: {0}")]
    UnknownOutcome(String),
}

impl ProviderError {
    /// The word for it in metrics and in the API.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Auth(_) => "auth",
            Self::Denied(_) => "denied",
            Self::NotFound(_) => "not-found",
            Self::Conflict(_) => "conflict",
            Self::Invalid(_) => "invalid",
            Self::Quota(_) => "quota",
            Self::Throttled { .. } => "throttled",
            Self::Transient(_) => "transient",
            Self::Unsupported(_) => "unsupported",
            Self::UnknownOutcome(_) => "unknown-outcome",
        }
    }
}

/// Answers one per input, in order.
pub type PerItem<T> = Vec<Result<T, ProviderError>>;

/// A DNS service: one account, connected.
///
/// Every list of answers has one per input, in order; implementations see to that.
#[async_trait]
pub trait DnsProvider: Send + Sync {
    /// Whether calls go to a service outside of the group: they leave at a rate, and need no quorum.
    fn is_remote(&self) -> bool {
        true
    }

    /// What it can do.
    async fn describe(&self) -> Result<Caps, ProviderError>;

    /// Checks the account's settings, beyond their schema.
    async fn validate(&self) -> Result<(), ProviderError>;

    /// The account's zones, page by page.
    async fn zones(&self, cursor: Option<&str>) -> Result<ZonePage, ProviderError>;

    /// The lines that a zone's records can use.
    async fn lines(&self, zone: &ZoneName) -> Result<Vec<Line>, ProviderError>;

    /// A zone's record sets, or one name's, page by page.
    async fn read(
        &self,
        zone: &ZoneName,
        name: Option<&DomainName>,
        cursor: Option<&str>,
    ) -> Result<RecordPage, ProviderError>;

    /// How each wanted set will read back once it is written.
    async fn normalize(
        &self,
        zone: &ZoneName,
        wanted: &[RecordSet],
    ) -> Result<PerItem<RecordSet>, ProviderError>;

    /// Makes changes. The outer error concerns all alike and says that none was made, save
    /// [`ProviderError::UnknownOutcome`], which says nothing about any.
    async fn apply(
        &self,
        zone: &ZoneName,
        changes: &[Change],
    ) -> Result<PerItem<Outcome>, ProviderError>;
}

/// An account to connect: a binding with its secrets opened.
#[derive(Debug, Clone)]
pub struct Account {
    /// The binding's name.
    pub binding: BindingName,
    /// The plugin's name.
    pub plugin: String,
    /// A JSON object.
    pub settings: serde_json::Value,
    /// Values by the names that the plugin declares.
    pub credentials: BTreeMap<String, SecretString>,
    /// Where the operator lets the plugin send requests.
    pub hosts: Vec<HostGrant>,
    /// How many requests may leave within a second; none leaves it to what the plugin declares.
    pub calls_per_second: Option<NonZeroU32>,
}

/// Why an account cannot be connected: something in the binding does not fit what is installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct ConnectError {
    /// The path of the binding's field: `plugin`, `credentials.api-key`, `settings.url`.
    pub at: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Where connected providers come from: the installed plugins, or twins in tests.
pub trait Providers: Send + Sync {
    /// Checks the account against what the plugin declares (credentials, settings schema, hosts)
    /// and connects it.
    fn connect(&self, account: Account) -> Result<Arc<dyn DnsProvider>, ConnectError>;

    /// Ticks whenever a plugin came, went or changed.
    fn changes(&self) -> watch::Receiver<u64>;
}
