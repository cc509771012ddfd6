//! Our documents as the contract has them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use portolan_consensus::MemberId;

use super::kept::{KeptNode, key};
use super::standing::Standing;
use super::terms::{Isps, NetworkType, is_known};
use super::wire::{CloudPlatform, ClusterInfo, Hidden, ManagedService, NodeInfo, Timestamp};
use crate::check::Pace;
use crate::services::Service;
use crate::sites::{Site, SiteState};

/// The two words for a node's part.
const LEADER: &str = "leader";
const FOLLOWER: &str = "follower";
/// A node that lives, and one that does not answer.
const ALIVE: i64 = 200;
const LOST: i64 = 504;
const MINUTE_MS: u64 = 60_000;

/// How a site looks from here.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) state: SiteState,
    /// Whether its lines may be served there.
    pub(super) is_live: bool,
    /// When it was last heard of. Milliseconds since 1970; none where nobody here looks at it.
    pub(super) heard_ms: Option<u64>,
}

/// What an answer is made of.
pub(super) struct Facts<'a> {
    pub(super) me: MemberId,
    pub(super) leader: Option<MemberId>,
    pub(super) is_leader: bool,
    /// Where this member is reached, `host:port`.
    pub(super) advertise: &'a str,
    /// By the sites' keys.
    pub(super) looks: BTreeMap<String, Look>,
    pub(super) standing: &'a Standing,
}

/// `cocoaBasic` of an answer.
pub(super) fn show(facts: &Facts<'_>) -> ClusterInfo {
    let standing = facts.standing;
    let own = standing
        .all_sites()
        .find(|site| site.member == Some(facts.me));
    let kept = standing.kept();
    let services = standing.services.values().map(|it| &it.document);
    let services = services.map(|it| service(it, standing));
    let port = facts.advertise.rsplit(':').next();
    ClusterInfo {
        api_port: port.and_then(|port| port.parse().ok()).unwrap_or_default(),
        node_name: own.map_or_else(|| format!("member {}", facts.me), |site| title(site).into()),
        node_code: own.map(|site| site.code.to_string()).unwrap_or_default(),
        node_address: own.map_or_else(
            || url(facts.advertise),
            |site| address(site, kept.node(&site.code), standing),
        ),
        work_mode: if facts.is_leader { LEADER } else { FOLLOWER }.to_owned(),
        // Who sees this has shown it.
        cocoa_secret: Hidden::held(),
        // A daemon cannot know.
        reverse_proxy: false,
        other_cocoa_syncer: Some(standing.all_sites().map(|it| node(it, facts)).collect()),
        cocoa_managed_service: Some(services.chain(kept.idle.iter().cloned()).collect()),
        cloud_platform_info: Some(platforms(standing)),
        timeout: minutes_to_lost(),
        // Its own store, which nobody connects to.
        data_base_type: "portolan".to_owned(),
        dsn: Hidden::default(),
        created_at: time(kept.created_ms),
        updated_at: time(kept.updated_ms),
        config_imported: true,
    }
}

/// What people call a site.
pub(super) fn title(site: &Site) -> &str {
    match site.name.as_str() {
        "" => site.code.as_str(),
        name => name,
    }
}

/// The lines of a site, as far as the contract has words for them.
pub(super) fn isps(site: &Site) -> Isps {
    let lines = site.lines.iter().map(|own| &own.line);
    let lines: Vec<_> = lines.filter(|line| is_known(line)).cloned().collect();
    Isps {
        none: lines.is_empty() && site.fallback.is_none(),
        lines,
    }
}

/// What was said of a site's families, unless it has addresses of others.
pub(super) fn network_type(site: &Site, kept: Option<&KeptNode>) -> NetworkType {
    let families: BTreeSet<_> = site.addresses.keys().copied().collect();
    let said = kept.map(|kept| kept.network_type).unwrap_or_default();
    if families.is_subset(&said.families()) {
        said
    } else {
        NetworkType::of(&families)
    }
}

fn node(site: &Site, facts: &Facts<'_>) -> NodeInfo {
    let standing = facts.standing;
    let kept = standing.kept();
    let kept = kept.node(&site.code);
    let look = facts.looks.get(&key(&site.code));
    let held_back = kept.and_then(|kept| kept.isps.clone());
    let heard = look.and_then(|look| look.heard_ms).map(Timestamp::of_ms);
    let runs = |service: &&Service| service.runs_at(&site.code);
    let services = standing.services.values().map(|it| &it.document);
    NodeInfo {
        node_name: title(site).to_owned(),
        node_code: site.code.to_string(),
        node_address: address(site, kept, standing),
        work_mode: work_mode(site, kept, facts.leader).to_owned(),
        cocoa_secret: Hidden::held_if(kept.is_some_and(|kept| kept.secret.is_some())),
        isps: Some(held_back.unwrap_or_else(|| isps(site)).codes()),
        network_type: network_type(site, kept).as_str().to_owned(),
        status_code: match look {
            Some(look) if look.is_live => ALIVE,
            _ => LOST,
        },
        watch_dog: heard
            .or(kept.map(|kept| kept.watch_dog))
            .unwrap_or_default(),
        cocoa_managed_service: Some(
            services
                .filter(runs)
                .map(|it| service(it, standing))
                .collect(),
        ),
    }
}

/// A node that is no member of this group keeps the part that it was given.
fn work_mode<'a>(site: &Site, kept: Option<&'a KeptNode>, leader: Option<MemberId>) -> &'a str {
    match (site.member, kept) {
        (Some(member), _) if Some(member) == leader => LEADER,
        (None, Some(kept)) if !kept.work_mode.is_empty() => &kept.work_mode,
        _ => FOLLOWER,
    }
}

fn address(site: &Site, kept: Option<&KeptNode>, standing: &Standing) -> String {
    let given = kept.map(|kept| kept.address.as_str());
    if let Some(given) = given.filter(|given| !given.is_empty()) {
        return given.to_owned();
    }
    let member = site.member.and_then(|member| standing.members.get(&member));
    member.map(|member| url(member)).unwrap_or_default()
}

fn url(authority: &str) -> String {
    format!("http://{authority}")
}

fn service(service: &Service, standing: &Standing) -> ManagedService {
    let serving = standing.serving(&service.zone);
    ManagedService {
        service_name: service.name.to_string(),
        domain: service.zone.to_string(),
        record: relative(service),
        platform_provider: serving.map(|it| standing.platform(it)).unwrap_or_default(),
    }
}

/// The record's name relative to its zone, which is how the contract writes it.
fn relative(service: &Service) -> String {
    let Ok(domain) = service.domain() else {
        return service.record.clone();
    };
    if domain.is_apex(&service.zone) {
        return "@".to_owned();
    }
    let zone = format!(".{}", service.zone);
    let relative = domain.as_str().strip_suffix(&zone);
    relative.unwrap_or(domain.as_str()).to_owned()
}

fn platforms(standing: &Standing) -> Vec<CloudPlatform> {
    let bindings = standing.bindings.iter();
    bindings
        .map(|(name, stored)| {
            let held = !stored.document.credentials.is_empty();
            CloudPlatform {
                platform_provider: standing.platform(name),
                access_key: Hidden::held_if(held),
                access_secret: Hidden::held_if(held),
            }
        })
        .collect()
}

/// When a silent site counts as lost, in the contract's whole minutes.
fn minutes_to_lost() -> i64 {
    let pace = Pace::default();
    let lost_ms = u64::from(pace.down_after) * (pace.interval_ms + pace.timeout_ms);
    i64::try_from(lost_ms.div_ceil(MINUTE_MS)).unwrap_or(i64::MAX)
}

fn time(ms: u64) -> Timestamp {
    match ms {
        0 => Timestamp::default(),
        ms => Timestamp::of_ms(ms),
    }
}

/// Whether a site in this state counts as alive.
pub(super) fn is_live(state: SiteState, forced_down: bool) -> bool {
    match state {
        SiteState::Up | SiteState::Returning | SiteState::Draining => true,
        SiteState::Forced => !forced_down,
        SiteState::Down | SiteState::Unknown => false,
    }
}
