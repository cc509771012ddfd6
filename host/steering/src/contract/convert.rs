//! What a push makes of what stands here. Pure.
//!
//! Three rules:
//! * **What a push does not say stays.** A null list says nothing; a field that already shows what the push
//!   says is left as it is, with all that only we know of it (priorities, other lines, checks).
//! * **A push removes only what a push made**, and only what a list that is there has not.
//! * **A new node of which neither member nor address is known keeps its lines to itself.** The contract
//!   names no addresses, and a line whose sites have none would go to a site that has one: a push from a
//!   deployment whose nodes still look after themselves would take their lines from them while they are
//!   well. They are kept beside the site, shown, and not steered, until it has a member or an address.

mod nodes;
mod platforms;
mod services;

use std::collections::{BTreeMap, BTreeSet};

use super::kept::{Kept, key};
use super::standing::Standing;
use super::wire::{ClusterInfo, Hidden, ManagedService};
use crate::error::SteeringError;
use crate::names::{BindingName, ServiceName, SiteCode, ZoneName};
use crate::services::Service;
use crate::sites::Site;

/// What shall stand.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) bindings: BTreeMap<BindingName, BindingChange>,
    /// All that the push names.
    pub(super) sites: Vec<Site>,
    /// All that the push names and that run somewhere.
    pub(super) services: Vec<Service>,
    pub(super) gone_services: BTreeSet<ServiceName>,
    pub(super) gone_sites: BTreeSet<SiteCode>,
    /// Without the secrets that are given anew.
    pub(super) kept: Kept,
    /// The nodes' secrets that are given, by the nodes' keys.
    pub(super) secrets: BTreeMap<String, Hidden>,
}

/// What changes of a binding, or makes it.
#[derive(Default)]
pub(super) struct BindingChange {
    /// By name.
    pub(super) credentials: BTreeMap<&'static str, Hidden>,
    /// Those that it is to serve besides.
    pub(super) zones: BTreeSet<ZoneName>,
}

/// Reads a push against what stands. The error names the field in the request.
pub(super) fn convert(info: &ClusterInfo, standing: &Standing) -> Result<Taken, SteeringError> {
    let mut taken = Taken {
        kept: standing.kept(),
        bindings: platforms::convert(info, standing)?,
        ..Taken::default()
    };
    if let Some(nodes) = &info.other_cocoa_syncer {
        nodes::convert(nodes, standing, &mut taken)?;
    }
    services::convert(info, standing, &mut taken)?;
    Ok(taken)
}

impl Taken {
    fn names(&self, code: &SiteCode) -> bool {
        self.sites.iter().any(|site| key(&site.code) == key(code))
    }

    fn idle(&mut self, service: ManagedService) {
        if !self.kept.idle.contains(&service) {
            self.kept.idle.push(service);
        }
    }
}

/// The path of a field in the request.
fn at(rest: impl std::fmt::Display) -> String {
    format!("cocoaBasic.{rest}")
}
