//! What stands here of what a push is about.

use std::collections::BTreeMap;

use portolan_consensus::{Consistency, MemberId};

use super::kept::{Kept, key};
use crate::documents::{Binding, keys};
use crate::error::SteeringError;
use crate::names::{BindingName, ServiceName, SiteCode, ZoneName};
use crate::services::Service;
use crate::sites::Site;
use crate::steering::Steering;
use crate::store::Stored;

/// The plugin that the platform [`ALI`] stands for.
pub(super) const ALI_PLUGIN: &str = "alidns";
/// The one platform that the contract knows.
pub(super) const ALI: &str = "Ali";

/// Documents as they stand in the store.
#[derive(Default)]
pub(super) struct Standing {
    /// By their codes in lower case.
    pub(super) sites: BTreeMap<String, Stored<Site>>,
    pub(super) services: BTreeMap<ServiceName, Stored<Service>>,
    pub(super) bindings: BTreeMap<BindingName, Stored<Binding>>,
    pub(super) kept: Option<Stored<Kept>>,
    /// Where members are reached, `host:port`.
    pub(super) members: BTreeMap<MemberId, String>,
}

impl Standing {
    pub(super) fn site(&self, code: &SiteCode) -> Option<&Site> {
        Some(&self.sites.get(&key(code))?.document)
    }

    pub(super) fn all_sites(&self) -> impl Iterator<Item = &Site> {
        self.sites.values().map(|stored| &stored.document)
    }

    pub(super) fn service(&self, name: &ServiceName) -> Option<&Service> {
        Some(&self.services.get(name)?.document)
    }

    pub(super) fn kept(&self) -> Kept {
        let kept = self.kept.as_ref();
        kept.map(|stored| stored.document.clone())
            .unwrap_or_default()
    }

    /// The binding that serves a zone.
    pub(super) fn serving(&self, zone: &ZoneName) -> Option<&BindingName> {
        let mut bindings = self.bindings.iter();
        let serving = bindings.find(|(_, stored)| stored.document.zones.contains(zone));
        serving.map(|(name, _)| name)
    }

    /// What the contract calls a binding.
    pub(super) fn platform(&self, name: &BindingName) -> String {
        let plugin = self
            .bindings
            .get(name)
            .map(|it| it.document.plugin.as_str());
        if plugin == Some(ALI_PLUGIN) || name.as_str().eq_ignore_ascii_case(ALI) {
            return ALI.to_owned();
        }
        name.to_string()
    }

    /// The binding that the contract calls so: the one of that name, or else the only one.
    pub(super) fn binding_of(&self, platform: &str) -> Option<&BindingName> {
        let mut names = self.bindings.keys();
        let named = names.find(|name| name.as_str().eq_ignore_ascii_case(platform));
        let called: Vec<&BindingName> = self
            .bindings
            .keys()
            .filter(|name| self.platform(name) == platform)
            .collect();
        match (named, &called[..]) {
            (Some(named), _) => Some(named),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

impl Steering {
    pub(super) async fn standing_contract(
        &self,
        consistency: Consistency,
    ) -> Result<Standing, SteeringError> {
        let sites = self.load_sites(consistency).await?;
        // One read that is not stale has the others be at least as new.
        let consistency = Consistency::Stale;
        let services = self.load_services(consistency).await?;
        let bindings = self.store.list(keys::PROVIDERS, consistency).await?;
        let mut standing = Standing {
            sites: sites
                .into_iter()
                .map(|it| (key(&it.document.code), it))
                .collect(),
            services: services
                .into_iter()
                .map(|it| (it.document.name.clone(), it))
                .collect(),
            kept: self.store.load(keys::CONTRACT, consistency).await?,
            members: self.member.addresses(),
            bindings: BTreeMap::new(),
        };
        for (name, stored) in bindings {
            let name = BindingName::parse(&name)
                .map_err(|message| SteeringError::invalid("name", message))?;
            standing.bindings.insert(name, stored?);
        }
        Ok(standing)
    }
}
