//! What the contract has and our documents lack: kept beside them as it was given.

use std::collections::{BTreeMap, BTreeSet};

use portolan_consensus::documents::Document;
use serde::{Deserialize, Serialize};

use super::terms::{Isps, NetworkType};
use super::wire::{ManagedService, Timestamp};
use crate::names::{ServiceName, SiteCode};

/// The one document of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// By the site's code in lower case.
    pub(super) nodes: BTreeMap<String, KeptNode>,
    /// The services that a push made, and that a push may remove again.
    pub(super) services: BTreeSet<ServiceName>,
    /// Services that run at no node: a service of ours runs somewhere.
    pub(super) idle: Vec<ManagedService>,
    /// When a push changed something, the first and the last time. Milliseconds since 1970.
    pub(super) created_ms: u64,
    pub(super) updated_ms: u64,
}

/// What is kept of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptNode {
    pub(super) address: String,
    pub(super) work_mode: String,
    pub(super) network_type: NetworkType,
    /// The lines of a node that looks after itself; see [`super::convert`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) isps: Option<Isps>,
    /// When it was last heard of, by whoever looks at it; shown where nobody here does.
    pub(super) watch_dog: Timestamp,
    /// The node's own secret, sealed with the cluster key, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
    /// Whether a push made the site, and a push may remove it again.
    pub(super) made: bool,
}

impl Document for Kept {}

impl Kept {
    pub(super) fn node(&self, code: &SiteCode) -> Option<&KeptNode> {
        self.nodes.get(&key(code))
    }
}

/// Sites do not differ in case alone.
pub(super) fn key(code: &SiteCode) -> String {
    code.as_str().to_ascii_lowercase()
}
