//! Migration policies: the ones that ship, and the ways in which one may misbehave.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails says so"
)]

mod common;

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    component, grants, guest_policy, manifest, options, put, sandbox, shipped, with_manifest,
};
use portolan_sandbox::{
    CallError, LoadError, MigrationPolicy, PluginKind, Plugins, PolicyError, Sandbox,
    migration::{
        Budget, Limits, Metric, NoPolicy, Node, Role, Shard, SlotRange, SlotStatistics, Snapshot,
        Trigger,
    },
};
use serde_json::{Value, json};

const BUDGET: Budget = Budget {
    max_moves: 100,
    max_slots: 16_384,
    max_bytes: None,
};

fn range(first: u16, last: u16) -> SlotRange {
    SlotRange { first, last }
}

/// Two shards that share all slots, of which the first carries nearly all of the load, and an empty
/// one.
fn snapshot() -> Snapshot {
    let slots = [vec![range(0, 8_191)], vec![range(8_192, 16_383)], vec![]];
    let shards = slots.into_iter().zip(0..).map(|(slots, index)| Shard {
        id: 100 + u64::from(index),
        index,
        slots,
        weight: 100,
        zone: Some("home".into()),
        labels: vec![("disk".into(), "fast".into())],
        draining: false,
    });
    let nodes = (0..3).map(|shard| Node {
        id: format!("node-{shard}"),
        shard,
        role: Role::Master,
        reachable: true,
        lag: None,
        disk_used: Some(1 << 30),
        disk_total: Some(1 << 40),
        memory_used: None,
        memory_total: None,
    });
    let statistics = |range, ops| SlotStatistics {
        range,
        keys: Some(10),
        bytes: Some(1 << 20),
        ops_per_second: Some(ops),
        cpu_usec_per_second: None,
        network_bytes_per_second: None,
    };
    Snapshot {
        cluster: "orders".into(),
        namespace: "shop".into(),
        version: 3,
        sampled_at_ms: 1_700_000_000_000,
        sample_age_ms: 1_000,
        shards: shards.collect(),
        nodes: nodes.collect(),
        statistics: vec![
            statistics(range(0, 99), 9_000.0),
            statistics(range(100, 8_191), 3_000.0),
            statistics(range(8_192, 16_383), 3_000.0),
        ],
        active: Vec::new(),
        recent: Vec::new(),
        limits: Limits {
            cool_down_ms: 600_000,
            max_slots_per_move: None,
            max_fill_percent: Some(90),
        },
        excluded: Vec::new(),
        trigger: Trigger::Manual,
        seed: 1,
    }
}

async fn policy(sandbox: &Arc<Sandbox>, name: &str) -> MigrationPolicy {
    let plugin = sandbox.load(shipped(name)).await.unwrap();
    assert_eq!(plugin.kind(), PluginKind::MigrationPolicy);
    assert!(plugin.imports().iter().all(|import| {
        ["portolan:plugin/log@", "wasi:cli/", "wasi:io/"]
            .iter()
            .any(|known| import.starts_with(known))
    }));
    plugin.policy("shop/orders")
}

fn policy_manifest(name: &str) -> Value {
    let mut manifest = manifest(name);
    manifest["world"] = json!("portolan:migration/migration-policy@0.1.0");
    manifest["settings"] = json!({ "type": "object" });
    manifest
}

async fn misbehaving(sandbox: &Arc<Sandbox>) -> MigrationPolicy {
    let component = with_manifest(&guest_policy(), &policy_manifest("fixture"));
    sandbox.load(component).await.unwrap().policy("shop/orders")
}

#[tokio::test(flavor = "multi_thread")]
async fn even_slots_levels_the_numbers_of_slots() {
    let sandbox = sandbox(options());
    let policy = policy(&sandbox, "even-slots").await;
    let about = policy.describe().await.unwrap();
    assert_eq!(
        about.triggers,
        [Trigger::Manual, Trigger::ScaleOut, Trigger::Periodic]
    );
    assert_eq!(about.metrics, [Metric::Bytes, Metric::Keys]);

    let plan = policy
        .plan(&snapshot(), &Value::Null, BUDGET)
        .await
        .unwrap();
    let slots: usize = plan
        .moves
        .iter()
        .map(|m| usize::from(m.range.last - m.range.first) + 1)
        .sum();
    assert_eq!((plan.moves.len(), slots), (2, 5_461));
    assert!(
        plan.moves
            .iter()
            .all(|m| m.to_shard == 102 && !m.text.is_empty())
    );
    assert!(plan.score_before > 33.0 && plan.score_after == 0.0);
    let again = policy
        .plan(&snapshot(), &Value::Null, BUDGET)
        .await
        .unwrap();
    assert_eq!(plan, again);

    let kept = serde_json::to_value(&plan).unwrap();
    assert_eq!(kept["moves"][0]["from_shard"], 101);
    assert_eq!(
        serde_json::from_value::<portolan_sandbox::migration::Plan>(kept).unwrap(),
        plan
    );
    let kept = serde_json::to_string(&snapshot()).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&kept).unwrap(), snapshot());
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_empties_what_is_marked_or_named() {
    let sandbox = sandbox(options());
    let policy = policy(&sandbox, "drain").await;
    assert_eq!(policy.describe().await.unwrap().triggers[0], Trigger::Drain);
    let idle = policy.plan(&snapshot(), &json!({}), BUDGET).await.unwrap();
    assert_eq!(idle.nothing_to_do, ["no shard is marked as draining"]);

    let named = policy
        .plan(&snapshot(), &json!({ "shards": [101] }), BUDGET)
        .await
        .unwrap();
    assert!(named.moves.iter().all(|m| m.from_shard == 101));
    assert_eq!((named.score_before, named.score_after), (50.0, 0.0));
    let error = policy
        .plan(&snapshot(), &json!({ "shards": [7] }), BUDGET)
        .await
        .unwrap_err();
    let CallError::Policy {
        error: PolicyError::Invalid(text),
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(text, "`shards` names 7, and the cluster has 100, 101, 102");
}

#[tokio::test(flavor = "multi_thread")]
async fn hot_slots_moves_load() {
    let sandbox = sandbox(options());
    let policy = policy(&sandbox, "hot-slots").await;
    assert_eq!(policy.describe().await.unwrap().metrics.len(), 5);
    let settings = json!({ "metric": "ops" });
    policy.validate(&settings).await.unwrap();
    let plan = policy.plan(&snapshot(), &settings, BUDGET).await.unwrap();
    let first = &plan.moves[0];
    assert_eq!(
        (first.from_shard, first.to_shard, first.reason.as_str()),
        (100, 102, "hot")
    );
    assert!(first.range.last < 100, "{first:?}");
    assert!(plan.score_after < plan.score_before);
}

/// Every slot of a hundred shards with numbers of its own, in pieces of eight slots.
fn large() -> Snapshot {
    let mut snapshot = snapshot();
    let shard = |index: u32| Shard {
        id: 100 + u64::from(index),
        index,
        slots: (0..2_048_u16)
            .filter(|piece| u32::from(*piece) % 90 == index)
            .map(|piece| range(piece * 8, piece * 8 + 7))
            .collect(),
        draining: index.is_multiple_of(7),
        ..snapshot.shards[0].clone()
    };
    snapshot.shards = (0..100).map(shard).collect();
    let node = |index: u32| Node {
        id: format!("node-{index}"),
        shard: index,
        ..snapshot.nodes[0].clone()
    };
    snapshot.nodes = (0..100).map(node).collect();
    let numbers = |slot: u16| SlotStatistics {
        range: range(slot, slot),
        ops_per_second: Some(f64::from(slot % 90) * 100.0),
        bytes: Some(u64::from(slot) << 10),
        ..snapshot.statistics[0]
    };
    snapshot.statistics = (0..16_384).map(numbers).collect();
    snapshot
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_cluster_is_planned_within_the_limits() {
    let sandbox = sandbox(options());
    for name in ["even-slots", "drain", "hot-slots"] {
        let policy = policy(&sandbox, name).await;
        let began = Instant::now();
        let plan = policy.plan(&large(), &json!({}), BUDGET).await.unwrap();
        println!(
            "{name}: {} moves in {:?}",
            plan.moves.len(),
            began.elapsed()
        );
        assert!(plan.moves.len() > 20, "{name}: {:?}", plan.nothing_to_do);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_are_refused_with_the_place_that_is_wrong() {
    let sandbox = sandbox(options());
    for (name, settings, expected) in [
        (
            "even-slots",
            json!({ "threshold_percent": "2" }),
            "settings /threshold_percent",
        ),
        (
            "even-slots",
            json!({ "weights": { "100": -1 } }),
            "settings /weights/100",
        ),
        ("even-slots", json!({ "treshold": 2 }), "treshold"),
        ("drain", json!({ "shards": [] }), "settings /shards"),
        ("drain", json!({ "shards": [1, "b"] }), "settings /shards/1"),
        ("hot-slots", json!({ "metric": "heat" }), "settings /metric"),
        (
            "hot-slots",
            json!({ "threshold_percent": 0 }),
            "settings /threshold_percent",
        ),
        ("hot-slots", json!([]), "must be a JSON object"),
    ] {
        let policy = policy(&sandbox, name).await;
        let error = policy.validate(&settings).await.unwrap_err();
        assert!(matches!(error, CallError::Binding { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        assert!(policy.plan(&snapshot(), &settings, BUDGET).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_pure_is_refused() {
    let sandbox = sandbox(options());
    let manifest = policy_manifest("leaky");
    for (import, expected) in [
        (
            "wasi:http/outgoing-handler@0.2.0",
            "a plan depends on nothing but the snapshot",
        ),
        (
            "portolan:plugin/http@0.1.0",
            "a plan depends on nothing but the snapshot",
        ),
        (
            "portolan:plugin/credentials@0.1.0",
            "a plan depends on nothing but the snapshot",
        ),
        (
            "portolan:plugin/clock@0.1.0",
            "take the time from the snapshot",
        ),
        (
            "wasi:clocks/wall-clock@0.2.0",
            "take the time from the snapshot",
        ),
        ("wasi:random/random@0.2.0", "use the snapshot's seed"),
        (
            "wasi:sockets/tcp@0.2.0",
            "a plan depends on nothing but the snapshot",
        ),
    ] {
        let text = format!(
            r#"(component (import "{import}" (instance)) (instance $empty)
                (export "portolan:migration/policy@0.1.0" (instance $empty)))"#
        );
        let bytes = with_manifest(&wat::parse_str(text).unwrap(), &manifest);
        let error = sandbox.load(bytes).await.err().expect("it loads");
        assert!(
            matches!(error, LoadError::ForbiddenImport { .. }),
            "{error}"
        );
        let error = error.to_string();
        let begin = format!("it imports `{import}`, which a migration policy does not get: ");
        assert!(
            error.starts_with(&begin) && error.contains(expected),
            "{error}"
        );
        assert!(error.ends_with("it may import portolan:plugin/log, and wasi:cli and wasi:io"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_misbehaves_ends_its_own_call() {
    let sandbox = sandbox(options());
    let policy = misbehaving(&sandbox).await;
    let act = |act: &str| {
        let (policy, settings) = (policy.clone(), json!({ "act": act }));
        async move { policy.plan(&snapshot(), &settings, BUDGET).await }
    };

    let began = Instant::now();
    for (what, kind) in [
        ("loop", "compute"),
        ("memory", "memory"),
        ("panic", "trap"),
        ("flood", "answer"),
        ("steal", "answer"),
        ("unusable", "unusable"),
        ("wrong", "invalid"),
    ] {
        let error = act(what).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error}");
    }
    assert!(began.elapsed() < Duration::from_secs(20));
    let stolen = act("steal").await.unwrap_err().to_string();
    assert!(
        stolen.contains("slot 0 is not shard 101's to give"),
        "{stolen}"
    );
    let panicked = act("panic").await.unwrap_err().to_string();
    assert!(panicked.contains("I gave up"), "{panicked}");

    // Every call is the first one, and there is nothing around it.
    for _ in 0..2 {
        let plan = act("around").await.unwrap();
        assert_eq!(plan.nothing_to_do, ["call 1, Ok(0), around: []"]);
    }
    let (calls, failures) = policy.plugin().counts();
    assert_eq!((calls, failures), (11, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_keeps_failing_is_left_alone_for_this_cluster() {
    let mut options = options();
    options.breaker_failures = 2;
    let sandbox = sandbox(options);
    let policy = misbehaving(&sandbox).await;
    let broken = json!({ "act": "panic" });
    for _ in 0..2 {
        policy.plan(&snapshot(), &broken, BUDGET).await.unwrap_err();
    }
    let error = policy
        .plan(&snapshot(), &json!({ "act": "fine" }), BUDGET)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "breaker");
    assert!(
        error.to_string().contains("binding `shop/orders`"),
        "{error}"
    );
    let other = policy.plugin().policy("shop/carts");
    other
        .plan(&snapshot(), &json!({ "act": "fine" }), BUDGET)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_serves_as_what_it_is_alone() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "drain.wasm", &shipped("drain"));
    put(dir.path(), "dns.wasm", &component(&manifest("dns")));
    fs::write(dir.path().join("torn.wasm"), b"nonsense").unwrap();
    let plugins = Plugins::open(sandbox(options()), Some(dir.path().to_owned()))
        .await
        .unwrap();

    let shown = serde_json::to_value(plugins.list()).unwrap();
    let kinds: Vec<_> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["name"], &one["kind"]))
        .collect();
    let expected = [
        (&json!("dns"), &json!("dns-provider")),
        (&json!("drain"), &json!("migration-policy")),
        (&json!("torn"), &Value::Null),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(plugins.policies(), ["drain"]);

    plugins
        .policy("drain", "shop/orders")
        .unwrap()
        .describe()
        .await
        .unwrap();
    let refused = |name: &str| plugins.policy(name, "shop/orders").err().unwrap();
    assert_eq!(
        refused("dns"),
        NoPolicy::OtherKind {
            name: "dns".into(),
            kind: PluginKind::DnsProvider,
            known: "drain".into()
        }
    );
    assert_eq!(
        refused("dns").to_string(),
        "the plugin `dns` is a DNS provider, not a migration policy (migration policies here: drain)"
    );
    assert!(
        refused("drian")
            .to_string()
            .contains("no plugin `drian` on this member")
    );
    assert!(
        refused("torn")
            .to_string()
            .contains("not a WebAssembly component")
    );

    // A DNS account that names a policy, and what becomes of calls.
    let drain = plugins.get("drain").unwrap();
    let sentence = "the plugin `drain` is a migration policy, and this needs a DNS provider";
    let error = drain.check(&grants(json!([]))).unwrap_err();
    assert!(error.to_string().contains(sentence), "{error}");
    let error = drain.dns(grants(json!([]))).zones(None).await.unwrap_err();
    assert!(error.to_string().contains(sentence), "{error}");
    let dns = plugins.get("dns").unwrap().policy("shop/orders");
    let error = dns.plan(&snapshot(), &json!({}), BUDGET).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is a DNS provider, and this needs a migration policy"),
        "{error}"
    );
}
