//! What survivor mode rests on.

use portolan_consensus::Revision;
use portolan_consensus::documents::{Document, Stored};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::plans::{ZonePlan, plans};
use crate::family::Family;
use crate::names::ZoneName;
use crate::survivor::SiteName;
use crate::world::World;

fn stored<D: Document + DeserializeOwned>(value: Value, revision: u64) -> Stored<D> {
    Stored {
        document: serde_json::from_value(value).unwrap(),
        created: Revision(1),
        modified: Revision(revision),
    }
}

fn site(code: &str, host: u8, member: Option<u64>, lines: &[&str]) -> Value {
    json!({"code": code, "member": member, "lines": lines,
           "addresses": {"ipv4": [format!("203.0.113.{host}")]}})
}

fn world(sites: &[Value], service: Value) -> World {
    let mut world = World::default();
    for (at, site) in sites.iter().enumerate() {
        let code = site["code"].as_str().unwrap().to_ascii_lowercase();
        world
            .sites
            .insert(code, stored(site.clone(), 3 + at as u64));
    }
    let mut body = json!({"name": "shop", "zone": "example.com", "record": "www", "types": ["A"],
                          "survivor": {"interval_ms": 5_000}});
    for (field, value) in service.as_object().unwrap() {
        body[field] = value.clone();
    }
    world.services.insert("shop".to_owned(), stored(body, 9));
    world
}

/// Each with a line of its own.
pub(super) fn two_sites() -> ZonePlan {
    let sites = [
        site("SH", 1, Some(1), &["CT"]),
        site("bj", 2, Some(2), &["CU"]),
    ];
    plan(&world(&sites, json!({}))).unwrap()
}

fn plan(world: &World) -> Option<ZonePlan> {
    plans(world).remove(&ZoneName::parse("example.com").unwrap())
}

fn orders(plan: &ZonePlan) -> Vec<String> {
    let rules = plan.rules.iter().map(|rule| {
        let takers: Vec<&str> = rule.takers.iter().map(SiteName::as_str).collect();
        format!("{} {} < {}", rule.key, rule.home, takers.join(" < "))
    });
    rules.collect()
}

#[test]
fn whose_line_it_is_comes_first_and_the_others_follow() {
    let plan = two_sites();
    let expected = ["shop: CT (ipv4) sh < bj", "shop: CU (ipv4) bj < sh"];
    assert_eq!(orders(&plan), expected);
    assert_eq!((plan.interval_ms, plan.revision, plan.floor), (5_000, 9, 0));
    assert_eq!(plan.parts(), [1, 2].into());
    let record = &plan.records[&plan.rules[0].key];
    assert_eq!(record.to_string(), "www.example.com A line CT");
    let found = plan.site_at(Family::Ipv4, &["203.0.113.1".to_owned()].into());
    assert_eq!(found.unwrap().as_str(), "sh");
    assert_eq!(
        plan.site_at(Family::Ipv4, &["192.0.2.1".to_owned()].into()),
        None
    );
}

#[test]
fn a_site_without_a_member_has_no_part() {
    let sites = [
        site("sh", 1, Some(1), &["CT"]),
        site("bj", 2, Some(2), &[]),
        site("hk", 3, None, &["default"]),
    ];
    let plan = plan(&world(&sites, json!({}))).unwrap();
    assert_eq!(
        orders(&plan),
        ["shop: CT (ipv4) sh < bj"],
        "hk could not say that it lives"
    );
    assert_eq!(plan.left_out.len(), 1, "{:?}", plan.left_out);
    assert!(plan.left_out[0].contains("no member stands at its site hk"));
}

#[test]
fn a_site_that_is_drained_forced_down_or_not_asked_has_no_part() {
    let with = |intent: &str| {
        let mut other = site("bj", 2, Some(2), &["CU"]);
        other["intent"] = json!(intent);
        [
            site("sh", 1, Some(1), &["CT"]),
            other,
            site("gz", 3, Some(3), &[]),
        ]
    };
    for intent in ["draining", "forced-down"] {
        let plan = plan(&world(&with(intent), json!({"lines": ["CT", "CU"]}))).unwrap();
        let expected = ["shop: CT (ipv4) sh < gz", "shop: CU (ipv4) gz < sh"];
        assert_eq!(orders(&plan), expected, "{intent}");
    }
    let some = json!({"target": {"sites": ["sh", "gz"]}});
    let plan = plan(&world(&with("auto"), some)).unwrap();
    assert_eq!(orders(&plan), ["shop: CT (ipv4) sh < gz"]);
}

#[test]
fn where_nobody_can_take_over_nothing_is_done() {
    let alone = world(&[site("sh", 1, Some(1), &["CT"])], json!({}));
    let found = plan(&alone).unwrap();
    assert!(found.rules.is_empty());
    assert!(
        found.left_out[0].contains("no other site"),
        "{:?}",
        found.left_out
    );
    let without = world(
        &[site("sh", 1, Some(1), &["CT"])],
        json!({"survivor": null}),
    );
    assert_eq!(plan(&without), None);
}
