//! From the reference's words to ours. Pure: it knows nothing of what stands here already.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use portolan_steering::{
    BindingName, CloudPlatform, ClusterInfo, Family, ManagedService, NodeInfo, ServiceName,
    SiteCode, ZoneName, is_global,
};
use reqwest::Url;
use serde_json::{Value, json};

use crate::client::dns::{DNS, documents::Fields, segment};

/// The free edition of Alibaba Cloud DNS takes no shorter one. The reference keeps none of its own.
const TTL_SECONDS: u32 = 600;

/// The reference's word for a node that serves no line, and never takes one over.
const NO_LINE: &str = "None";

/// What shall be here, in the order in which it can be made.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) things: Vec<Thing>,
    /// What could not be taken over as it is, and what to do.
    pub(super) notes: Vec<String>,
}

/// A provider, site or service to be.
#[derive(Debug)]
pub(super) struct Thing {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Without the secrets.
    pub(super) fields: Fields,
    /// Only for what is made: what stands keeps its own.
    pub(super) secrets: Fields,
    /// Only for what is made: what an operator has changed since stays changed.
    pub(super) first: Fields,
}

/// What a [`Thing`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Provider,
    Site,
    Service,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Site => "site",
            Self::Service => "service",
        }
    }
}

impl Thing {
    pub(super) fn path(&self) -> String {
        format!("{DNS}/{}s/{}", self.kind.word(), segment(&self.name))
    }
}

/// A platform that a plugin here knows.
struct Known {
    platform: &'static str,
    plugin: &'static str,
    host: &'static str,
    key: &'static str,
    secret: &'static str,
}

const KNOWN: [Known; 1] = [Known {
    platform: "Ali",
    plugin: "alidns",
    host: "https://alidns.aliyuncs.com",
    key: "access-key-id",
    secret: "access-key-secret",
}];

/// Makes a deployment's accounts providers, its nodes sites and its services services; those of the
/// given zones alone, where there are some.
pub(super) fn convert(deployment: ClusterInfo, only: &[ZoneName]) -> Wanted {
    let mut wanted = Wanted::default();
    let nodes = nodes(&deployment);
    let services = services(&deployment, &nodes, only, &mut wanted.notes);
    for platform in deployment.cloud_platform_info.iter().flatten() {
        wanted.provider(platform, &services);
    }
    for node in &nodes {
        wanted.site(node);
    }
    let is_known = |name: &str| KNOWN.iter().any(|known| known.platform == name);
    for (service, zone) in &services {
        if is_known(&service.platform_provider) {
            wanted.service(service, zone, &nodes);
        } else {
            wanted.notes.push(format!(
                "the service {} is left out, for no plugin here knows its platform {}; make a \
                 provider for {zone} first",
                service.service_name, service.platform_provider
            ));
        }
    }
    wanted
}

/// All nodes by code, with the one that was asked.
fn nodes(deployment: &ClusterInfo) -> Vec<NodeInfo> {
    let mut nodes: BTreeMap<String, NodeInfo> = BTreeMap::new();
    let others = deployment.other_cocoa_syncer.iter().flatten().cloned();
    for node in others.chain([own(deployment)]) {
        if !node.node_code.is_empty() {
            nodes.entry(node.node_code.clone()).or_insert(node);
        }
    }
    nodes.into_values().collect()
}

/// The node that was asked, as far as it tells of itself.
fn own(deployment: &ClusterInfo) -> NodeInfo {
    NodeInfo {
        node_name: deployment.node_name.clone(),
        node_code: deployment.node_code.clone(),
        node_address: deployment.node_address.clone(),
        ..NodeInfo::default()
    }
}

/// All services once each, with their zones.
fn services(
    deployment: &ClusterInfo,
    nodes: &[NodeInfo],
    only: &[ZoneName],
    notes: &mut Vec<String>,
) -> Vec<(ManagedService, ZoneName)> {
    let of_nodes = nodes.iter().flat_map(|node| &node.cocoa_managed_service);
    let of_nodes = of_nodes.flatten();
    let mut services: Vec<(ManagedService, ZoneName)> = Vec::new();
    for service in deployment
        .cocoa_managed_service
        .iter()
        .flatten()
        .chain(of_nodes)
    {
        if services.iter().any(|(known, _)| known == service) {
            continue;
        }
        match ZoneName::parse(&service.domain) {
            Ok(zone) if only.is_empty() || only.contains(&zone) => {
                services.push((service.clone(), zone));
            }
            Ok(_) => {}
            Err(reason) => {
                notes.push(format!("the service {}: {reason}", service.service_name));
            }
        }
    }
    services
}

impl Wanted {
    fn provider(&mut self, platform: &CloudPlatform, services: &[(ManagedService, ZoneName)]) {
        let name = &platform.platform_provider;
        let Some(known) = KNOWN.iter().find(|known| known.platform == name) else {
            self.notes.push(format!(
                "the account at {name} is left out, for no plugin here knows that platform"
            ));
            return;
        };
        let own = services
            .iter()
            .filter(|(service, _)| service.platform_provider == *name);
        let zones: BTreeSet<&ZoneName> = own.map(|(_, zone)| zone).collect();
        if zones.is_empty() {
            return;
        }
        let binding = BindingName::parse(&name.to_ascii_lowercase());
        let Ok(binding) = binding else { return };
        self.things.push(Thing {
            kind: Kind::Provider,
            name: binding.as_str().to_owned(),
            fields: fields(json!({"zones": zones})),
            secrets: fields(json!({
                known.key: platform.access_key.expose(),
                known.secret: platform.access_secret.expose(),
            })),
            first: fields(json!({"plugin": known.plugin, "hosts": [known.host]})),
        });
    }

    fn site(&mut self, node: &NodeInfo) {
        let code = match SiteCode::parse(&node.node_code) {
            Ok(code) => code,
            Err(reason) => {
                self.notes
                    .push(format!("the node {} is left out: {reason}", node.node_name));
                return;
            }
        };
        let mut first = Fields::new();
        match public_address(&node.node_address) {
            Some(address) => {
                let family = Family::of(address).to_string();
                first.insert("addresses".to_owned(), json!({ family: [address] }));
            }
            None => self.notes.push(format!(
                "the site {code} has no address yet, for its node is known as {}; say `portolan dns \
                 sites set {code} --ipv4 …`, or have its member find it",
                node.node_address
            )),
        }
        let isps = node.isps.as_deref().unwrap_or_default();
        let lines: Vec<&String> = isps.iter().filter(|isp| *isp != NO_LINE).collect();
        let mut site = fields(json!({"name": node.node_name, "lines": lines}));
        if isps.len() > lines.len() {
            site.insert("fallback".to_owned(), Value::Null);
        }
        if lines.is_empty() {
            self.notes
                .push(format!("the site {code} serves no line of its own"));
        }
        self.things.push(Thing {
            kind: Kind::Site,
            name: code.as_str().to_owned(),
            fields: site,
            secrets: Fields::new(),
            first,
        });
    }

    fn service(&mut self, service: &ManagedService, zone: &ZoneName, nodes: &[NodeInfo]) {
        let name = match ServiceName::parse(&service.service_name) {
            Ok(name) => name,
            Err(reason) => {
                self.notes
                    .push(format!("the service {}: {reason}", service.service_name));
                return;
            }
        };
        let runs = |node: &&NodeInfo| {
            let services = &node.cocoa_managed_service;
            services.iter().flatten().any(|it| it == service)
        };
        let at: Vec<&NodeInfo> = nodes.iter().filter(runs).collect();
        let everywhere = at.is_empty() || at.len() == nodes.len();
        let codes: BTreeSet<&str> = at.iter().map(|node| node.node_code.as_str()).collect();
        let sites = match everywhere {
            true => json!("all"),
            false => json!(codes),
        };
        let at: Vec<&NodeInfo> = match everywhere {
            true => nodes.iter().collect(),
            false => at,
        };
        self.things.push(Thing {
            kind: Kind::Service,
            name: name.as_str().to_owned(),
            fields: fields(json!({
                "zone": zone, "record": service.record, "target": {"sites": sites},
            })),
            secrets: Fields::new(),
            // The reference changes records that exist, so they have to become ours.
            first: fields(json!({
                "types": types(&at), "ttl": TTL_SECONDS, "adopt": true,
            })),
        });
    }
}

/// The types of the records that these nodes keep.
fn types(nodes: &[&NodeInfo]) -> Vec<&'static str> {
    let any = |digit: char| nodes.iter().any(|node| node.network_type.contains(digit));
    let types = [(any('4'), Family::Ipv4), (any('6'), Family::Ipv6)];
    let told = types.into_iter().filter(|(is_there, _)| *is_there);
    let told: Vec<&str> = told.map(|(_, family)| family.record_type()).collect();
    match told.is_empty() {
        true => Family::ALL.map(Family::record_type).to_vec(),
        false => told,
    }
}

/// Where a node is reached from everywhere: that is where its records point, too.
fn public_address(url: &str) -> Option<IpAddr> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    host.parse().ok().filter(|address| is_global(*address))
}

fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}

#[cfg(test)]
mod tests;
