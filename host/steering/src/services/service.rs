//! A service: a name in a zone whose records follow sites, or a sharded cluster.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use portolan_consensus::documents::Document;
use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::family::Family;
use crate::names::{DomainName, LineCode, ServiceName, SiteCode, Ttl, ZoneName};

/// Short, for lines move.
const STANDARD_TTL: i64 = 60;

/// A service as operators give it and as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    pub(crate) name: ServiceName,
    pub(crate) zone: ZoneName,
    /// The record's name, relative to the zone or absolute; `@` is the zone's own.
    pub(crate) record: String,
    /// The families whose records it has.
    #[serde(default = "both_families")]
    pub(crate) types: BTreeSet<AddressType>,
    #[serde(default = "standard_ttl")]
    pub(crate) ttl: Ttl,
    /// How it is checked at every site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) check: Option<Check>,
    #[serde(default)]
    pub(crate) target: Target,
    /// The lines that it has records on; all that its sites serve where they are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lines: Option<BTreeSet<LineCode>>,
    /// Whether all healthy sites that serve a line stand in its record, instead of the first.
    #[serde(default)]
    pub(crate) spread: bool,
    /// What becomes of lines where the provider has none.
    #[serde(default)]
    pub(crate) without_lines: WithoutLines,
    /// Whether records that stand there and are not ours become ours.
    #[serde(default)]
    pub(crate) adopt: bool,
    /// Whether its sites keep its lines served while the group has no quorum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) survivor: Option<SurvivorMode>,
}

/// Survivor mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SurvivorMode {
    /// How often a site without a quorum renews its value in the zone. A site whose value has not changed
    /// for three of them counts as gone. Milliseconds.
    #[serde(default = "survivor_interval_ms")]
    pub(crate) interval_ms: u64,
}

fn survivor_interval_ms() -> u64 {
    20_000
}

/// A provider is asked twice in each.
const SURVIVOR_INTERVALS: RangeInclusive<u64> = 1_000..=600_000;

fn both_families() -> BTreeSet<AddressType> {
    [AddressType::A, AddressType::Aaaa].into()
}

fn standard_ttl() -> Ttl {
    // In range, so the fallback is never taken.
    Ttl::new(STANDARD_TTL).unwrap_or(Ttl::MAX)
}

/// A record type that holds addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum AddressType {
    A,
    Aaaa,
}

impl AddressType {
    pub(crate) fn family(self) -> Family {
        match self {
            Self::A => Family::Ipv4,
            Self::Aaaa => Family::Ipv6,
        }
    }
}

/// What a provider without lines gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WithoutLines {
    /// The records of the line `default` alone.
    #[default]
    Default,
    /// None of them: the plan says why.
    Refuse,
}

/// Whose addresses the records hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "{\"sites\": \"all\"}, {\"sites\": [codes]}, or {\"namespace\", \"cluster\", \"role\", \"shard\"}"
)]
pub(crate) enum Target {
    /// Sites.
    Sites(SitesTarget),
    /// Nodes of a sharded cluster.
    Cluster(ClusterTarget),
}

impl Default for Target {
    fn default() -> Self {
        Self::Sites(SitesTarget {
            sites: SiteChoice::All(All::All),
        })
    }
}

/// The sites that a service runs at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SitesTarget {
    pub(crate) sites: SiteChoice,
}

/// All sites or some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum SiteChoice {
    All(All),
    Some(BTreeSet<SiteCode>),
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum All {
    All,
}

/// Nodes of a sharded cluster, by their role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterTarget {
    /// The cluster's namespace.
    pub namespace: String,
    /// Its name.
    pub cluster: String,
    /// One shard by its number; all of them where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<usize>,
    /// Which of the shard's nodes.
    #[serde(default)]
    pub role: NodeRole,
}

/// What a node is in its shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// The one that takes writes.
    #[default]
    Master,
    /// One that follows it.
    Replica,
}

impl Document for Service {}

impl Service {
    /// The absolute name of its records.
    pub(crate) fn domain(&self) -> Result<DomainName, String> {
        DomainName::in_zone(&self.record, &self.zone)
    }

    /// Whether it runs at a site.
    pub(crate) fn runs_at(&self, code: &SiteCode) -> bool {
        match &self.target {
            Target::Sites(target) => match &target.sites {
                SiteChoice::All(_) => true,
                SiteChoice::Some(codes) => codes.contains(code),
            },
            Target::Cluster(_) => false,
        }
    }

    /// The field that is wrong, and the sentence.
    pub(crate) fn check(&self) -> Result<(), (String, String)> {
        let fail = |at: &str, sentence: &str| Err((at.to_owned(), sentence.to_owned()));
        self.domain()
            .map_err(|sentence| ("record".to_owned(), sentence))?;
        if self.types.is_empty() {
            return fail("types", "is empty; name A, AAAA or both");
        }
        if self.lines.as_ref().is_some_and(BTreeSet::is_empty) {
            return fail("lines", "is empty; leave it out for all lines of its sites");
        }
        if let Some(check) = &self.check {
            check
                .validate()
                .map_err(|(at, sentence)| (format!("check.{at}"), sentence))?;
        }
        if let Some(SurvivorMode { interval_ms }) = &self.survivor
            && !SURVIVOR_INTERVALS.contains(interval_ms)
        {
            let (least, most) = (SURVIVOR_INTERVALS.start(), SURVIVOR_INTERVALS.end());
            let sentence = format!("{interval_ms} is not between {least} and {most}");
            return fail("survivor.interval_ms", &sentence);
        }
        if self.survivor.is_some() && self.spread {
            return fail(
                "survivor",
                "has one site at a time take a line over, so `spread` must be left out",
            );
        }
        match &self.target {
            Target::Cluster(_) if self.survivor.is_some() => fail(
                "survivor",
                "is about sites, and the target is a cluster; leave it out",
            ),
            Target::Sites(SitesTarget {
                sites: SiteChoice::Some(codes),
            }) if codes.is_empty() => fail("target.sites", "is empty; name a site, or \"all\""),
            Target::Cluster(_) if self.check.is_some() => fail(
                "check",
                "is not used: a cluster's nodes are watched and failed over by the cluster's own \
                 rules; leave it out",
            ),
            Target::Cluster(_) if self.spread => fail(
                "target",
                "follows a cluster, so `spread`, which is about sites, must be left out",
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(change: Value) -> Result<Service, (String, String)> {
        let mut body = json!({"name": "shop", "zone": "example.com", "record": "www"});
        for (field, value) in change.as_object().unwrap() {
            body[field] = value.clone();
        }
        let service: Service =
            serde_json::from_value(body).map_err(|error| (String::new(), error.to_string()))?;
        service.check().map(|()| service)
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let service = service(json!({})).unwrap();
        assert_eq!(service.ttl.seconds(), 60);
        assert_eq!(service.types.len(), 2);
        assert!(service.runs_at(&SiteCode::parse("anywhere").unwrap()));
        assert_eq!(service.domain().unwrap().as_str(), "www.example.com");
        let kept = serde_json::to_value(&service).unwrap();
        assert_eq!(serde_json::from_value::<Service>(kept).unwrap(), service);
    }

    #[test]
    fn targets_are_sites_or_a_cluster() {
        let some = service(json!({"target": {"sites": ["sh"]}})).unwrap();
        assert!(some.runs_at(&SiteCode::parse("sh").unwrap()));
        assert!(!some.runs_at(&SiteCode::parse("bj").unwrap()));
        let target = json!({"namespace": "ns", "cluster": "c", "shard": 0, "role": "replica"});
        let follows = service(json!({ "target": target })).unwrap();
        assert!(matches!(follows.target, Target::Cluster(ref it) if it.shard == Some(0)));
        let kept = serde_json::to_value(&follows).unwrap();
        assert_eq!(kept["target"], target);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cluster = json!({"namespace": "ns", "cluster": "c"});
        let cases = [
            (json!({"record": "a..b"}), "record", "empty"),
            (json!({"types": []}), "types", "AAAA"),
            (json!({"types": ["MX"]}), "", "MX"),
            (json!({"lines": []}), "lines", "leave it out"),
            (json!({"ttl": 0}), "", "TTL"),
            (json!({"target": {"sites": []}}), "target.sites", "all"),
            (json!({"target": {"sites": "some"}}), "", "sites"),
            (
                json!({"survivor": {}, "target": cluster}),
                "survivor",
                "cluster",
            ),
            (
                json!({"survivor": {}, "spread": true}),
                "survivor",
                "spread",
            ),
            (
                json!({"survivor": {"interval_ms": 10}}),
                "survivor.interval_ms",
                "1000",
            ),
            (json!({"survivor": {"every": 1}}), "", "every"),
            (
                json!({"target": cluster, "spread": true}),
                "target",
                "spread",
            ),
        ];
        for (change, at, words) in cases {
            let (found, sentence) = service(change.clone()).unwrap_err();
            assert_eq!(found, at, "{change}");
            assert!(sentence.contains(words), "{change}: {sentence}");
        }
    }
}
