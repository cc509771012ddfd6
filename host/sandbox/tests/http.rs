//! The one way out: what the guard lets through, and how it refuses the rest.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails says so"
)]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{
    SECRET, Stub, component, grants, load, manifest, options, provider_error, sandbox,
    sandbox_resolving, tell,
};
use portolan_sandbox::{Grants, ProviderError};
use serde_json::json;

fn denied(result: Result<(String, String), portolan_sandbox::CallError>) -> String {
    match provider_error(result) {
        ProviderError::Denied(text) => text,
        other => panic!("not denied: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_request_is_sent_as_it_was_written() {
    let stub = Stub::start().await;
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "honest")
        .await
        .dns(grants(json!([stub.grant()])));
    let url = stub.url("/echo?a=%2F%20b&c=d+e");
    let command = format!("send POST {url}\nx-plain: one\ncontent-type: text/plain\n\nthe body");
    let (status, reply) = tell(&plugin, &command).await.unwrap();
    assert_eq!(status, "200");
    assert!(reply.contains("content-length: "), "{reply}");
    let request = &stub.received()[0];
    assert!(
        request.starts_with("POST /echo?a=%2F%20b&c=d+e HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("x-plain: one\r\n") && request.ends_with("\r\n\r\nthe body"),
        "{request}"
    );
    assert!(request.contains("user-agent: portolan/"), "{request}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_denied_with_the_command_that_grants_it() {
    let stub = Stub::start().await;
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "nosy")
        .await
        .dns(grants(json!(["api.example.com"])));

    let text = denied(tell(&plugin, &format!("send GET {}", stub.url("/echo"))).await);
    let command = format!(
        "plugin `nosy` of binding `lab` asked for {origin}, which is not granted; to grant it: \
         curl -X PATCH http://127.0.0.1:8420/api/v1/dns/providers/lab \
         -H 'content-type: application/json' -d '{{\"hosts\":[\"api.example.com\",\"{origin}\"]}}'",
        origin = stub.grant()
    );
    assert_eq!(text, command);

    for url in [
        "http://127.0.0.1:80/".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[::1]/".to_owned(),
        "http://2852039166/".to_owned(),
        "http://localhost/".to_owned(),
        "http://api.example.com/".to_owned(),
        "https://api.example.com:8443/".to_owned(),
    ] {
        denied(tell(&plugin, &format!("send GET {url}")).await);
    }
    assert!(stub.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_name_that_leads_inside_is_denied() {
    let stub = Stub::start().await;
    let port = stub.port();
    let sandbox = sandbox_resolving(
        options(),
        &[
            ("rebound.test", &["127.0.0.1"]),
            ("metadata.test", &["169.254.169.254"]),
            ("mixed.test", &["8.8.8.8", "::ffff:10.0.0.1"]),
            ("intra.test", &["127.0.0.1"]),
            ("localhost", &["127.0.0.1"]),
        ],
    );
    let names = [
        "rebound.test",
        "metadata.test",
        "mixed.test",
        "missing.test",
        "localhost",
    ];
    let mut hosts: Vec<_> = names
        .iter()
        .map(|name| json!(format!("http://{name}:{port}")))
        .collect();
    hosts.push(json!({ "url": format!("http://intra.test:{port}"), "private": true }));
    let plugin = load(&sandbox, "rebound").await.dns(grants(json!(hosts)));
    let get = |name: &str| format!("send GET http://{name}:{port}/echo");

    let text = denied(tell(&plugin, &get("rebound.test")).await);
    assert!(
        text.contains("`rebound.test` resolves to 127.0.0.1, which is not a public address"),
        "{text}"
    );
    let patch = format!(r#"{{"private":true,"url":"http://rebound.test:{port}"}}]}}'"#);
    assert!(text.ends_with(&patch), "{text}");
    assert_eq!(
        text.matches("rebound.test:").count(),
        2,
        "the old grant is replaced: {text}"
    );
    assert!(denied(tell(&plugin, &get("metadata.test")).await).contains("169.254.169.254"));
    assert!(denied(tell(&plugin, &get("mixed.test")).await).contains("10.0.0.1"));
    assert!(stub.received().is_empty(), "nothing was dialled");

    let error = provider_error(tell(&plugin, &get("missing.test")).await);
    assert!(
        matches!(error, ProviderError::Transient(_)),
        "not sent: {error:?}"
    );
    assert_eq!(tell(&plugin, &get("intra.test")).await.unwrap().0, "200");
    assert_eq!(tell(&plugin, &get("localhost")).await.unwrap().0, "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_checked_and_leave_credentials_behind() {
    let (first, second) = (Stub::start().await, Stub::start().await);
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "led").await;
    let only_first = plugin.dns(grants(json!([first.grant()])));
    let both = plugin.dns(grants(json!([first.grant(), second.grant()])));
    let to_second = first.url(&format!("/redirect?{}", second.url("/echo")));

    let text = denied(tell(&only_first, &format!("send GET {to_second}")).await);
    let how = format!(
        "was redirected by {} to {}, which is not granted",
        first.grant(),
        second.grant()
    );
    assert!(text.contains(&how), "{text}");
    assert!(second.received().is_empty());
    let inside = first.url("/redirect?http://169.254.169.254/");
    denied(tell(&only_first, &format!("send GET {inside}")).await);

    let headers = "x-api-key: {{key}}\nauthorization: signed\nx-plain: kept";
    let command = format!("send PUT {to_second}\n{headers}\n\nbody");
    assert_eq!(tell(&both, &command).await.unwrap().0, "200");
    let (leg1, leg2) = (
        first.received().pop().unwrap(),
        second.received().pop().unwrap(),
    );
    assert!(
        leg1.contains(&format!("x-api-key: {SECRET}")) && leg1.contains("authorization: signed")
    );
    assert!(
        !leg2.contains(SECRET) && !leg2.contains("authorization"),
        "{leg2}"
    );
    assert!(
        leg2.starts_with("PUT /echo") && leg2.contains("x-plain: kept") && leg2.ends_with("body")
    );

    let home = first.url("/see-other?/echo");
    tell(
        &both,
        &format!("send POST {home}\nx-api-key: {{{{key}}}}\n\nbody"),
    )
    .await
    .unwrap();
    let leg2 = first.received().pop().unwrap();
    assert!(
        leg2.starts_with("GET /echo") && !leg2.ends_with("body"),
        "{leg2}"
    );
    assert!(leg2.contains(SECRET), "the same origin keeps it");

    let error = provider_error(tell(&both, &format!("send GET {}", first.url("/circle"))).await);
    assert!(
        matches!(&error, ProviderError::Quota(text) if text.contains("`requests`")),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_go_out_and_never_come_in() {
    let stub = Stub::start().await;
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "keeper")
        .await
        .dns(grants(json!([stub.grant()])));
    let echo = stub.url("/echo");
    let command =
        format!("send POST {echo}?{{{{key}}}}\nx-api-key: {{{{key}}}}\n\nnot {{{{key}}}} here");
    let (_, reply) = tell(&plugin, &command).await.unwrap();
    let request = stub.received().pop().unwrap();
    assert!(
        request.contains(&format!("x-api-key: {SECRET}\r\n")),
        "{request}"
    );
    assert!(
        request.starts_with("POST /echo?{{key}} HTTP") && request.ends_with("not {{key}} here"),
        "only header values have placeholders: {request}"
    );
    assert!(
        !reply.contains(SECRET) && !reply.contains("s3cret"),
        "{reply}"
    );
    assert!(reply.contains("x-echo: [masked]"), "{reply}");
    assert!(reply.contains("x-api-key: [masked]"), "{reply}");
    assert!(
        reply.lines().last().unwrap().contains("[masked]"),
        "base64: {reply}"
    );

    let refused = |error: ProviderError| match error {
        ProviderError::Denied(text) | ProviderError::Invalid(text) => text,
        other => panic!("{other:?}"),
    };
    for (header, expected) in [
        ("x: {{other}}", "its manifest does not declare"),
        ("x: {{spare}}", r#"-d '{"credentials":{"spare":"…"}}'"#),
        ("x: {{key", "does not end it"),
        ("host: evil", "is the host's: leave it out"),
        ("x y: z", "no header name"),
    ] {
        let command = format!("send GET {echo}\n{header}");
        let text = refused(provider_error(tell(&plugin, &command).await));
        assert!(text.contains(expected), "{header}: {text}");
    }
    for path in ["/a/../echo", "/a b", "/{{key}}", "/echo#part"] {
        let command = format!("send GET {}", stub.url(path));
        let text = refused(provider_error(tell(&plugin, &command).await));
        assert!(
            text.contains("normal form") || text.contains("fragment"),
            "{path}: {text}"
        );
    }
    let elsewhere = "send GET https://evil.example/\nx-api-key: {{key}}";
    denied(tell(&plugin, elsewhere).await);
    assert_eq!(stub.received().len(), 1);

    let (mac, _) = tell(&plugin, "sign key").await.unwrap();
    assert_eq!(mac.len(), 64);
    let text = denied(tell(&plugin, "sign spare").await);
    assert!(text.contains("which the binding does not hold"), "{text}");
    denied(tell(&plugin, "sign other").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_bound_a_call() {
    let stub = Stub::start().await;
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "greedy")
        .await
        .dns(grants(json!([stub.grant()])));
    let limit = |error: ProviderError| match error {
        ProviderError::Quota(text) => text,
        other => panic!("not a limit: {other:?}"),
    };

    let started = Instant::now();
    let text = limit(provider_error(
        tell(&plugin, &format!("send GET {}", stub.url("/bomb"))).await,
    ));
    assert!(text.contains("limit of 1048576 bytes to receive"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(2));

    let many = tell(&plugin, &format!("get-many {}", stub.url("/echo"))).await;
    let text = limit(provider_error(many));
    assert!(text.contains("its 5 requests"), "{text}");
    assert_eq!(stub.received().len(), 1 + 5);

    let big = format!("send POST {}\n\n{}", stub.url("/echo"), "x".repeat(100_001));
    let text = limit(provider_error(tell(&plugin, &big).await));
    assert!(text.contains("limit of 100000 bytes to send"), "{text}");

    // `describe` tried to send a request too.
    plugin.describe().await.unwrap();
    assert_eq!(stub.received().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_certainly_did_not_leave_is_told_apart_from_what_may_have() {
    let stub = Stub::start().await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let sandbox = sandbox(options());
    let no_tls = format!("https://{}", stub.address);
    let plugin = load(&sandbox, "careful")
        .await
        .dns(grants(json!([stub.grant(), closed, no_tls])));

    for url in [format!("{closed}/"), format!("{no_tls}/echo")] {
        let error = provider_error(tell(&plugin, &format!("send POST {url}")).await);
        assert!(
            matches!(error, ProviderError::Transient(_)),
            "{url}: {error:?}"
        );
    }
    for path in ["/silent", "/hangup", "/cut"] {
        let error = provider_error(tell(&plugin, &format!("send POST {}", stub.url(path))).await);
        assert!(
            matches!(error, ProviderError::UnknownOutcome(_)),
            "{path}: {error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wasi_http_ends_in_the_same_guard() {
    let stub = Stub::start().await;
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "fetcher")
        .await
        .dns(grants(json!([stub.grant()])));
    let address = stub.address;

    let body = "b".repeat(5_000);
    let command =
        format!("fetch POST http {address} /echo?x=%20\nx-api-key: {{{{key}}}}\n\n{body}");
    let (status, reply) = tell(&plugin, &command).await.unwrap();
    assert_eq!(status, "200");
    let request = stub.received().pop().unwrap();
    assert!(
        request.starts_with("POST /echo?x=%20 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains(&format!("x-api-key: {SECRET}\r\n")) && request.ends_with(&body));
    assert!(
        !reply.contains("s3cret") && reply.contains("[masked]"),
        "{reply}"
    );

    let text = denied(tell(&plugin, "fetch GET http 169.254.169.254 /").await);
    assert!(
        text.contains("which is not granted; to grant it: curl"),
        "{text}"
    );
    let redirected = format!("fetch GET http {address} /redirect?http://127.0.0.1:1/");
    assert!(denied(tell(&plugin, &redirected).await).contains("was redirected by"));
    let text = denied(tell(&plugin, &format!("fetch GET http {address} /bomb")).await);
    assert!(text.contains("bytes to receive"), "{text}");
    let big = format!("fetch POST http {address} /echo\n\n{}", "x".repeat(200_000));
    assert!(tell(&plugin, &big).await.is_err());
    assert_eq!(stub.received().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_used_up_keeps_the_next_request_from_leaving() {
    let stub = Stub::start().await;
    let mut manifest = manifest("eager");
    manifest["rates"] = json!([{ "requests": 2, "seconds": 3_600 }]);
    let sandbox = sandbox(options());
    let plugin = sandbox.load(component(&manifest)).await.unwrap();
    let bound = plugin.dns(grants(json!([stub.grant()])));
    let send = format!("send GET {}", stub.url("/echo"));
    for _ in 0..2 {
        tell(&bound, &send).await.unwrap();
    }
    let refused = provider_error(tell(&bound, &send).await);
    let ProviderError::Transient(text) = &refused else {
        panic!("not as what was not sent: {refused:?}")
    };
    let expected = format!(
        "{}: the quota of 2 requests within 3600 s is used up for 3600 s more",
        stub.grant()
    );
    assert_eq!(*text, expected);
    assert_eq!(stub.received().len(), 2);

    // A redirect is a request, too.
    let another = plugin.dns(grants(json!([stub.grant()])));
    let target = stub.url("/redirect?/redirect?/echo");
    let refused = provider_error(tell(&another, &format!("send GET {target}")).await);
    assert!(
        matches!(refused, ProviderError::Transient(_)),
        "{refused:?}"
    );
    assert_eq!(stub.received().len(), 2 + 2);

    // The operator knows of a better quota.
    let own = Grants {
        requests_per_second: NonZeroU32::new(100),
        ..(*grants(json!([stub.grant()]))).clone()
    };
    let raised = plugin.dns(Arc::new(own));
    for _ in 0..3 {
        tell(&raised, &send).await.unwrap();
    }
}
