//! What survivor mode rests on in each zone: the group's last word, from the world. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portolan_consensus::MemberId;
use portolan_consensus::documents::Stored;

use crate::assign::{in_order, service_lines};
use crate::compose::{SiteAddresses, record_key};
use crate::family::Family;
use crate::names::{SiteCode, Ttl, ZoneName};
use crate::provider::RecordKey;
use crate::services::{Service, SurvivorMode, Target};
use crate::sites::Site;
use crate::survivor::{LineKey, LineRule, SiteName};
use crate::world::World;

/// One zone's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZonePlan {
    /// The longest of its services, in milliseconds.
    pub(crate) interval_ms: u64,
    /// When the configuration that it follows from last changed.
    pub(crate) revision: u64,
    /// The highest sequence of what the group has taken into its history.
    pub(crate) floor: u64,
    pub(crate) rules: Vec<LineRule>,
    /// Who writes for each site.
    pub(crate) members: BTreeMap<SiteName, MemberId>,
    pub(crate) codes: BTreeMap<SiteName, SiteCode>,
    pub(crate) records: BTreeMap<LineKey, RecordKey>,
    pub(crate) ttls: BTreeMap<LineKey, Ttl>,
    /// Of all sites: records may point to one that has no part in this.
    pub(crate) addresses: BTreeMap<(SiteName, Family), BTreeSet<String>>,
    /// Lines that stay as they are without the group, and why.
    pub(crate) left_out: Vec<String>,
}

/// All zones in which a service is in survivor mode.
pub(crate) fn plans(world: &World) -> BTreeMap<ZoneName, ZonePlan> {
    let zones: BTreeSet<&ZoneName> = in_survivor_mode(world)
        .map(|(stored, _)| &stored.document.zone)
        .collect();
    let plans = zones.into_iter();
    plans
        .filter_map(|zone| Some((zone.clone(), ZonePlan::of(world, zone)?)))
        .collect()
}

fn in_survivor_mode(world: &World) -> impl Iterator<Item = (&Stored<Service>, &SurvivorMode)> {
    let services = world.services.values();
    let of_sites = services.filter(|stored| matches!(stored.document.target, Target::Sites(_)));
    of_sites.filter_map(|stored| Some((stored, stored.document.survivor.as_ref()?)))
}

impl ZonePlan {
    /// A zone's; none where no service of it is in survivor mode.
    pub(crate) fn of(world: &World, zone: &ZoneName) -> Option<Self> {
        let of_zone = |(stored, _): &(&Stored<Service>, _)| stored.document.zone == *zone;
        let mut services = in_survivor_mode(world).filter(of_zone).peekable();
        services.peek()?;
        let (sites, addresses) = (world.all_sites(), world.addresses());
        let mut plan = Self::new(world, zone, &sites, &addresses);
        for (stored, survivor) in services {
            plan.interval_ms = plan.interval_ms.max(survivor.interval_ms);
            plan.revision = plan.revision.max(stored.modified.0);
            plan.add(&stored.document, &sites, &addresses);
        }
        Some(plan)
    }

    fn new(world: &World, zone: &ZoneName, sites: &[Site], addresses: &SiteAddresses) -> Self {
        let names = sites.iter().filter_map(|site| Some((site, name(site)?)));
        let names: Vec<(&Site, SiteName)> = names.collect();
        let last = world.sites.values().map(|stored| stored.modified.0).max();
        let merged = world.merged.get(zone.as_str());
        Self {
            interval_ms: 0,
            revision: last.unwrap_or(0),
            floor: merged.map_or(0, |stored| stored.document.floor),
            rules: Vec::new(),
            members: names
                .iter()
                .filter_map(|(site, name)| Some((name.clone(), site.member?)))
                .collect(),
            codes: names
                .iter()
                .map(|(site, name)| (name.clone(), site.code.clone()))
                .collect(),
            records: BTreeMap::new(),
            ttls: BTreeMap::new(),
            addresses: names
                .iter()
                .flat_map(|(site, name)| {
                    Family::ALL.into_iter().filter_map(|family| {
                        let known = addresses.get(&(site.code.clone(), family))?;
                        let known = known.iter().map(ToString::to_string).collect();
                        Some(((name.clone(), family), known))
                    })
                })
                .collect(),
            left_out: Vec::new(),
        }
    }

    fn add(&mut self, service: &Service, sites: &[Site], addresses: &SiteAddresses) {
        let Ok(domain) = service.domain() else { return };
        for line in service_lines(service, sites) {
            for family in service.types.iter().map(|rtype| rtype.family()) {
                let key = LineKey {
                    service: Arc::from(service.name.as_str()),
                    line: line.clone(),
                    family,
                };
                let reached = |site: &Site| addresses.contains_key(&(site.code.clone(), family));
                let order = in_order(service, sites, &line, reached);
                match rule(&key, &order) {
                    Ok(rule) => self.rules.push(rule),
                    Err(why) => {
                        self.left_out.push(format!("{key}: {why}"));
                        continue;
                    }
                }
                let record = record_key(&domain, family, &line);
                self.records.insert(key.clone(), record);
                self.ttls.insert(key, service.ttl);
            }
        }
    }

    /// The sites that have a part in a line of this zone, with the members that write for them.
    pub(crate) fn parts(&self) -> BTreeSet<MemberId> {
        let sites = self.rules.iter().flat_map(LineRule::sites);
        sites
            .filter_map(|site| self.members.get(site).copied())
            .collect()
    }

    /// Whether a line is this site's as long as all are well.
    pub(crate) fn is_home(&self, line: &LineKey, site: &SiteName) -> bool {
        let rule = self.rules.iter().find(|rule| rule.key == *line);
        rule.is_some_and(|rule| rule.home == *site)
    }

    /// Whose addresses these are.
    pub(crate) fn site_at(&self, family: Family, contents: &BTreeSet<String>) -> Option<&SiteName> {
        let mut known = self.addresses.iter();
        let found = known.find(|((_, of), addresses)| *of == family && *addresses == contents);
        found.map(|((site, _), _)| site)
    }
}

/// Who has the line, and who takes it over, the best first.
fn rule(key: &LineKey, order: &[&Site]) -> Result<LineRule, String> {
    let Some((home, others)) = order.split_first() else {
        return Err("no site serves it".to_owned());
    };
    if home.member.is_none() {
        return Err(format!(
            "no member stands at its site {}, so nobody could tell whether that lives; set the site's \
             `member`",
            home.code
        ));
    }
    let takers = others.iter().filter(|site| site.member.is_some());
    let takers: Vec<SiteName> = takers.filter_map(|site| name(site)).collect();
    let Some(home) = name(home).filter(|_| !takers.is_empty()) else {
        return Err("no other site with a member can take it over".to_owned());
    };
    Ok(LineRule {
        key: key.clone(),
        home,
        takers,
    })
}

/// Sites' codes do not differ in case alone, and DNS knows no case.
fn name(site: &Site) -> Option<SiteName> {
    SiteName::parse(&site.code.as_str().to_ascii_lowercase()).ok()
}
