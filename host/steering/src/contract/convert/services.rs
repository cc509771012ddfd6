//! Services become services, at the sites whose nodes list them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Taken, at, platforms};
use crate::contract::standing::{ALI, Standing};
use crate::contract::wire::{ClusterInfo, ManagedService, NodeInfo};
use crate::error::SteeringError;
use crate::input;
use crate::names::{BindingName, DomainName, ServiceName, SiteCode, ZoneName};
use crate::services::{Service, SiteChoice, SitesTarget, Target};

/// What the service of the contract's one platform gives records whose TTL nobody names. The records are
/// there already, with that TTL.
const TTL: u32 = 600;

/// A service of the push.
struct Named<'a> {
    at: String,
    given: &'a ManagedService,
    name: ServiceName,
    zone: ZoneName,
    domain: DomainName,
    /// The codes of the nodes that list it.
    nodes: BTreeSet<SiteCode>,
}

/// Reads the lists of services: the one of all, and those of the nodes.
pub(super) fn convert(
    info: &ClusterInfo,
    standing: &Standing,
    taken: &mut Taken,
) -> Result<(), SteeringError> {
    let all = info.cocoa_managed_service.as_deref();
    let nodes = info.other_cocoa_syncer.as_deref();
    let named = collect(all.unwrap_or_default(), nodes.unwrap_or_default(), taken)?;
    if all.is_some() {
        taken.kept.idle.clear();
    }
    for named in &named {
        if nodes.is_some() && named.nodes.is_empty() {
            taken.idle(named.given.clone());
            continue;
        }
        place(named, standing, taken)?;
        let service = read(named, standing, nodes.is_some(), taken)?;
        if standing.service(&named.name).is_none() {
            taken.kept.services.insert(named.name.clone());
        }
        taken.services.push(service);
    }
    if all.is_some() {
        let stays = |name: &ServiceName| taken.services.iter().any(|it| it.name == *name);
        let gone: BTreeSet<ServiceName> = taken
            .kept
            .services
            .iter()
            .filter(|name| !stays(name))
            .cloned()
            .collect();
        taken.kept.services.retain(|name| !gone.contains(name));
        taken.gone_services = gone;
    }
    Ok(())
}

/// Every service once, with its nodes. A list may name one several times.
fn collect<'a>(
    all: &'a [ManagedService],
    nodes: &'a [NodeInfo],
    taken: &Taken,
) -> Result<Vec<Named<'a>>, SteeringError> {
    let mut named: Vec<Named<'a>> = Vec::new();
    for (index, given) in all.iter().enumerate() {
        add(
            &mut named,
            at(format_args!("cocoaManagedService[{index}]")),
            given,
            None,
        )?;
    }
    // In the order of the push, as `taken.sites` is.
    for (node_index, (node, site)) in nodes.iter().zip(&taken.sites).enumerate() {
        let services = node.cocoa_managed_service.iter().flatten();
        for (index, given) in services.enumerate() {
            let rest = format!("otherCocoaSyncer[{node_index}].cocoaManagedService[{index}]");
            add(&mut named, at(rest), given, Some(&site.code))?;
        }
    }
    Ok(named)
}

fn add<'a>(
    named: &mut Vec<Named<'a>>,
    at: String,
    given: &'a ManagedService,
    node: Option<&SiteCode>,
) -> Result<(), SteeringError> {
    let wrong = |field: &str, sentence| SteeringError::invalid(format!("{at}.{field}"), sentence);
    let name = ServiceName::parse(&given.service_name).map_err(|it| wrong("serviceName", it))?;
    let zone = ZoneName::parse(&given.domain).map_err(|it| wrong("domain", it))?;
    let domain = DomainName::in_zone(&given.record, &zone).map_err(|it| wrong("record", it))?;
    let known = named
        .iter_mut()
        .find(|it| it.name == name || it.domain == domain);
    match known {
        Some(known) if known.name == name && known.domain == domain => {
            known.nodes.extend(node.cloned());
        }
        Some(known) if known.name == name => {
            let sentence = format!(
                "{name} is the service {} too; a service has one name and one record",
                known.domain
            );
            return Err(wrong("serviceName", sentence));
        }
        Some(known) => {
            let sentence = format!("{domain} is the record of the service {} too", known.name);
            return Err(wrong("record", sentence));
        }
        None => named.push(Named {
            given,
            name,
            zone,
            domain,
            nodes: node.cloned().into_iter().collect(),
            at,
        }),
    }
    Ok(())
}

/// Whether the zone is served by the platform that the push says, or is from now on.
fn place(named: &Named<'_>, standing: &Standing, taken: &mut Taken) -> Result<(), SteeringError> {
    let platform = &named.given.platform_provider;
    let at = format!("{}.platformProvider", named.at);
    if let Some(serving) = standing.serving(&named.zone) {
        let called = standing.platform(serving);
        if platform.is_empty() || called == *platform || serving.as_str() == platform {
            return Ok(());
        }
        let sentence = format!(
            "{} is served by the provider {serving}, which this contract calls {called}, and not by \
             `{}`",
            named.zone,
            platform.escape_debug()
        );
        return Err(SteeringError::invalid(at, sentence));
    }
    let binding = standing.binding_of(platform).cloned();
    let pushed = || -> Option<BindingName> {
        let ali = BindingName::parse(&ALI.to_ascii_lowercase()).ok()?;
        (platform == ALI && taken.bindings.contains_key(&ali)).then_some(ali)
    };
    let Some(binding) = binding.or_else(pushed) else {
        return Err(platforms::unknown(at, platform));
    };
    let change = taken.bindings.entry(binding).or_default();
    change.zones.insert(named.zone.clone());
    Ok(())
}

/// The service as it shall be. `placed` says whether the push tells where services run.
fn read(
    named: &Named<'_>,
    standing: &Standing,
    placed: bool,
    taken: &Taken,
) -> Result<Service, SteeringError> {
    let mut service = match standing.service(&named.name) {
        Some(before) => before.clone(),
        None => new(named)?,
    };
    if service.domain().as_ref() != Ok(&named.domain) {
        service.zone = named.zone.clone();
        service.record.clone_from(&named.given.record);
    }
    if placed {
        set_sites(&mut service, named, standing, taken);
    }
    service.check().map_err(|(field, sentence)| {
        SteeringError::invalid(format!("{} ({field})", named.at), sentence)
    })?;
    Ok(service)
}

/// The records of a service that is taken over are there already: they become ours.
fn new(named: &Named<'_>) -> Result<Service, SteeringError> {
    let body: Value = json!({
        "name": named.name,
        "zone": named.zone,
        "record": named.given.record,
        "ttl": TTL,
        "adopt": true,
    });
    input::parse(body)
}

fn set_sites(service: &mut Service, named: &Named<'_>, standing: &Standing, taken: &Taken) {
    let is_new = standing.service(&named.name).is_none();
    let as_told = |site: &SiteCode| service.runs_at(site) == named.nodes.contains(site);
    let unchanged = taken.sites.iter().all(|site| as_told(&site.code));
    let follows_a_cluster = matches!(service.target, Target::Cluster(_));
    if follows_a_cluster || (unchanged && !is_new) {
        return;
    }
    let others = standing.all_sites().map(|site| &site.code);
    let stay = others.filter(|code| {
        !is_new && !taken.names(code) && !taken.gone_sites.contains(code) && service.runs_at(code)
    });
    let codes: BTreeSet<SiteCode> = named.nodes.iter().chain(stay).cloned().collect();
    service.target = Target::Sites(SitesTarget {
        sites: SiteChoice::Some(codes),
    });
}
