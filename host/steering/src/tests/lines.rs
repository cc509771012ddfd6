//! Lines that follow the health of sites: from a check that fails to the record that moves.

use std::sync::Arc;

use portolan_consensus::{Space, Txn};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use super::fixtures::{Rig, eventually};
use crate::outbound::stub::{Answer, Stub};
use crate::sites::{SiteOrder, SiteState};

/// A server at one of this machine's loopback addresses, which can be killed and started again.
struct Server {
    address: String,
    port: u16,
    running: Option<AbortOnDropHandle<()>>,
}

impl Server {
    async fn start(address: &str, port: u16) -> Self {
        let listener = TcpListener::bind((address, port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting: JoinHandle<()> = tokio::spawn(async move {
            loop {
                let _ = listener.accept().await;
            }
        });
        Self {
            address: address.to_owned(),
            port,
            running: Some(AbortOnDropHandle::new(accepting)),
        }
    }

    async fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            let _ = running.await;
        }
    }

    async fn restart(&mut self) {
        *self = Self::start(&self.address, self.port).await;
    }
}

/// Two sites: `bj` serves CU and the rest, `sh` serves CT. Each has a server that is checked.
struct Stage {
    rig: Rig,
    bj: Server,
    sh: Server,
}

const BJ: &str = "127.0.0.2";
const SH: &str = "127.0.0.3";

impl Stage {
    async fn new() -> Self {
        let rig = Rig::bound().await;
        let bj = Server::start(BJ, 0).await;
        let sh = Server::start(SH, bj.port).await;
        let stage = Self { rig, bj, sh };
        stage.site("bj", BJ, json!(["default", "CU"])).await;
        stage.site("sh", SH, json!(["CT"])).await;
        stage
    }

    async fn site(&self, code: &str, address: &str, lines: Value) {
        let body = json!({"lines": lines, "addresses": {"ipv4": [address]}});
        self.rig.steering.put_site(code, body, None).await.unwrap();
    }

    async fn service(&self, change: Value) {
        let check = json!({
            "type": "tcp", "port": self.bj.port, "interval_ms": 200, "timeout_ms": 200,
            "down_after": 2, "up_after": 2, "stable_ms": 300,
        });
        let mut body = json!({
            "zone": "example.com", "record": "www", "types": ["A"], "ttl": 60, "check": check,
        });
        for (field, value) in change.as_object().unwrap() {
            body[field] = value.clone();
        }
        let steering = &self.rig.steering;
        steering.put_service("shop", body, None).await.unwrap();
    }

    /// The address that a line of the service has in the zone.
    fn at(&self, line: &str) -> Vec<String> {
        let data = self.rig.at(&format!("www A {line}"));
        let values = data.map(|data| data.values).unwrap_or_default();
        values.into_iter().map(|value| value.content).collect()
    }

    async fn line_is(&self, line: &str, address: &str) {
        eventually(&format!("{line} is at {address}"), || {
            self.at(line) == [address]
        })
        .await;
    }

    async fn events(&self) -> Vec<String> {
        let events = self.rig.steering.events().await.unwrap();
        events.into_iter().map(|event| event.text).collect()
    }
}

#[tokio::test]
async fn a_dead_sites_line_moves_and_comes_back() {
    let mut stage = Stage::new().await;
    let work = stage.rig.work();
    stage.service(json!({})).await;
    stage.line_is("CT", SH).await;
    stage.line_is("CU", BJ).await;
    stage.line_is("default", BJ).await;

    stage.sh.kill().await;
    stage.line_is("CT", BJ).await;
    assert_eq!(stage.at("CU"), [BJ]);
    let service = stage.rig.steering.service("shop").await.unwrap();
    let shown = serde_json::to_value(service).unwrap();
    let owner = &shown["served_by"]["CT"]["ipv4"];
    assert_eq!(owner["sites"], json!(["bj"]));
    assert_eq!(owner["why"], "sh is down");

    stage.sh.restart().await;
    stage.line_is("CT", SH).await;
    let events = stage.events().await.join("\n");
    for told in [
        "shop at sh: down (tcp :",
        "1 of 1 voters see it down",
        "shop: CT (ipv4) goes from sh to bj: sh is down",
        "shop at sh: up again",
        "shop: CT (ipv4) goes from bj to sh: sh is back",
    ] {
        assert!(events.contains(told), "{told} is missing:\n{events}");
    }
    assert_eq!(stage.rig.metric("portolan_dns_line_moves_total"), 2.0);
    let history = stage.rig.steering.history("example.com").await.unwrap();
    let reasons: Vec<&str> = history.iter().map(|entry| entry.reason.as_str()).collect();
    assert!(reasons.contains(&"CT: sh is down"), "{reasons:?}");
    work.stop().await;
}

#[tokio::test]
async fn with_all_sites_down_the_records_stay() {
    let mut stage = Stage::new().await;
    let work = stage.rig.work();
    stage.service(json!({})).await;
    stage.line_is("CT", SH).await;
    stage.line_is("CU", BJ).await;
    stage.bj.kill().await;
    stage.line_is("CU", SH).await;
    stage.sh.kill().await;
    eventually("both are down", || {
        let world = stage.rig.steering.world();
        world.verdicts.values().all(|it| !it.document.up)
    })
    .await;
    stage.rig.in_sync().await;
    assert_eq!(stage.at("CT"), [SH]);
    assert_eq!(stage.at("CU"), [SH]);
    assert_eq!(stage.at("default"), [SH]);
    work.stop().await;
}

#[tokio::test]
async fn operators_drain_force_and_resume() {
    let stage = Stage::new().await;
    let work = stage.rig.work();
    stage.service(json!({})).await;
    stage.line_is("CT", SH).await;
    let steering = Arc::clone(&stage.rig.steering);
    let order = |code: &'static str, order| {
        let steering = Arc::clone(&steering);
        async move { steering.order_site(code, order).await.unwrap().state }
    };
    assert_eq!(order("sh", SiteOrder::Drain).await, SiteState::Draining);
    stage.line_is("CT", BJ).await;
    assert_eq!(order("sh", SiteOrder::Resume).await, SiteState::Up);
    stage.line_is("CT", SH).await;
    let down = SiteOrder::Force { up: false };
    assert_eq!(order("bj", down).await, SiteState::Forced);
    stage.line_is("CU", SH).await;
    let unknown = steering.order_site("hk", SiteOrder::Drain).await;
    assert!(unknown.unwrap_err().to_string().contains("hk"));
    work.stop().await;
}

#[tokio::test]
async fn what_is_somebody_elses_is_not_touched() {
    let stage = Stage::new().await;
    let work = stage.rig.work();
    let foreign = super::fixtures::set("www A CT", &["198.51.100.1"]);
    stage.rig.twin.put(foreign);
    stage.service(json!({})).await;
    stage.line_is("CU", BJ).await;
    stage.rig.in_sync().await;
    assert_eq!(stage.at("CT"), ["198.51.100.1"]);
    let status = stage.rig.status().await;
    assert_eq!(status.refused, 1);

    stage.service(json!({"adopt": true})).await;
    stage.line_is("CT", SH).await;
    work.stop().await;
}

#[tokio::test]
async fn a_deleted_service_takes_its_records_along() {
    let stage = Stage::new().await;
    let work = stage.rig.work();
    stage.rig.want(&[("other A", &["192.0.2.9"])]).await;
    stage.service(json!({})).await;
    stage.line_is("CT", SH).await;
    let steering = &stage.rig.steering;
    let clash = json!({"records": [
        {"name": "www", "type": "A", "ttl": 60, "values": ["192.0.2.1"]},
    ]});
    let refused = steering
        .put_records("example.com", clash, None, false)
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.at(), Some("records[0]"));
    assert!(
        refused.to_string().contains("the service shop"),
        "{refused}"
    );

    steering.delete_service("shop", None).await.unwrap();
    eventually("the service's records are gone", || {
        stage.at("CT").is_empty() && stage.at("default").is_empty()
    })
    .await;
    assert!(stage.rig.at("other A").is_some());
    assert!(steering.service("shop").await.is_err());
    work.stop().await;
}

#[tokio::test]
async fn wrong_sites_and_services_are_refused_with_the_place() {
    let stage = Stage::new().await;
    let steering = &stage.rig.steering;
    let service = |change: Value| {
        let mut body = json!({"zone": "example.com", "record": "www"});
        for (field, value) in change.as_object().unwrap() {
            body[field] = value.clone();
        }
        steering.put_service("other", body, None)
    };
    stage.service(json!({})).await;
    let cases = [
        (json!({"zone": "example.org"}), "no provider serves"),
        (
            json!({"target": {"sites": ["hk"]}}),
            "no site has the code hk",
        ),
        (
            json!({"record": "www"}),
            "the service shop has these records",
        ),
        (json!({"name": "third"}), "the path says other"),
        (json!({"check": {"type": "tcp", "port": 0}}), "port"),
        (json!({"colour": 1}), "colour"),
    ];
    for (change, words) in cases {
        let error = service(change.clone()).await.unwrap_err();
        assert!(error.to_string().contains(words), "{change}: {error}");
    }
    let taken = steering.put_site("SH", json!({}), None).await.unwrap_err();
    assert!(taken.to_string().contains("differ in more than their case"));
    let member = json!({"member": 1});
    steering
        .patch_site("sh", member.clone(), None)
        .await
        .unwrap();
    let second = steering.patch_site("bj", member, None).await.unwrap_err();
    assert!(second.to_string().contains("stands at the site sh already"));
}

#[tokio::test]
async fn a_service_follows_the_nodes_of_a_cluster() {
    let stage = Stage::new().await;
    let (steering, clusters) = (&stage.rig.steering, &stage.rig.clusters);
    let work = stage.rig.work();
    clusters.are_at(&["192.0.2.1"]);
    let target = json!({"namespace": "ns", "cluster": "cart", "shard": 0, "role": "master"});
    let body = json!({
        "zone": "example.com", "record": "cart", "types": ["A"], "target": target,
    });
    steering.put_service("cart", body, None).await.unwrap();
    let at = |address: &str| {
        let data = stage.rig.at("cart A");
        data.is_some_and(|data| data.contents().into_iter().eq([address]))
    };
    eventually("the record holds the master", || at("192.0.2.1")).await;
    stage.rig.in_sync().await;

    // A failover, as the store tells it.
    clusters.are_at(&["192.0.2.2"]);
    let txn = Txn::new().put(Space::Shards, "cluster/ns/cart", "changed");
    stage.rig.member.txn(txn).await.unwrap();
    eventually("the record follows", || at("192.0.2.2")).await;

    // A cluster of whose nodes nothing is known keeps its record.
    clusters.are_at(&[]);
    let txn = Txn::new().put(Space::Shards, "cluster/ns/cart", "changed again");
    stage.rig.member.txn(txn).await.unwrap();
    stage.rig.in_sync().await;
    assert!(at("192.0.2.2"));
    work.stop().await;
}

#[tokio::test]
async fn a_member_finds_the_address_of_its_site() {
    let stage = Stage::new().await;
    let work = stage.rig.work();
    stage.service(json!({})).await;
    stage.line_is("CT", SH).await;
    let found = json!({
        "member": stage.rig.member.id(),
        "lines": ["CT"],
        "addresses": {"ipv4": {"detect": [
            {"method": "interface", "name": "lo", "allow_private": true},
        ]}},
        "check_address": SH,
    });
    let steering = &stage.rig.steering;
    steering.put_site("sh", found, None).await.unwrap();
    stage.line_is("CT", "127.0.0.1").await;
    let events = stage.events().await.join("\n");
    let told = "the site sh has the ipv4 address 127.0.0.1";
    assert!(events.contains(told), "{events}");
    work.stop().await;
}

#[tokio::test]
async fn webhooks_are_told_of_an_alarm_and_of_its_end() {
    let mut stage = Stage::new().await;
    let work = stage.rig.work();
    let hook = Stub::new([Answer::ok("ok")]).await;
    let steering = Arc::clone(&stage.rig.steering);
    let body = json!({"url": format!("{}token", hook.url()), "allow_private": true,
        "kinds": ["service-down"]});
    let (view, revision) = steering.put_webhook("ops", body, None).await.unwrap();
    assert!(!view.url.contains("token"), "{}", view.url);
    stage.service(json!({})).await;
    stage.line_is("CT", SH).await;

    stage.sh.kill().await;
    let told = |state: &'static str| {
        let asked = hook.asked();
        asked
            .iter()
            .filter(|it| it.json()["state"] == state)
            .count()
    };
    eventually("the alarm is told", || told("firing") == 1).await;
    let fired = hook.asked()[0].json();
    assert_eq!(fired["kind"], "service-down");
    assert_eq!(fired["subject"], "shop at sh");
    stage.sh.restart().await;
    eventually("its end is told", || told("resolved") == 1).await;
    assert_eq!(told("firing"), 1, "once");

    // What an answer shows can be sent back, and the secret stays.
    let shown = serde_json::to_value(view).unwrap();
    steering
        .put_webhook("ops", shown, Some(revision))
        .await
        .unwrap();
    steering.test_webhook("ops").await.unwrap();
    assert!(hook.asked().last().unwrap().line.contains("/token"));
    let misspelt = json!({"url": hook.url(), "allow_private": true, "kinds": ["sight-down"]});
    let refused = steering
        .put_webhook("ops", misspelt, None)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("site-down"), "{refused}");
    steering.delete_webhook("ops", None).await.unwrap();
    assert!(steering.webhook("ops").await.is_err());
    work.stop().await;
}

#[tokio::test]
async fn a_patch_says_never_with_null() {
    let stage = Stage::new().await;
    let steering = &stage.rig.steering;
    let never = json!({"fallback": null});
    let site = steering.patch_site("sh", never, None).await.unwrap();
    let site = serde_json::to_value(site).unwrap();
    assert_eq!(site["fallback"], Value::Null);
    let named = steering
        .patch_site("sh", json!({"name": "Shanghai"}), None)
        .await;
    let named = serde_json::to_value(named.unwrap()).unwrap();
    assert_eq!(named["fallback"], Value::Null, "another patch leaves it");
}
