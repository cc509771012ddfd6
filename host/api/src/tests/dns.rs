//! Sites, webhooks and their events, as a client meets them.

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt as _;
use http::{Request, StatusCode};
use serde_json::Value;

use super::{Daemon, text};

/// What every document of DNS steering is asked, as far as it needs no plugin: an address, a document and
/// another one.
const DOCUMENTS: [(&str, &str, &str); 2] = [
    (
        "/api/v1/dns/sites/sh",
        r#"{"lines": ["CT"], "addresses": {"ipv4": ["203.0.113.1"]}}"#,
        r#"{"lines": ["CU"], "addresses": {"ipv4": ["203.0.113.1"]}}"#,
    ),
    (
        "/api/v1/dns/webhooks/ops",
        r#"{"url": "https://hooks.example.com/a"}"#,
        r#"{"url": "https://hooks.example.com/b"}"#,
    ),
];

struct Answer {
    status: StatusCode,
    etag: Option<String>,
    body: String,
}

impl Daemon {
    async fn ask(&self, method: &str, path: &str, guard: (&str, &str), body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !guard.0.is_empty() {
            request = request.header(guard.0, guard.1);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.send(request).await;
        let etag = response.headers().get("etag");
        let etag = etag.map(|etag| etag.to_str().unwrap().to_owned());
        let status = response.status();
        let (_, body) = text(response).await;
        Answer { status, etag, body }
    }
}

#[tokio::test]
async fn every_document_has_an_etag_that_guards_its_changes() {
    const NO_GUARD: (&str, &str) = ("", "");
    let daemon = Daemon::start().await;
    for (path, first, second) in DOCUMENTS {
        let is = |answer: &Answer, status: u16| {
            assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.body);
        };
        let new = ("if-none-match", "*");
        let made = daemon.ask("PUT", path, new, first).await;
        is(&made, 200);
        let old = made.etag.expect(path);
        let read = daemon.ask("GET", path, NO_GUARD, "").await;
        is(&read, 200);
        assert_eq!(read.etag.as_ref(), Some(&old), "{path}");

        is(&daemon.ask("PUT", path, new, second).await, 412);
        let read = daemon.ask("GET", path, NO_GUARD, "").await;
        assert_eq!(
            read.etag.as_ref(),
            Some(&old),
            "{path}: nothing was changed"
        );

        let changed = daemon.ask("PUT", path, ("if-match", &old), second).await;
        is(&changed, 200);
        let current = changed.etag.expect(path);
        assert_ne!(current, old, "{path}");
        for (method, body) in [("PUT", first), ("DELETE", "")] {
            let late = daemon.ask(method, path, ("if-match", &old), body).await;
            is(&late, 412);
            assert!(late.body.contains("changed_meanwhile"), "{}", late.body);
        }
        let gone = daemon.ask("DELETE", path, ("if-match", &current), "").await;
        is(&gone, 204);
        is(&daemon.ask("GET", path, NO_GUARD, "").await, 404);
    }
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_webhook_never_shows_its_url_and_a_patch_is_not_its_way() {
    let daemon = Daemon::start().await;
    let (path, document, _) = DOCUMENTS[1];
    let none = ("", "");
    let made = daemon.ask("PUT", path, none, document).await;
    assert!(!made.body.contains("/a"), "{}", made.body);
    let listed = daemon.ask("GET", "/api/v1/dns/webhooks", none, "").await;
    assert!(listed.body.contains("ops"), "{}", listed.body);
    assert!(!listed.body.contains("example.com/a"), "{}", listed.body);
    let wrong = daemon.ask("PATCH", path, none, "{}").await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
    daemon.member.shutdown().await.unwrap();
}

/// The next event of a stream, as its `id`, `event` and `data`.
async fn next(stream: &mut BodyDataStream) -> (String, String, Value) {
    let mut told = String::new();
    while !told.ends_with("\n\n") {
        told.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
    }
    let field = |name: &str| {
        let mut lines = told.lines();
        let value = lines.find_map(|line| line.strip_prefix(name));
        value
            .unwrap_or_else(|| panic!("no {name} in {told}"))
            .to_owned()
    };
    (
        field("id: "),
        field("event: "),
        serde_json::from_str(&field("data: ")).unwrap(),
    )
}

#[tokio::test]
async fn events_are_told_as_they_happen_from_the_one_that_the_client_has() {
    let daemon = Daemon::start().await;
    let (path, document, _) = DOCUMENTS[0];
    daemon.ask("PUT", path, ("", ""), document).await;
    let order = async |verb: &str| {
        let done = daemon
            .ask("POST", &format!("{path}/{verb}"), ("", ""), "")
            .await;
        assert!(done.status.is_success(), "{}", done.body);
    };
    order("drain").await;
    order("resume").await;
    let watch = async |last: (&str, &str)| {
        let mut request = Request::builder().uri("/api/v1/dns/events?watch=true");
        if !last.0.is_empty() {
            request = request.header(last.0, last.1);
        }
        let response = daemon.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        response.into_body().into_data_stream()
    };
    let mut all = watch(("", "")).await;
    let (first, second) = (next(&mut all).await, next(&mut all).await);
    assert_eq!((first.1.as_str(), second.1.as_str()), ("site", "site"));
    assert_ne!(first.2["text"], second.2["text"]);

    let mut rest = watch(("last-event-id", &first.0)).await;
    assert_eq!(next(&mut rest).await, second);
    order("drain").await;
    let (live, again) = (next(&mut all).await, next(&mut rest).await);
    assert_eq!(live, again);
    assert!(live.0.parse::<u64>().unwrap() > second.0.parse().unwrap());
    daemon.member.shutdown().await.unwrap();
}
