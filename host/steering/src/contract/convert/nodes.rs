//! Nodes become sites.

use std::collections::{BTreeMap, BTreeSet};

use portolan_consensus::MemberId;
use serde_json::json;

use super::{Taken, at};
use crate::contract::kept::{KeptNode, key};
use crate::contract::show;
use crate::contract::standing::Standing;
use crate::contract::terms::{Isps, NetworkType, is_known};
use crate::contract::wire::NodeInfo;
use crate::detect::{BySources, Detection};
use crate::error::SteeringError;
use crate::family::Family;
use crate::input;
use crate::names::SiteCode;
use crate::sites::{Addresses, Detected, STANDARD_PRIORITY, Site, SiteLine};

/// Reads the list of all nodes.
pub(super) fn convert(
    nodes: &[NodeInfo],
    standing: &Standing,
    taken: &mut Taken,
) -> Result<(), SteeringError> {
    for (index, node) in nodes.iter().enumerate() {
        let at = at(format_args!("otherCocoaSyncer[{index}]"));
        let reading = Reading {
            node,
            at: &at,
            standing,
        };
        let (site, kept) = reading.read()?;
        if taken.names(&site.code) {
            let sentence = format!("two nodes have the code {}", site.code);
            return Err(SteeringError::invalid(format!("{at}.nodeCode"), sentence));
        }
        let same_member = |other: &&Site| other.member.is_some() && other.member == site.member;
        if let Some(other) = taken.sites.iter().find(same_member) {
            let sentence = format!("is where the node {} is reached, too", other.code);
            return Err(SteeringError::invalid(
                format!("{at}.nodeAddress"),
                sentence,
            ));
        }
        let key = key(&site.code);
        if node.cocoa_secret.given().is_some() {
            taken.secrets.insert(key.clone(), node.cocoa_secret.clone());
        }
        taken.kept.nodes.insert(key, kept);
        taken.sites.push(site);
    }
    let gone = taken.kept.nodes.iter().filter_map(|(key, kept)| {
        let site = &standing.sites.get(key)?.document;
        (kept.made && !taken.names(&site.code)).then(|| site.code.clone())
    });
    let gone: BTreeSet<SiteCode> = gone.collect();
    for code in &gone {
        taken.kept.nodes.remove(&key(code));
    }
    taken.gone_sites = gone;
    Ok(())
}

/// One node against what stands of it.
struct Reading<'a> {
    node: &'a NodeInfo,
    at: &'a str,
    standing: &'a Standing,
}

impl Reading<'_> {
    fn read(&self) -> Result<(Site, KeptNode), SteeringError> {
        let code = SiteCode::parse(&self.node.node_code).map_err(self.wrong("nodeCode"))?;
        let before = self.standing.site(&code);
        if let Some(other) = before.filter(|before| before.code != code) {
            let sentence = format!(
                "there is a site {}, and codes must differ in more than their case",
                other.code
            );
            return Err(self.wrong("nodeCode")(sentence));
        }
        let isps = match &self.node.isps {
            None => None,
            Some(codes) => Some(Isps::parse(codes).map_err(|(index, sentence)| {
                self.wrong(format_args!("ISPs[{index}]"))(sentence)
            })?),
        };
        let network =
            NetworkType::parse(&self.node.network_type).map_err(self.wrong("networkType"))?;
        let mut kept = self.kept(&code, before, network)?;

        let mut site = match before {
            Some(before) => before.clone(),
            None => input::parse(json!({"code": code}))?,
        };
        if !self.node.node_name.is_empty() && self.node.node_name != show::title(&site) {
            site.name.clone_from(&self.node.node_name);
        }
        self.set_member(&mut site);
        self.set_addresses(&mut site, network, before);
        let reached = site.member.is_some() || !site.addresses.is_empty();
        let held_back = kept.isps.is_some() || before.is_none();
        if held_back && !reached {
            site.fallback = None;
            kept.isps = Some(isps.or(kept.isps).unwrap_or_default());
        } else {
            let was_held_back = kept.isps.take();
            let fresh = before.is_none() || was_held_back.is_some();
            if let Some(isps) = isps.or(was_held_back) {
                set_lines(&mut site, &isps, fresh);
            }
        }
        site.check()
            .map_err(|(field, sentence)| self.wrong(field)(sentence))?;
        Ok((site, kept))
    }

    fn wrong(&self, field: impl std::fmt::Display) -> impl Fn(String) -> SteeringError {
        let at = format!("{}.{field}", self.at);
        move |sentence| SteeringError::invalid(at.clone(), sentence)
    }

    fn kept(
        &self,
        code: &SiteCode,
        before: Option<&Site>,
        network: NetworkType,
    ) -> Result<KeptNode, SteeringError> {
        let node = self.node;
        if !["", "leader", "follower"].contains(&node.work_mode.as_str()) {
            let sentence = format!(
                "`{}` is not a work mode; write leader or follower",
                node.work_mode.escape_debug()
            );
            return Err(self.wrong("workMode")(sentence));
        }
        let old = self.standing.kept().node(code).cloned();
        let mut kept = old.unwrap_or_else(|| KeptNode {
            made: before.is_none(),
            ..KeptNode::default()
        });
        for (kept, given) in [
            (&mut kept.address, &node.node_address),
            (&mut kept.work_mode, &node.work_mode),
        ] {
            if !given.is_empty() {
                kept.clone_from(given);
            }
        }
        if network != NetworkType::Unsaid {
            kept.network_type = network;
        }
        kept.watch_dog = kept.watch_dog.max(node.watch_dog);
        Ok(kept)
    }

    /// A node at whose address a member of this group is reached is where that member stands.
    fn set_member(&self, site: &mut Site) {
        if site.member.is_some() {
            return;
        }
        let authority = authority(&self.node.node_address);
        let members = self.standing.members.iter();
        let mut here = members.filter(|(_, address)| address.as_str() == authority);
        let taken = |id: MemberId| self.standing.all_sites().any(|it| it.member == Some(id));
        if let Some((id, _)) = here.next().filter(|(id, _)| !taken(**id)) {
            site.member = Some(*id);
        }
    }

    /// The contract says over which families a node is reached, and not where: the addresses that stand
    /// stay, and a member looks for those that are missing.
    fn set_addresses(&self, site: &mut Site, network: NetworkType, before: Option<&Site>) {
        let shown =
            before.map(|site| show::network_type(site, self.standing.kept().node(&site.code)));
        let same_member = before.is_some_and(|before| before.member == site.member);
        if network == NetworkType::Unsaid || (shown == Some(network) && same_member) {
            return;
        }
        let families = network.families();
        site.addresses.retain(|family, _| families.contains(family));
        if site.member.is_some() {
            let missing: BTreeMap<Family, Addresses> = families
                .into_iter()
                .filter(|family| !site.addresses.contains_key(family))
                .map(|family| (family, detected()))
                .collect();
            site.addresses.extend(missing);
        }
    }
}

/// Gives a site the lines of a push, unless it has them already. What the contract has no word for stays.
fn set_lines(site: &mut Site, isps: &Isps, fresh: bool) {
    let shown = show::isps(site);
    if !fresh && shown == *isps {
        return;
    }
    let others = site
        .lines
        .iter()
        .filter(|own| !is_known(&own.line))
        .cloned();
    let others: Vec<SiteLine> = others.collect();
    let lines = isps.lines.iter().map(|line| SiteLine {
        line: line.clone(),
        priority: site.priority(line).unwrap_or(STANDARD_PRIORITY),
    });
    site.lines = lines.chain(others).collect();
    if isps.none {
        site.fallback = None;
    } else if fresh || shown.none {
        site.fallback = Some(STANDARD_PRIORITY);
    }
}

fn detected() -> Addresses {
    let sources = BySources {
        urls: None,
        allow_private: false,
    };
    Addresses::Detected(Detected {
        detect: vec![Detection::Sources(sources)],
    })
}

/// `host:port` of a URL as the contract writes it: `https://node.example.com:44443`.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}
