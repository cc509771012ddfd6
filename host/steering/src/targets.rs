//! What is checked: sites and services, each at an address, and members.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use portolan_consensus::MemberId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::assign::Health;
use crate::check::{Check, Pace, Verdict};
use crate::compose::SiteAddresses;
use crate::family::Family;
use crate::services::Service;
use crate::sites::Site;

/// Bytes of the digest that names a target: enough that no two of a group's targets meet.
const ID_BYTES: usize = 12;

/// Something that is up or down. Sites and services that ask the same of the same address share one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    /// A server.
    Server { address: IpAddr, check: Box<Check> },
    /// A member of the group.
    Member(MemberId),
}

/// A target's name in the store and among members.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TargetId(pub(crate) String);

impl Target {
    pub(crate) fn id(&self) -> TargetId {
        // Plain data: serde_json cannot fail on it.
        let text = serde_json::to_vec(self).unwrap_or_default();
        TargetId(hex::encode(&Sha256::digest(text)[..ID_BYTES]))
    }

    pub(crate) fn pace(&self) -> Pace {
        match self {
            Self::Server { check, .. } => check.pace.clone(),
            Self::Member(_) => Pace::default(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { address, check } => write!(f, "{check} at {address}"),
            Self::Member(id) => write!(f, "member {id}"),
        }
    }
}

/// What says whether a site as a whole is up; none where it is taken to be.
pub(crate) fn of_site(site: &Site, addresses: &SiteAddresses) -> Option<Target> {
    let Some(check) = &site.check else {
        return site.member.map(Target::Member);
    };
    let first = |family| {
        let known = addresses.get(&(site.code.clone(), family));
        known.and_then(|known| known.first().copied())
    };
    let address = site
        .check_address
        .or_else(|| Family::ALL.into_iter().find_map(first))?;
    let check = Box::new(check.clone());
    Some(Target::Server { address, check })
}

/// What says whether a service is up at a site in a family; none where it has no check, or the site no
/// address.
pub(crate) fn of_service(
    service: &Service,
    site: &Site,
    family: Family,
    addresses: &SiteAddresses,
) -> Option<Target> {
    let check = Box::new(service.check.clone()?);
    let known = addresses.get(&(site.code.clone(), family));
    let first = known.and_then(|known| known.first().copied());
    let address = site.check_address.or(first)?;
    Some(Target::Server { address, check })
}

/// All that is to be checked, and what for.
pub(crate) fn all<'a>(
    sites: &[&Site],
    services: impl Iterator<Item = &'a Service>,
    addresses: &SiteAddresses,
) -> BTreeMap<TargetId, (Target, Vec<String>)> {
    let mut targets: BTreeMap<TargetId, (Target, Vec<String>)> = BTreeMap::new();
    let mut add = |target: Option<Target>, purpose: String| {
        if let Some(target) = target {
            let (_, purposes) = targets
                .entry(target.id())
                .or_insert_with(|| (target, Vec::new()));
            if !purposes.contains(&purpose) {
                purposes.push(purpose);
            }
        }
    };
    for site in sites {
        add(of_site(site, addresses), format!("the site {}", site.code));
    }
    for service in services.filter(|service| service.check.is_some()) {
        for site in sites.iter().filter(|site| service.runs_at(&site.code)) {
            for family in service.types.iter().map(|rtype| rtype.family()) {
                let target = of_service(service, site, family, addresses);
                add(target, format!("{} at {}", service.name, site.code));
            }
        }
    }
    targets
}

/// How a target stands by its verdict.
pub(crate) fn health(target: &Target, verdict: Option<&Verdict>, now_ms: u64) -> Health {
    let Some(verdict) = verdict else {
        return Health::Unknown;
    };
    match verdict.returns_at_ms(&target.pace()) {
        None => Health::Down,
        Some(at_ms) if now_ms < at_ms => Health::Returning { at_ms },
        Some(_) => Health::Up,
    }
}
