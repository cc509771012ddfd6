//! The contract `/v1`, as nodes, monitors and people meet it.

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use portolan_consensus::StartMode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Daemon, text};

const SECRET: &str = "cocoa";
const NOT_ALLOWED: &str =
    "Not Allowed! Cocoa is soooo kawaii, Do you still sure you really want to eat Cocoa???";

const GET_INFO: &str = "/v1/getClusterInfo";
const UPDATE: &str = "/v1/updateClusterInfo";

/// A request as the earlier daemon marshals it: every field, zero times, null lists.
const RECORDED: &str = r#"{"cocoaSecret":"cocoa","cocoaBasic":{"apiPort":0,"nodeName":"","nodeCode":"",
"nodeAddress":"","workMode":"","cocoaSecret":"","reverseProxy":false,"otherCocoaSyncer":null,
"cocoaManagedService":null,"cloudPlatformInfo":null,"timeout":0,"DataBaseType":"","Dsn":"",
"createdAt":"0001-01-01T00:00:00Z","updatedAt":"0001-01-01T00:00:00Z","configImported":false}}"#;

/// What its command line sends to look at a new node: a node, and nothing around it.
const RECORDED_NODE: &str = r#"{"nodeName":"","nodeCode":"","nodeAddress":"http://127.0.0.1:21001",
"workMode":"","cocoaSecret":"cocoa","ISPs":null,"networkType":"","statusCode":0,
"watchDog":"0001-01-01T00:00:00Z","cocoaManagedService":null}"#;

async fn leader() -> Daemon {
    Daemon::start_with(StartMode::Bootstrap, Some(SECRET)).await
}

/// A member that leads nothing and belongs to no group yet.
async fn follower() -> Daemon {
    Daemon::start_with(StartMode::Standby, Some(SECRET)).await
}

/// Posts, and answers what `statusCode` and `statusString` say, and the rest.
async fn post(daemon: &Daemon, path: &str, body: &str) -> (u64, String, Value) {
    let (status, answer) = daemon.call("POST", path, body).await;
    assert_eq!(status, 200, "always: {answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    (
        answer["statusCode"].as_u64().unwrap(),
        answer["statusString"].as_str().unwrap().to_owned(),
        answer["cocoaBasic"].clone(),
    )
}

#[tokio::test]
async fn a_leader_tells_all_and_takes_nothing() {
    let daemon = leader().await;
    for request in [RECORDED, RECORDED_NODE] {
        let (code, word, info) = post(&daemon, GET_INFO, request).await;
        assert_eq!((code, word.as_str()), (200, "MafuMafu~"));
        assert_eq!(
            (&info["workMode"], &info["apiPort"]),
            (&json!("leader"), &json!(21001))
        );
        assert_eq!(info["otherCocoaSyncer"], json!([]));
    }
    // Before it looks at the secret.
    for request in [RECORDED, "{}", "nonsense"] {
        let (code, word, _) = post(&daemon, UPDATE, request).await;
        assert_eq!((code, word.as_str()), (405, NOT_ALLOWED));
    }
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_follower_that_knows_nobody_waits_to_be_told() {
    let daemon = follower().await;
    for request in [RECORDED, RECORDED_NODE] {
        let (code, word, info) = post(&daemon, GET_INFO, request).await;
        assert_eq!((code, word.as_str()), (201, "Mafu?"));
        assert_eq!(info["workMode"], "follower");
        // Who takes it in keeps what it reads here, and pushes with it.
        assert_eq!(info["cocoaSecret"], SECRET);
    }
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn who_does_not_show_the_secret_learns_nothing() {
    let daemon = follower().await;
    let nobody = "Unauthorized! You are not Cocoa!";
    for path in [GET_INFO, UPDATE] {
        for request in [
            "{}",
            r#"{"cocoaSecret":""}"#,
            r#"{"cocoaSecret":"***"}"#,
            r#"{"cocoaSecret":"Cocoa"}"#,
            r#"{"cocoaBasic":{"cocoaSecret":"cocoa"}}"#,
        ] {
            let (code, word, info) = post(&daemon, path, request).await;
            assert_eq!((code, word.as_str()), (401, nobody), "{path} {request}");
            assert_eq!(info["otherCocoaSyncer"], Value::Null);
            assert_eq!(info["createdAt"], "0001-01-01T00:00:00+00:00");
        }
    }
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn without_a_secret_everybody_is_refused() {
    for mode in [StartMode::Bootstrap, StartMode::Standby] {
        let daemon = Daemon::start_with(mode, None).await;
        for path in [GET_INFO, UPDATE] {
            for request in [RECORDED, r#"{"cocoaSecret":""}"#, "nonsense"] {
                assert_eq!(
                    post(&daemon, path, request).await.0,
                    401,
                    "{path} {request}"
                );
            }
        }
        daemon.member.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_the_contracts_json_is_told_with_its_place() {
    let daemon = follower().await;
    for (request, code, words) in [
        ("{\"cocoaSecret\":", 400, "malformed JSON"),
        (r#"{"cocoaSecret":5}"#, 422, "expected a string"),
        (
            r#"{"cocoaSecret":"cocoa","cocoaBasic":{"otherCocoaSyncer":[{"watchDog":"now"}]}}"#,
            422,
            "RFC 3339",
        ),
        (
            r#"{"cocoaSecret":"cocoa","cocoaBasic":{"apiPort":"80"}}"#,
            422,
            "line 1 column",
        ),
    ] {
        let (found, word, _) = post(&daemon, GET_INFO, request).await;
        assert_eq!(found, code, "{request}: {word}");
        assert!(word.contains(words), "{request}: {word}");
    }
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_push_that_cannot_be_stored_says_why() {
    // It belongs to no group, so nothing can be replicated.
    let daemon = follower().await;
    let (code, word, _) = post(&daemon, UPDATE, RECORDED).await;
    assert!(code >= 500 && !word.is_empty(), "{code} {word}");
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn badge_and_status_show_names_and_no_codes() {
    let daemon = leader().await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Arc::clone(&daemon.steering).run(stop.clone()));
    for (code, site) in [
        (
            "sh-code",
            json!({"name": "Shanghai <1>", "member": 1, "lines": ["CT"]}),
        ),
        (
            "hk-code",
            json!({"name": "Hong Kong", "lines": ["default"], "intent": "forced-down"}),
        ),
        ("no-name", json!({"intent": "forced-up"})),
    ] {
        daemon.steering.put_site(code, site, None).await.unwrap();
    }
    let shown = async |path: &str| {
        let request = Request::get(path).header("sec-fetch-site", "cross-site");
        let response = daemon.send(request.body(Body::empty()).unwrap()).await;
        let kind = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let (status, body) = text(response).await;
        assert_eq!(status, 200, "{path} {body}");
        (kind, body)
    };
    let judged = async {
        while !shown("/v1/badge").await.1.contains(">2/3<") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), judged)
        .await
        .expect("the member's own site and the forced one live");

    let (kind, badge) = shown("/v1/badge").await;
    assert_eq!(kind, "image/svg+xml;charset=utf-8");
    assert!(
        badge.contains(">Portolan<") && badge.contains(">Shanghai &lt;1&gt;<"),
        "{badge}"
    );
    let (kind, page) = shown("/v1/status").await;
    assert!(kind.starts_with("text/html"), "{kind}");
    for words in [
        "Shanghai &lt;1&gt;",
        "Hong Kong",
        "forced down",
        "2 of 3 sites live",
        "leader",
    ] {
        assert!(page.contains(words), "{words} in {page}");
    }
    for secret in ["sh-code", "hk-code", "no-name", SECRET, "127.0.0.1"] {
        assert!(
            !page.contains(secret) && !badge.contains(secret),
            "{secret}"
        );
    }
    stop.cancel();
    worker.await.unwrap();
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_root_lives_in_both_places() {
    let daemon = leader().await;
    for path in ["/", "/v1"] {
        assert_eq!(daemon.call("GET", path, "").await.0, 200, "{path}");
    }
    assert_eq!(
        daemon.call("GET", GET_INFO, "").await.0,
        405,
        "it is a POST"
    );
    daemon.member.shutdown().await.unwrap();
}
