//! What shall stand in a zone: the operator's own records and those of services, pure.
//!
//! A service's record sets follow from who serves its lines and which addresses those have. Where that
//! is not known, what stands there is kept.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::assign::{Owner, Owners};
use crate::family::Family;
use crate::names::{DomainName, LineCode, RecordType, SetId, SiteCode};
use crate::plan::{Refusal, Wanted};
use crate::provider::{Caps, RecordKey, RecordValue};
use crate::services::{Service, Target, WithoutLines};

/// The addresses of sites, as far as they are known.
pub(crate) type SiteAddresses = BTreeMap<(SiteCode, Family), Vec<IpAddr>>;

/// A service and what decides its records.
pub(crate) struct Served {
    pub(crate) service: Service,
    pub(crate) owners: Owners,
    /// The nodes of the cluster that it follows, or why they are not known.
    pub(crate) nodes: Option<Result<Vec<IpAddr>, String>>,
}

/// What shall stand in a zone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Composed {
    /// Sorted by key.
    pub(crate) wanted: Vec<Wanted>,
    /// Sets that stay as they are, and why.
    pub(crate) kept: BTreeMap<RecordKey, String>,
    /// What cannot be wanted.
    pub(crate) refused: Vec<Refusal>,
}

/// Joins the operator's records with those of the zone's services.
pub(crate) fn compose(
    records: Vec<Wanted>,
    services: &[Served],
    sites: &SiteAddresses,
    weights: &BTreeMap<SiteCode, u32>,
    caps: &Caps,
) -> Composed {
    let mut composition = Composition {
        wanted: records.into_iter().map(|it| (it.key.clone(), it)).collect(),
        out: Composed::default(),
        sites,
        weights,
        caps,
    };
    for served in services {
        composition.add(served);
    }
    composition.out.wanted = composition.wanted.into_values().collect();
    composition.out
}

struct Composition<'a> {
    wanted: BTreeMap<RecordKey, Wanted>,
    out: Composed,
    sites: &'a SiteAddresses,
    weights: &'a BTreeMap<SiteCode, u32>,
    caps: &'a Caps,
}

impl Composition<'_> {
    fn add(&mut self, served: &Served) {
        // Checked when it was stored.
        let Ok(name) = served.service.domain() else {
            return;
        };
        match &served.service.target {
            Target::Sites(_) => self.add_lines(served, &name),
            Target::Cluster(_) => self.add_nodes(served, &name),
        }
    }

    fn add_lines(&mut self, served: &Served, name: &DomainName) {
        for (line, families) in &served.owners.lines {
            if !line.is_default() && !self.caps.features.lines {
                if served.service.without_lines == WithoutLines::Refuse {
                    for family in families.keys() {
                        self.refuse_line(&record_key(name, *family, line), served);
                    }
                }
                continue;
            }
            for (family, owner) in families {
                let key = record_key(name, *family, line);
                match self.values(&served.service, owner, *family) {
                    Ok(values) => {
                        let why = format!("{line}: {}", owner.why);
                        self.want(served, key, values, why);
                    }
                    Err(why) => {
                        self.out.kept.insert(key, why);
                    }
                }
            }
        }
    }

    fn refuse_line(&mut self, key: &RecordKey, served: &Served) {
        let service = &served.service.name;
        let reason = format!(
            "the provider has no lines, and the service {service} says `\"without_lines\": \
             \"refuse\"`; let it be `default`, or serve the zone with a provider that has lines"
        );
        let key = key.clone();
        self.out.refused.push(Refusal { key, reason });
    }

    /// The owners' addresses; the error says why they are not known.
    fn values(
        &self,
        service: &Service,
        owner: &Owner,
        family: Family,
    ) -> Result<Vec<RecordValue>, String> {
        let weighted = service.spread && self.caps.features.weights && owner.sites.len() > 1;
        let mut values: Vec<RecordValue> = Vec::new();
        for code in &owner.sites {
            let addresses = self.sites.get(&(code.clone(), family));
            let weight = weighted.then(|| self.weights.get(code).copied().unwrap_or(1));
            for address in addresses.into_iter().flatten() {
                let content = address.to_string();
                if values.iter().all(|value| value.content != content) {
                    values.push(RecordValue {
                        content,
                        weight,
                        enabled: true,
                    });
                }
            }
        }
        values.sort();
        if values.is_empty() {
            let sites: Vec<&str> = owner.sites.iter().map(SiteCode::as_str).collect();
            let sites = sites.join(", ");
            return Err(format!("kept: no {family} address of {sites} is known"));
        }
        Ok(values)
    }

    fn add_nodes(&mut self, served: &Served, name: &DomainName) {
        let unknown = Err("the cluster's nodes are not known yet".to_owned());
        let nodes = served.nodes.as_ref().unwrap_or(&unknown);
        let lines = served.service.lines.clone();
        let lines = lines.unwrap_or_else(|| [LineCode::default_line()].into());
        for rtype in &served.service.types {
            let family = rtype.family();
            let addresses: Vec<IpAddr> = match nodes {
                Ok(nodes) => {
                    let of_family = nodes.iter().filter(|node| Family::of(**node) == family);
                    of_family.copied().collect()
                }
                Err(_) => Vec::new(),
            };
            for line in &lines {
                let key = record_key(name, family, line);
                match nodes {
                    Err(why) => {
                        self.out.kept.insert(key, format!("kept: {why}"));
                    }
                    // A cluster of the other family alone is nothing unusual.
                    Ok(_) if addresses.is_empty() => {
                        let why = format!("kept: the cluster has no {family} node for it");
                        self.out.kept.insert(key, why);
                    }
                    Ok(_) => {
                        let values = addresses
                            .iter()
                            .map(|address| RecordValue::plain(address.to_string()));
                        let mut values: Vec<RecordValue> = values.collect();
                        values.sort();
                        values.dedup();
                        let why = "follows the cluster's topology".to_owned();
                        self.want(served, key, values, why);
                    }
                }
            }
        }
    }

    fn want(&mut self, served: &Served, key: RecordKey, values: Vec<RecordValue>, why: String) {
        if self.wanted.contains_key(&key) {
            let reason = format!(
                "the service {} has this record set, and it also stands somewhere else in what is \
                 wanted: take it out there, or delete the service",
                served.service.name
            );
            self.out.refused.push(Refusal { key, reason });
            return;
        }
        let wanted = Wanted {
            key: key.clone(),
            ttl: served.service.ttl,
            values,
            adopt: served.service.adopt,
            why: Some(why),
        };
        self.wanted.insert(key, wanted);
    }
}

/// The record set of a name on a line, of addresses of one family.
pub(crate) fn record_key(name: &DomainName, family: Family, line: &LineCode) -> RecordKey {
    RecordKey {
        name: name.clone(),
        rtype: RecordType::of_family(family),
        line: line.clone(),
        set_id: SetId::none(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::provider::Features;
    use crate::tests::fixtures::wanted;

    fn caps(lines: bool, weights: bool) -> Caps {
        Caps {
            features: Features {
                lines,
                weights,
                ..Features::default()
            },
            ..Caps::default()
        }
    }

    fn served(change: Value, owners: Value) -> Served {
        let mut body = json!({"name": "s", "zone": "example.com", "record": "www", "types": ["A"]});
        for (field, value) in change.as_object().unwrap() {
            body[field] = value.clone();
        }
        let line =
            |sites: &Value| json!({"ipv4": {"sites": sites, "since_ms": 1, "why": "sh is down"}});
        let lines: serde_json::Map<String, Value> = owners
            .as_object()
            .unwrap()
            .iter()
            .map(|(code, sites)| (code.clone(), line(sites)))
            .collect();
        Served {
            service: serde_json::from_value(body).unwrap(),
            owners: serde_json::from_value(json!({ "lines": lines })).unwrap(),
            nodes: None,
        }
    }

    fn addresses() -> SiteAddresses {
        let of = |code: &str, address: &str| {
            let code = SiteCode::parse(code).unwrap();
            ((code, Family::Ipv4), vec![address.parse().unwrap()])
        };
        [of("bj", "203.0.113.1"), of("sh", "203.0.113.3")].into()
    }

    fn composed(served: Served, records: Vec<Wanted>, caps: &Caps) -> Composed {
        let weights = [(SiteCode::parse("bj").unwrap(), 3)].into();
        compose(records, &[served], &addresses(), &weights, caps)
    }

    fn shown(composed: &Composed) -> Vec<String> {
        let sets = composed.wanted.iter();
        sets.map(|it| format!("{} {}", it.key, it.to_set().data))
            .collect()
    }

    #[test]
    fn each_line_has_the_addresses_of_its_owner() {
        let served = served(json!({}), json!({"CT": ["bj"], "default": ["sh"]}));
        let composed = composed(served, vec![], &caps(true, true));
        let expected = [
            "www.example.com A line CT 60s 203.0.113.1",
            "www.example.com A 60s 203.0.113.3",
        ];
        assert_eq!(shown(&composed), expected);
        assert_eq!(composed.wanted[0].why.as_deref(), Some("CT: sh is down"));
    }

    #[test]
    fn weights_are_given_where_the_provider_has_them() {
        let spread = || served(json!({"spread": true}), json!({"CT": ["sh", "bj"]}));
        let weighted = composed(spread(), vec![], &caps(true, true));
        assert_eq!(
            shown(&weighted),
            ["www.example.com A line CT 60s 203.0.113.1 (weight 3) 203.0.113.3 (weight 1)"]
        );
        let plain = composed(spread(), vec![], &caps(true, false));
        assert_eq!(
            shown(&plain),
            ["www.example.com A line CT 60s 203.0.113.1 203.0.113.3"]
        );
    }

    #[test]
    fn without_an_address_what_stands_is_kept() {
        let served = served(json!({}), json!({"CT": ["hk"]}));
        let composed = composed(served, vec![], &caps(true, true));
        assert_eq!(composed.wanted, []);
        let (key, why) = composed.kept.first_key_value().unwrap();
        assert_eq!(key.to_string(), "www.example.com A line CT");
        assert_eq!(why, "kept: no ipv4 address of hk is known");
    }

    #[test]
    fn a_provider_without_lines_gets_the_default_line_or_a_refusal() {
        let owners = json!({"CT": ["bj"], "default": ["sh"]});
        let lenient = composed(
            served(json!({}), owners.clone()),
            vec![],
            &caps(false, false),
        );
        assert_eq!(shown(&lenient), ["www.example.com A 60s 203.0.113.3"]);
        assert_eq!(lenient.refused, []);
        let strict = served(json!({"without_lines": "refuse"}), owners);
        let strict = composed(strict, vec![], &caps(false, false));
        assert_eq!(strict.refused.len(), 1);
        assert!(strict.refused[0].reason.contains("without_lines"));
    }

    #[test]
    fn one_record_set_has_one_source() {
        let own = wanted("www A CT", &["192.0.2.1"]);
        let served = served(json!({}), json!({"CT": ["bj"]}));
        let composed = composed(served, vec![own.clone()], &caps(true, true));
        assert_eq!(composed.wanted, [own]);
        assert_eq!(composed.refused.len(), 1);
    }

    #[test]
    fn a_service_follows_the_nodes_of_a_cluster() {
        let follow = |nodes| {
            let target = json!({"target": {"namespace": "ns", "cluster": "c", "shard": 0}});
            let mut served = served(target, json!({}));
            served.nodes = Some(nodes);
            composed(served, vec![], &caps(true, true))
        };
        let master = follow(Ok(vec!["192.0.2.7".parse().unwrap()]));
        assert_eq!(shown(&master), ["www.example.com A 60s 192.0.2.7"]);
        let unknown = follow(Err("the cluster c does not exist".to_owned()));
        let whys: Vec<&String> = unknown.kept.values().collect();
        assert_eq!(whys, ["kept: the cluster c does not exist"]);
        assert_eq!(follow(Ok(vec![])).kept.len(), 1);
    }
}
