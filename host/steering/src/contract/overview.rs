//! How it stands with sites and services, for a page that everybody may see: without codes, addresses and
//! secrets.

use std::collections::BTreeMap;

use portolan_consensus::{Consistency, MemberId};

use super::kept::key;
use super::show::{Look, is_live};
use super::standing::Standing;
use crate::clock::now_ms;
use crate::error::SteeringError;
use crate::family::Family;
use crate::services::Service;
use crate::sites::{Intent, Site, SiteState};
use crate::steering::Steering;
use crate::targets;
use crate::world::Outlook;

/// What everybody may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// What people call this member: the name of the site where it stands.
    pub name: String,
    /// All sites, in the order of their codes.
    pub sites: Vec<SiteOverview>,
    /// All services.
    pub services: Vec<ServiceOverview>,
}

/// A site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteOverview {
    /// What people call it; its place in the list where it has no name.
    pub name: String,
    /// How it stands.
    pub state: SiteState,
    /// Whether its lines may be served there.
    pub is_live: bool,
    /// The lines that are its own.
    pub lines: Vec<String>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceOverview {
    /// Its name.
    pub name: String,
    /// The absolute name of its records.
    pub domain: String,
    /// Who serves its lines.
    pub served: Vec<ServedLine>,
}

/// A line of a service in a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedLine {
    /// The line's code.
    pub line: String,
    /// The family.
    pub family: Family,
    /// The names of the sites that serve it.
    pub sites: Vec<String>,
}

impl Overview {
    /// How many sites live.
    pub fn live(&self) -> usize {
        self.sites.iter().filter(|site| site.is_live).count()
    }
}

impl Steering {
    /// What everybody may know, as this member knows it.
    pub async fn overview(&self) -> Result<Overview, SteeringError> {
        let standing = self.standing_contract(Consistency::Stale).await?;
        let looks = self.looks(&standing);
        let names = names(&standing);
        let sites = standing.all_sites().filter_map(|site| {
            let look = looks.get(&key(&site.code))?;
            let lines = site.lines.iter().map(|own| own.line.to_string());
            Some(SiteOverview {
                name: names.get(&key(&site.code))?.clone(),
                state: look.state,
                is_live: look.is_live,
                lines: lines.collect(),
            })
        });
        let mut services = Vec::new();
        for stored in standing.services.values() {
            services.push(self.service_overview(&stored.document, &names).await?);
        }
        Ok(Overview {
            name: own_name(&standing, &names, self.member.id()),
            sites: sites.collect(),
            services,
        })
    }

    async fn service_overview(
        &self,
        service: &Service,
        names: &BTreeMap<String, String>,
    ) -> Result<ServiceOverview, SteeringError> {
        let owners = self.load_owners(&service.name, Consistency::Stale).await?;
        let lines = owners.map(|it| it.document.lines).unwrap_or_default();
        let mut served = Vec::new();
        for (line, families) in lines {
            for (family, owner) in families {
                let sites = owner.sites.iter();
                served.push(ServedLine {
                    line: line.to_string(),
                    family,
                    sites: sites
                        .filter_map(|it| names.get(&key(it)).cloned())
                        .collect(),
                });
            }
        }
        Ok(ServiceOverview {
            name: service.name.to_string(),
            domain: service
                .domain()
                .map(|it| it.to_string())
                .unwrap_or_default(),
            served,
        })
    }

    /// How all sites look from here, by their keys.
    pub(super) fn looks(&self, standing: &Standing) -> BTreeMap<String, Look> {
        let world = self.world();
        let addresses = world.addresses();
        let outlook = Outlook {
            world: &world,
            addresses: &addresses,
            now_ms: now_ms(),
        };
        let sites = standing.all_sites();
        sites
            .map(|site| (key(&site.code), self.look_at_site(site, &outlook)))
            .collect()
    }

    fn look_at_site(&self, site: &Site, outlook: &Outlook<'_>) -> Look {
        let state = SiteState::of(site.intent, outlook.site(site));
        Look {
            state,
            is_live: is_live(state, site.intent == Intent::ForcedDown),
            heard_ms: self.heard_ms(site, outlook),
        }
    }

    /// When a site was last heard of: now, where this member stands; else when this member last saw it
    /// up. Of one that this member has not seen, what the group knows: since when it is up, or when it
    /// was called down. None where nobody looks.
    fn heard_ms(&self, site: &Site, outlook: &Outlook<'_>) -> Option<u64> {
        if site.member == Some(self.member.id()) {
            return Some(outlook.now_ms);
        }
        let id = targets::of_site(site, outlook.addresses)?.id();
        let seen = self.sights.of(&id).map(|seen| seen.last_up_ms);
        let verdict = outlook.world.verdict(&id);
        let judged_ms = verdict.map(|verdict| verdict.since_ms);
        match seen.filter(|at_ms| *at_ms > 0) {
            Some(seen_ms) if verdict.is_some_and(|verdict| verdict.up) => {
                Some(seen_ms).max(judged_ms)
            }
            seen_ms => seen_ms.or(judged_ms),
        }
    }
}

/// What people call the sites, by their keys. Codes are nobody's business.
fn names(standing: &Standing) -> BTreeMap<String, String> {
    let sites = standing.all_sites().zip(1..);
    sites
        .map(|(site, place)| {
            let name = match site.name.as_str() {
                "" => format!("site {place}"),
                name => name.to_owned(),
            };
            (key(&site.code), name)
        })
        .collect()
}

fn own_name(standing: &Standing, names: &BTreeMap<String, String>, me: MemberId) -> String {
    let own = standing.all_sites().find(|site| site.member == Some(me));
    let name = own.and_then(|site| names.get(&key(&site.code)).cloned());
    name.unwrap_or_else(|| format!("member {me}"))
}
