//! The routes, as a client meets them.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::{Daemon, text};

fn json_of((status, body): (u16, String)) -> (u16, Value) {
    (
        status,
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error} in {body}")),
    )
}

#[tokio::test]
async fn keys_are_written_read_listed_and_deleted() {
    let daemon = Daemon::start().await;
    let put = r#"{"Put":{ "key":"foo", "value":"bar" }}"#;
    assert_eq!(
        daemon.call("POST", "/write", put).await,
        (200, r#""OK""#.to_owned())
    );
    assert_eq!(
        daemon
            .call(
                "POST",
                "/write",
                r#"{"Put":{"key":"é\"","value":"line\nü\u0001"}}"#
            )
            .await
            .0,
        200
    );
    assert_eq!(
        daemon.call("POST", "/read", r#""foo""#).await,
        (200, r#"{"OK":"bar"}"#.to_owned())
    );
    assert_eq!(
        json_of(
            daemon
                .call("POST", "/read?consistency=stale", r#""é\"""#)
                .await
        ),
        (200, json!({"OK": "line\nü\u{1}"}))
    );
    assert_eq!(
        json_of(daemon.call("GET", "/read-all", "").await),
        (
            200,
            json!({"OK": [{"k": "foo", "v": "bar"}, {"k": "é\"", "v": "line\nü\u{1}"}]})
        )
    );
    assert_eq!(
        daemon
            .call("POST", "/write", r#"{"Del":{"key":"foo"}}"#)
            .await,
        (200, r#""OK""#.to_owned())
    );
    assert_eq!(
        daemon.call("POST", "/read", r#""foo""#).await,
        (200, r#"{"OK":""}"#.to_owned())
    );
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_refused_write_is_err_with_the_reason_in_a_header() {
    let daemon = Daemon::start().await;
    let long_key = format!(r#"{{"Put":{{"key":"{}","value":""}}}}"#, "k".repeat(65));
    let long_value = format!(r#"{{"Put":{{"key":"k","value":"{}"}}}}"#, "v".repeat(1025));
    let huge = " ".repeat(100_000);
    for (body, status, reason) in [
        (
            "{\"Put\":",
            400,
            "malformed JSON: EOF while parsing a value (at line 1 column 7)",
        ),
        ("{\n\"Put\" 5}", 400, "(at line 2 column 7)"),
        (
            r#"{"Get":{"key":"a"}}"#,
            422,
            "unknown variant `Get`, expected `Put` or `Del`",
        ),
        (
            r#"{"Put":{"key":"a","value":5}}"#,
            422,
            "invalid type: integer `5`, expected a string",
        ),
        (
            r#"{"Put":{"key":"a","value":5}}"#,
            422,
            r#"expected {"Put":{"key":"<text>","value":"<text>"}} or {"Del":{"key":"<text>"}}"#,
        ),
        (r#"{"Put":{"key":"a"}}"#, 422, "missing field `value`"),
        (
            r#"{"Put":{"key":"a","value":"b","ttl":1}}"#,
            422,
            "unknown field `ttl`",
        ),
        (r#"["Put"]"#, 422, "expected"),
        (r#"{"Put":{"key":"","value":"b"}}"#, 422, "the key is empty"),
        (
            &long_key,
            413,
            "the key is 65 bytes long; at most 64 are accepted",
        ),
        (
            &long_value,
            413,
            "the value is 1025 bytes long; at most 1024 are accepted",
        ),
        (&huge, 413, "larger than the"),
    ] {
        let request = Request::post("/write")
            .body(Body::from(body.to_owned()))
            .unwrap();
        let response = daemon.send(request).await;
        let header = response.headers().get("portolan-error").cloned();
        let header = header.expect("a reason").to_str().unwrap().to_owned();
        assert!(header.contains(reason), "{body:.80}: {header}");
        assert_eq!(
            text(response).await,
            (status, r#""Err""#.to_owned()),
            "{body:.80}"
        );
    }
    assert_eq!(
        daemon.call("GET", "/read-all", "").await.1,
        r#"{"OK":[]}"#,
        "nothing came through"
    );
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_largest_value_passes_however_it_is_escaped() {
    let daemon = Daemon::start().await;
    let escaped = format!(
        r#"{{"Put":{{"key":"k","value":"{}"}}}}"#,
        "\\u0001".repeat(1024)
    );
    assert_eq!(daemon.call("POST", "/write", &escaped).await.0, 200);
    let (_, read) = json_of(daemon.call("POST", "/read", r#""k""#).await);
    assert_eq!(read["OK"].as_str().unwrap().len(), 1024);
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_refused_read_is_err_with_the_reason() {
    let daemon = Daemon::start().await;
    for (body, path, status, reason) in [
        (
            "{",
            "/read",
            400,
            "malformed JSON: EOF while parsing an object (at line 1 column 1)",
        ),
        ("5", "/read", 422, "expected the key as a JSON string"),
        (
            r#""a""#,
            "/read?consistency=fresh",
            400,
            "\"linearizable\" or \"stale\"",
        ),
    ] {
        let (found, answer) = json_of(daemon.call("POST", path, body).await);
        assert_eq!(found, status, "{body} {path}");
        let err = answer["err"].as_str().unwrap();
        assert!(err.contains(reason), "{err}");
        assert_eq!(answer.as_object().unwrap().len(), 1);
    }
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_membership_that_cannot_be_is_refused_with_its_reason() {
    let daemon = Daemon::start().await;
    for (path, body, status, reason) in [
        ("/change-membership", "[]", 422, "at least one voter"),
        (
            "/change-membership",
            "[1,7,9]",
            422,
            "not members of the group yet: 7, 9",
        ),
        (
            "/change-membership",
            "[1,\"2\"]",
            422,
            "expected the voters' ids",
        ),
        ("/change-membership", "[1,", 400, "malformed JSON"),
        (
            "/add-learner",
            "[2]",
            422,
            "expected [<id>, \"<host>:<port>\"]",
        ),
        (
            "/add-learner",
            "[2, \"127.0.0.1\"]",
            422,
            "the port is missing",
        ),
        ("/add-learner", "[-2, \"127.0.0.1:1\"]", 422, "expected u64"),
    ] {
        let (found, answer) = json_of(daemon.call("POST", path, body).await);
        assert_eq!(found, status, "{path} {body}");
        let message = answer["Err"]["message"].as_str().unwrap();
        assert!(message.contains(reason), "{path} {body}: {message}");
    }
    let (status, answer) = json_of(daemon.call("POST", "/change-membership", "[1]").await);
    assert_eq!(status, 200);
    assert_eq!(answer["Ok"]["data"], json!({"value": null}));
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn metrics_are_json_for_one_contract_and_text_for_the_other() {
    let daemon = Daemon::start().await;
    let get = |accept: &str| {
        Request::get("/metrics")
            .header("accept", accept)
            .body(Body::empty())
            .unwrap()
    };
    let response = daemon.send(get("*/*")).await;
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; version=0.0.4"
    );

    let response = daemon.send(get("application/json")).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let (status, answer) = json_of(text(response).await);
    assert_eq!(status, 200);
    assert_eq!(answer["Ok"]["id"], 1);
    assert!(answer["replication"]["1"]["index"].is_u64(), "{answer}");
    assert_eq!(
        answer["replication"], answer["Ok"]["replication"],
        "beside Ok and inside it"
    );
    // Moments are told from a monotonic clock, so the two differ by some nanoseconds.
    for beside_or_inside in [&answer, &answer["Ok"]] {
        assert!(beside_or_inside["heartbeat"]["1"].is_u64(), "{answer}");
    }
    assert_eq!(
        json_of(daemon.call("GET", "/metrics", "null").await).1["Ok"]["id"],
        1
    );
    assert_eq!(
        json_of(daemon.call("GET", "/raft/metrics", "").await).1["Ok"]["id"],
        1
    );

    let (_, text) = super::text(daemon.send(get("*/*")).await).await;
    assert!(
        text.contains("# HELP portolan_http_requests_total "),
        "{text}"
    );
    let counted =
        "portolan_http_requests_total{method=\"GET\",route=\"/metrics\",status=\"200\"} 3\n";
    assert!(text.contains(counted), "{text}");
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_path() {
    let daemon = Daemon::start().await;
    for path in [
        "/api/v1/plugins/one",
        "/api/v1/plugins/two",
        "/no/such/path",
    ] {
        assert_eq!(daemon.call("GET", path, "").await.0, 404);
    }
    let (_, text) = daemon.call("GET", "/metrics", "").await;
    let counted = |route: &str| {
        format!("portolan_http_requests_total{{method=\"GET\",route=\"{route}\",status=\"404\"}}")
    };
    assert!(
        text.contains(&format!("{} 2\n", counted("/api/v1/plugins/{name}"))),
        "{text}"
    );
    assert!(
        text.contains(&format!("{} 1\n", counted("unknown"))),
        "{text}"
    );
    assert!(!text.contains("/no/such/path"), "{text}");
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_says_so_in_the_native_form() {
    let daemon = Daemon::start().await;
    let (status, answer) = json_of(daemon.call("GET", "/api/v2/things?x=1", "").await);
    assert_eq!(status, 404);
    assert_eq!(
        answer,
        json!({"error": {"code": "not_found", "message": "there is nothing at GET /api/v2/things"}})
    );

    let wrong = Request::delete("/write").body(Body::empty()).unwrap();
    let response = daemon.send(wrong).await;
    assert_eq!(response.headers()["allow"], "POST");
    let (status, answer) = json_of(text(response).await);
    assert_eq!(status, 405);
    assert_eq!(answer["error"]["code"], "method_not_allowed");

    let (status, answer) = json_of(daemon.call("GET", "/api/v1/plugins/none", "").await);
    assert_eq!(
        (status, &answer["error"]["code"]),
        (404, &json!("not_found"))
    );
    assert_eq!(
        json_of(daemon.call("GET", "/api/v1/plugins", "").await),
        (200, json!({"plugins": []}))
    );
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_front_page_is_html_for_a_browser_and_a_line_for_the_rest() {
    let daemon = Daemon::start().await;
    for path in ["/", "/v1"] {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let request = Request::get(path)
            .header("accept", browser)
            .body(Body::empty())
            .unwrap();
        let response = daemon.send(request).await;
        assert_eq!(
            response.headers()["content-type"],
            "text/html; charset=utf-8"
        );
        assert_eq!(response.status(), 200);

        let (status, line) = daemon.call("GET", path, "").await;
        assert_eq!((status, line.lines().count()), (200, 1));
        assert!(
            line.starts_with("portolan ") && line.contains("member 1"),
            "{line}"
        );
    }
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_foreign_page_in_a_browser_is_refused() {
    let daemon = Daemon::start().await;
    let request = Request::post("/write")
        .header("sec-fetch-site", "cross-site")
        .body(Body::from(r#"{"Put":{"key":"a","value":"b"}}"#))
        .unwrap();
    assert_eq!(daemon.send(request).await.status(), 403);
    assert_eq!(
        daemon.call("POST", "/read", r#""a""#).await.1,
        r#"{"OK":""}"#
    );
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn health_and_readiness_answer() {
    let daemon = Daemon::start().await;
    assert_eq!(
        daemon.call("GET", "/healthz", "").await,
        (200, r#"{"status":"alive"}"#.to_owned())
    );
    assert_eq!(
        daemon.call("GET", "/readyz", "").await,
        (200, r#"{"status":"ready"}"#.to_owned())
    );
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn dns_requests_fail_in_the_native_form_with_the_place() {
    let daemon = Daemon::start().await;
    let providers = "/api/v1/dns/providers/main";
    let records = "/api/v1/dns/zones/example.com/records";
    for (method, path, body, status, code, at) in [
        ("GET", providers, "", 404, "not_found", None),
        ("DELETE", providers, "", 404, "not_found", None),
        (
            "PUT",
            providers,
            "{\"plugin\":}",
            400,
            "malformed_json",
            Some("line 1 column 11"),
        ),
        (
            "PUT",
            providers,
            "{\"plugin\":5}",
            422,
            "invalid",
            Some("plugin"),
        ),
        (
            "PUT",
            providers,
            "{\"plugin\":\"x\",\"zones\":[\"a b\"]}",
            422,
            "invalid",
            Some("zones[0]"),
        ),
        (
            "PUT",
            providers,
            "{\"plugin\":\"none\"}",
            422,
            "invalid",
            Some("plugin"),
        ),
        (
            "PUT",
            "/api/v1/dns/providers/main?forced=1",
            "{}",
            400,
            "bad_request",
            Some("query"),
        ),
        (
            "GET",
            "/api/v1/dns/providers/%ff",
            "",
            400,
            "bad_request",
            Some("path"),
        ),
        ("GET", records, "", 404, "not_found", None),
        (
            "PUT",
            records,
            "{\"records\":[]}",
            422,
            "invalid",
            Some("records"),
        ),
        (
            "GET",
            "/api/v1/dns/plan?zone=example.com",
            "",
            404,
            "not_found",
            None,
        ),
    ] {
        let (found, answer) = json_of(daemon.call(method, path, body).await);
        let error = &answer["error"];
        assert_eq!(
            (found, &error["code"]),
            (status, &json!(code)),
            "{method} {path} {body}: {answer}"
        );
        assert_eq!(error["at"].as_str(), at, "{method} {path} {body}: {answer}");
    }
    for (path, empty) in [
        ("/api/v1/dns/providers", json!({"providers": []})),
        ("/api/v1/dns/plan", json!({"zones": []})),
        ("/api/v1/dns/status", json!({"zones": []})),
        (
            "/api/v1/dns/zones/example.com/history",
            json!({"changes": []}),
        ),
    ] {
        assert_eq!(
            json_of(daemon.call("GET", path, "").await),
            (200, empty),
            "{path}"
        );
    }
    daemon.member.shutdown().await.unwrap();
}
