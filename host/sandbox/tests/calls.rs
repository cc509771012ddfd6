//! Calls: what a plugin answers, and how each way of misbehaving ends its own call alone.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails says so"
)]

mod common;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{component, grants, load, manifest, options, sandbox, tell};
use portolan_sandbox::{
    CallError, Change, Grants, Outcome, Plugin, ProviderError, RecordKey, RecordSet, Sandbox,
};
use serde_json::json;

fn key(name: &str) -> RecordKey {
    RecordKey {
        name: name.into(),
        rtype: "A".into(),
        line: "CT".into(),
        set_id: String::new(),
    }
}

fn set(name: &str) -> RecordSet {
    RecordSet {
        key: key(name),
        ttl: 30,
        values: vec![],
        comment: Some("c".into()),
        handle: "h".into(),
        extras: "e".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_called_with_plain_types() {
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "kind").await.dns(grants(json!([])));

    let caps = plugin.describe().await.unwrap();
    assert!(caps.features.lines && caps.features.atomic_rrset && !caps.features.weights);
    assert_eq!(caps.settle, Duration::from_millis(1500));
    assert_eq!(caps.record_types, ["A", "TXT"]);

    let page = plugin.zones(None).await.unwrap();
    assert_eq!(
        (page.zones[0].name.as_str(), page.zones[0].min_ttl),
        ("one.example", Some(60))
    );
    let page = plugin.zones(page.next.as_deref()).await.unwrap();
    assert_eq!(
        (page.zones[0].name.as_str(), page.next),
        ("two.example", None)
    );

    let page = plugin
        .read("one.example", Some("a.one.example"), None)
        .await
        .unwrap();
    assert_eq!(
        (page.sets[0].key.name.as_str(), page.sets[0].ttl),
        ("a.one.example", 600)
    );

    let wanted = [set("a.one.example"), set("b.one.example")];
    let answers = plugin.normalize("one.example", &wanted).await.unwrap();
    let first = answers[0].as_ref().unwrap();
    assert_eq!(
        first,
        &RecordSet {
            ttl: 600,
            ..wanted[0].clone()
        }
    );
    assert_eq!(answers[1].as_ref().unwrap(), &wanted[1]);

    let change = |before: bool, after: bool| Change {
        key: key("a.one.example"),
        before: before.then(|| set("a.one.example")),
        after: after.then(|| set("a.one.example")),
    };
    let changes = [change(false, true), change(true, false), change(true, true)];
    let answers = plugin.apply("one.example", &changes).await.unwrap();
    let conflict = Err(ProviderError::Conflict("a.one.example".into()));
    assert_eq!(
        answers,
        [Ok(Outcome::Applied), Ok(Outcome::Stale), conflict]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_must_fit_the_manifest() {
    let sandbox = sandbox(options());
    let mut asks = manifest("strict");
    asks["credentials"][0]["required"] = json!(true);
    let plugin = sandbox.load(component(&asks)).await.unwrap();
    let bound = |settings, credentials| {
        let grants = json!({ "binding": "lab", "settings": settings, "credentials": credentials });
        plugin.dns(Arc::new(serde_json::from_value(grants).unwrap()))
    };

    let error = bound(json!({ "server": 7 }), json!({ "key": "x" }))
        .describe()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("settings /server"), "{error}");
    assert!(!error.may_have_acted());

    let error = bound(json!({}), json!({})).describe().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the credential `key` is missing (the API key)"),
        "{error}"
    );

    let bound = bound(json!({ "server": "wrong" }), json!({ "key": "x" }));
    let error = bound.validate().await.unwrap_err();
    assert_eq!(
        error.provider(),
        Some(&ProviderError::Invalid(r#"{"server":"wrong"}"#.into()))
    );
    let (settings, names) = tell(&bound, "settings").await.unwrap();
    assert_eq!(
        (settings.as_str(), names.as_str()),
        (r#"{"server":"wrong"}"#, "key")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_lies_is_caught() {
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "liar").await.dns(grants(json!([])));
    let two = [set("a.short.example"), set("b.short.example")];
    let change = Change {
        key: key("a.short.example"),
        before: None,
        after: Some(two[0].clone()),
    };

    let lies: Vec<(CallError, &str)> = vec![
        (
            plugin.normalize("short.example", &two).await.unwrap_err(),
            "1 answers to 2 questions",
        ),
        (
            plugin.normalize("renamed.example", &two).await.unwrap_err(),
            "became x.a.short.example",
        ),
        (
            plugin.apply("short.example", &[change]).await.unwrap_err(),
            "0 answers to 1 questions",
        ),
        (plugin.zones(Some("circle")).await.unwrap_err(), "is itself"),
        (
            plugin.read("astray.example", None, None).await.unwrap_err(),
            "no name of the zone",
        ),
        (
            plugin
                .read("deaf.example", Some("www.deaf.example"), None)
                .await
                .unwrap_err(),
            "asked for one name",
        ),
        (
            plugin.read("twice.example", None, None).await.unwrap_err(),
            "is there twice",
        ),
    ];
    for (error, expected) in lies {
        assert!(matches!(error, CallError::Answer { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// Keeps calling a plugin until told to stop; returns how often it answered and the longest wait.
async fn keep_asking(plugin: Plugin, stop: tokio::sync::watch::Receiver<bool>) -> (u32, Duration) {
    let plugin = plugin.dns(Arc::new(Grants {
        binding: "other".into(),
        ..Grants::default()
    }));
    let (mut answers, mut longest) = (0, Duration::ZERO);
    while !*stop.borrow() {
        let asked = Instant::now();
        assert_eq!(
            tell(&plugin, "hello you").await.unwrap(),
            ("hello".into(), "you".into())
        );
        longest = longest.max(asked.elapsed());
        answers += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (answers, longest)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hostile_call_ends_by_itself_while_others_are_answered() {
    let sandbox = sandbox(options());
    let kind = load(&sandbox, "kind").await;
    let hostile = load(&sandbox, "hostile").await.dns(grants(json!([])));
    type Expected = fn(&CallError) -> bool;
    let cases: [(&str, Expected, &str); 11] = [
        (
            "loop",
            |e| matches!(e, CallError::Compute { .. }),
            "computed for more than 300ms",
        ),
        (
            "memory",
            |e| matches!(e, CallError::Memory { .. }),
            "more than its 33554432 bytes of memory",
        ),
        (
            "recurse",
            |e| matches!(e, CallError::Stack { .. }),
            "recursed beyond its 524288 bytes",
        ),
        (
            "recurse-with-frames",
            |e| matches!(e, CallError::Trap { .. }),
            "too deep a recursion looks the same",
        ),
        (
            "host-calls",
            |e| matches!(e, CallError::HostCalls { .. }),
            "called the host more than 20000 times",
        ),
        (
            "wasi-calls",
            |e| matches!(e, CallError::HostCalls { .. }),
            "called the host more than 20000 times",
        ),
        (
            "sleep",
            |e| matches!(e, CallError::Deadline { .. }),
            "not done within its deadline of 3s",
        ),
        (
            "pause 3600000",
            |e| matches!(e, CallError::Deadline { .. }),
            "not done within its deadline of 3s",
        ),
        (
            "panic am lost",
            |e| matches!(e, CallError::Trap { .. }),
            "I am lost",
        ),
        ("exit", |e| matches!(e, CallError::Trap { .. }), "exit"),
        (
            "big-call 3000000",
            |e| matches!(e, CallError::Trap { .. }),
            "crashed",
        ),
    ];

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let asking = tokio::spawn(keep_asking(kind, stopped));
    for (command, is_expected, text) in cases {
        let started = Instant::now();
        let error = tell(&hostile, command).await.unwrap_err();
        assert!(is_expected(&error), "{command}: {error:?}");
        let sentence = error.to_string();
        assert!(
            sentence.starts_with("plugin `hostile`, binding `lab`, lines: "),
            "{sentence}"
        );
        assert!(sentence.contains(text), "{command}: {sentence}");
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{command}: {:?}",
            started.elapsed()
        );
        assert!(error.may_have_acted());
    }
    // All at once, too: more than its share of slots.
    let flood: Vec<_> = (0..12)
        .map(|_| {
            let hostile = hostile.clone();
            tokio::spawn(async move { tell(&hostile, "loop").await.unwrap_err().kind() })
        })
        .collect();
    for call in flood {
        assert_eq!(call.await.unwrap(), "compute");
    }
    stop.send(true).unwrap();
    let (answers, longest) = asking.await.unwrap();
    assert!(
        answers > 50,
        "the other plugin was answered only {answers} times"
    );
    assert!(
        longest < Duration::from_secs(2),
        "the other plugin waited {longest:?}"
    );
    assert_eq!(tell(&hostile, "hello again").await.unwrap().1, "again");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_nothing_around_a_plugin() {
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "curious").await.dns(grants(json!([])));
    let (found, socket) = tell(&plugin, "around").await.unwrap();
    assert_eq!(found, "env=[] files=false resolved=false");
    assert_eq!(socket, "PermissionDenied");
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_is_capped_and_never_fails_a_call() {
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "chatty").await.dns(grants(json!([])));
    tell(&plugin, "log 2000").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_stops_waiting_ends_the_call() {
    let mut options = options();
    (options.concurrency, options.deadline_ms) = (1, 60_000);
    let sandbox = sandbox(options);
    let plugin = load(&sandbox, "slow").await.dns(grants(json!([])));
    let waited = tokio::time::timeout(Duration::from_millis(200), tell(&plugin, "sleep")).await;
    assert!(waited.is_err());
    let next = tokio::time::timeout(Duration::from_secs(5), tell(&plugin, "hello next")).await;
    assert_eq!(
        next.expect("the only slot is free again").unwrap().1,
        "next"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_sandbox_says_so() {
    let mut options = options();
    options.concurrency = 1;
    let sandbox = sandbox(options);
    let slow = load(&sandbox, "slow").await.dns(grants(json!([])));
    let mut hasty = manifest("hasty");
    hasty["limits"] = json!({ "deadline_ms": 200 });
    let hasty = sandbox
        .load(component(&hasty))
        .await
        .unwrap()
        .dns(grants(json!([])));

    let sleeping = tokio::spawn(async move { tell(&slow, "sleep").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let error = tell(&hasty, "hello").await.unwrap_err();
    assert!(matches!(error, CallError::Busy { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("within 200ms (`concurrency` is 1)"),
        "{error}"
    );
    assert!(!error.may_have_acted());
    assert!(matches!(
        sleeping.await.unwrap(),
        Err(CallError::Deadline { .. })
    ));
    tell(&hasty, "hello").await.expect("the slot is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_opens_for_one_binding_and_closes_again() {
    let mut options = options();
    (options.breaker_failures, options.breaker_ms) = (2, 400);
    let registry = prometheus::Registry::new();
    let sandbox = Sandbox::new(options, &registry).unwrap();
    let plugin = load(&sandbox, "shaky").await;
    let bound = plugin.dns(grants(json!([])));
    let healthy = plugin.dns(Arc::new(Grants {
        binding: "healthy".into(),
        ..Grants::default()
    }));

    for _ in 0..3 {
        // The provider's own errors say nothing against the plugin.
        tell(&bound, "no-such-verb").await.unwrap_err();
    }
    for _ in 0..2 {
        assert_eq!(tell(&bound, "panic").await.unwrap_err().kind(), "trap");
    }
    let error = tell(&bound, "hello").await.unwrap_err();
    assert!(
        matches!(error, CallError::Breaker { failures: 2, .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("failed 2 times in a row"),
        "{error}"
    );
    assert!(
        gathered(&registry)
            .contains(r#"portolan_plugin_breaker_open{binding="lab",plugin="shaky"} 1"#)
    );
    tell(&healthy, "hello")
        .await
        .expect("another binding of the plugin");

    tokio::time::sleep(Duration::from_millis(450)).await;
    tell(&bound, "hello").await.expect("the trial");
    tell(&bound, "hello").await.expect("closed again");
    let metrics = gathered(&registry);
    for line in [
        r#"portolan_plugin_breaker_open{binding="lab",plugin="shaky"} 0"#,
        r#"portolan_plugin_calls_total{function="lines",outcome="trap",plugin="shaky"} 2"#,
        r#"portolan_plugin_calls_total{function="lines",outcome="unsupported",plugin="shaky"} 3"#,
        r#"portolan_plugin_calls_total{function="lines",outcome="breaker",plugin="shaky"} 1"#,
        "# HELP portolan_plugin_call_duration_seconds How long",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

fn gathered(registry: &prometheus::Registry) -> String {
    prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_no_computing() {
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "patient").await.dns(grants(json!([])));
    // Longer than it may compute.
    let (paused_ms, _) = tell(&plugin, "pause 500").await.unwrap();
    assert!(paused_ms.parse::<u64>().unwrap() >= 500, "{paused_ms} ms");
}
