//! How it stands with each zone, for operators.

use serde::{Deserialize, Serialize};

use crate::names::{BindingName, ZoneName};
use crate::provider::RecordKey;

/// How many record sets in trouble a status names; all are counted.
const NAMED: usize = 100;

/// A zone's state in one word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZoneState {
    /// Not compared yet.
    #[default]
    Unknown,
    /// It stands as wanted, save what is refused.
    InSync,
    /// Changes are left to be made.
    Pending,
    /// It could not be read or changed.
    Failing,
}

/// Why a record set is not as wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TroubleKind {
    /// It needs an operator.
    Refused,
    /// It was tried and will be tried again.
    Failing,
    /// It has changed together with what was asked for, and nobody here asked for it.
    Beside,
}

/// A record set that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Which set.
    pub key: RecordKey,
    /// Whether it is tried again.
    pub kind: TroubleKind,
    /// Why.
    pub reason: String,
}

/// How it stands with a zone. The leader's is live; other members show what the leader last wrote
/// down, which it does when more than a time has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneStatus {
    /// The zone.
    pub zone: ZoneName,
    /// The binding that serves it.
    pub provider: Option<BindingName>,
    /// In one word.
    pub state: ZoneState,
    /// Why the zone as a whole is failing.
    pub error: Option<String>,
    /// Changes left to be made.
    pub pending: usize,
    /// Record sets that need an operator.
    pub refused: usize,
    /// Record sets that stand there and are neither wanted nor ours.
    pub unmanaged: usize,
    /// The record sets in trouble; at most the first hundred.
    pub troubles: Vec<Trouble>,
    /// How many record sets were put back since this daemon leads.
    pub drift_repaired: u64,
    /// When the zone was last compared. Milliseconds since 1970, like the other times.
    pub last_reconcile_ms: Option<u64>,
    /// When it last was in sync.
    pub last_good_ms: Option<u64>,
    /// When it is compared next.
    pub next_attempt_ms: Option<u64>,
}

impl ZoneStatus {
    /// Of a zone that was never compared.
    pub(crate) fn new(zone: ZoneName) -> Self {
        Self {
            zone,
            provider: None,
            state: ZoneState::Unknown,
            error: None,
            pending: 0,
            refused: 0,
            unmanaged: 0,
            troubles: Vec::new(),
            drift_repaired: 0,
            last_reconcile_ms: None,
            last_good_ms: None,
            next_attempt_ms: None,
        }
    }

    /// Names the record sets in trouble, as many as a status has room for.
    pub(crate) fn name_troubles(&mut self, troubles: impl Iterator<Item = Trouble>) {
        self.troubles = troubles.take(NAMED).collect();
    }

    /// The same without its times: what is worth writing down when it changes.
    pub(crate) fn timeless(&self) -> Self {
        Self {
            last_reconcile_ms: None,
            last_good_ms: None,
            next_attempt_ms: None,
            ..self.clone()
        }
    }
}
