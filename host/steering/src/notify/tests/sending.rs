//! Webhooks before a real server.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::notify::{
    Condition, Delivery, Message, MessageState, SendError, SendOptions, Sender, Webhook,
};
use crate::outbound::stub::{Answer, Stub};

/// In the path of every URL here, so that it is in no error.
const TOKEN: &str = "t0ken-0123456789";

fn sender() -> Sender {
    Sender::new(SendOptions {
        timeout_ms: 1_500,
        attempts: 3,
        backoff_min_ms: 10,
        backoff_max_ms: 1_000,
        extra_ca_file: None,
    })
    .unwrap()
}

fn message() -> Message {
    Message {
        state: MessageState::Firing,
        condition: Condition {
            kind: "site-down".into(),
            subject: "sh".into(),
            summary: "nobody reaches it".into(),
            since_ms: 1_770_091_506_789,
        },
    }
}

fn webhook(stub: &Stub, fields: Value) -> Webhook {
    let mut body =
        json!({"url": format!("{}{TOKEN}?key={TOKEN}", stub.url()), "allow_private": true});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    Webhook::parse("ops", body, None).unwrap()
}

async fn send(stub: &Stub, fields: Value) -> Result<(), SendError> {
    let result = sender().send(&webhook(stub, fields), &message()).await;
    if let Err(error) = &result {
        let told = format!("{error} {error:?}");
        assert!(!told.contains(TOKEN), "the token is shown: {told}");
    }
    result
}

fn reason(result: Result<(), SendError>) -> String {
    result.unwrap_err().to_string()
}

#[tokio::test]
async fn a_generic_webhook_gets_json() {
    let stub = Stub::new([Answer::status(204)]).await;
    send(&stub, json!({})).await.unwrap();
    let asked = stub.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, format!("POST /{TOKEN}?key={TOKEN} HTTP/1.1"));
    let headers = asked[0].headers.to_ascii_lowercase();
    assert!(
        headers.contains("content-type: application/json"),
        "{headers}"
    );
    assert!(headers.contains("user-agent: portolan/"), "{headers}");
    assert_eq!(
        asked[0].json(),
        json!({
            "state": "firing", "kind": "site-down", "subject": "sh",
            "summary": "nobody reaches it", "since": "2026-02-03T04:05:06Z",
            "since_ms": 1_770_091_506_789_u64,
            "text": "[firing] site-down sh: nobody reaches it (since 2026-02-03T04:05:06Z)",
        })
    );
}

#[tokio::test]
async fn each_service_is_told_in_its_form() {
    let text = "firing: sh";
    let cases = [
        ("slack", "ok", json!({"text": text})),
        (
            "dingtalk",
            r#"{"errcode":0,"errmsg":"ok"}"#,
            json!({"msgtype": "text", "text": {"content": text}}),
        ),
        (
            "feishu",
            r#"{"code":0,"msg":"success"}"#,
            json!({"msg_type": "text", "content": {"text": text}}),
        ),
    ];
    for (format, answer, body) in cases {
        let stub = Stub::new([Answer::ok(answer)]).await;
        let fields = json!({"format": format, "template": "{state}: {subject}"});
        send(&stub, fields).await.unwrap();
        assert_eq!(stub.asked()[0].json(), body, "{format}");
    }
}

/// The server checks the signature by the recipe of the service, from what is in the request.
#[tokio::test]
async fn signatures_fit_what_is_sent() {
    let stub = Stub::new([Answer::ok(r#"{"errcode":0}"#)]).await;
    let fields = json!({"format": "dingtalk", "secret": "SEC0123456789"});
    send(&stub, fields).await.unwrap();
    let line = stub.asked()[0].line.clone();
    let target = line.split(' ').nth(1).unwrap();
    let url = url::Url::parse(&format!("http://host{target}")).unwrap();
    let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let expected = python_hmac(
        "SEC0123456789",
        &format!("{}\nSEC0123456789", query["timestamp"]),
    );
    assert_eq!(query["key"], TOKEN, "what the url held stays");
    if let Some(expected) = expected {
        assert_eq!(query["sign"], expected);
    }

    let stub = Stub::new([Answer::ok(r#"{"code":0}"#)]).await;
    let fields = json!({"format": "feishu", "secret": "SEC0123456789"});
    send(&stub, fields).await.unwrap();
    let body = stub.asked()[0].json();
    let timestamp = body["timestamp"].as_str().unwrap();
    assert_eq!(timestamp.len(), 10, "seconds");
    if let Some(expected) = python_hmac(&format!("{timestamp}\nSEC0123456789"), "") {
        assert_eq!(body["sign"], expected);
    }
}

/// HMAC-SHA256 in base64 by another implementation; none where Python is not installed.
fn python_hmac(key: &str, text: &str) -> Option<String> {
    let script = "import sys,hmac,base64\n\
        print(base64.b64encode(hmac.new(sys.argv[1].encode(),sys.argv[2].encode(),'sha256')\
        .digest()).decode())";
    let output = std::process::Command::new("python3")
        .args(["-c", script, key, text])
        .output()
        .ok()?;
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[tokio::test]
async fn trouble_that_passes_is_tried_again() {
    let busy = Answer::Page(429, "retry-after: 0\r\n".into(), String::new());
    let stub = Stub::new([busy, Answer::Drop, Answer::ok("ok")]).await;
    send(&stub, json!({"format": "slack"})).await.unwrap();
    assert_eq!(stub.asked().len(), 3);

    let answers = [
        Answer::ok(r#"{"errcode":130101,"errmsg":"send too fast"}"#),
        Answer::ok(r#"{"errcode":0}"#),
    ];
    let stub = Stub::new(answers).await;
    send(&stub, json!({"format": "dingtalk"})).await.unwrap();
    assert_eq!(stub.asked().len(), 2);
}

#[tokio::test]
async fn trouble_that_lasts_is_not() {
    let echo = format!("no such hook: /{TOKEN}?key={TOKEN}");
    let answers = [
        (
            Answer::Page(404, String::new(), echo),
            "generic",
            "does not take the message: it answers 404",
        ),
        (
            Answer::ok(r#"{"errcode":310000,"errmsg":"sign not match"}"#),
            "dingtalk",
            "error 310000: sign not match",
        ),
        (
            Answer::ok(r#"{"code":19024,"msg":"Key Words Not Found"}"#),
            "feishu",
            "error 19024: Key Words Not Found",
        ),
        (
            Answer::Page(302, format!("location: /{TOKEN}\r\n"), String::new()),
            "slack",
            "redirects are not followed",
        ),
    ];
    for (answer, format, sentence) in answers {
        let stub = Stub::new([answer]).await;
        let error = send(&stub, json!({"format": format})).await.unwrap_err();
        assert!(error.to_string().contains(sentence), "{error}");
        assert!(error.to_string().contains("the webhook ops"), "{error}");
        assert_eq!(error.delivery(), Delivery::NotDelivered);
        assert_eq!(stub.asked().len(), 1, "{format} is tried once");
    }
}

#[tokio::test]
async fn what_may_have_arrived_is_said() {
    for (answer, sentence) in [
        (Answer::status(502), "in 3 tries: it answers 502"),
        (Answer::Hang, "no answer within 1500 ms"),
    ] {
        let stub = Stub::new([answer]).await;
        let error = send(&stub, json!({})).await.unwrap_err();
        assert_eq!(error.delivery(), Delivery::Unknown);
        assert!(error.to_string().contains(sentence), "{error}");
        assert_eq!(stub.asked().len(), 3);
    }
    // A refusal does not undo an earlier try that may have arrived.
    let stub = Stub::new([Answer::Drop, Answer::status(404)]).await;
    let error = send(&stub, json!({})).await.unwrap_err();
    assert_eq!(error.delivery(), Delivery::Unknown);
    assert_eq!(stub.asked().len(), 2);
}

#[tokio::test]
async fn a_service_that_asks_for_a_long_pause_gets_it() {
    let busy = Answer::Page(429, "retry-after: 3600\r\n".into(), String::new());
    let stub = Stub::new([busy]).await;
    let error = send(&stub, json!({})).await.unwrap_err();
    assert_eq!(error.delivery(), Delivery::NotDelivered);
    assert_eq!(stub.asked().len(), 1, "it is left to a later round");
}

#[tokio::test]
async fn a_server_that_is_not_there_surely_heard_nothing() {
    let stub = Stub::new([Answer::status(204)]).await;
    let webhook = webhook(&stub, json!({}));
    drop(stub);
    let error = sender().send(&webhook, &message()).await.unwrap_err();
    assert_eq!(error.delivery(), Delivery::NotDelivered);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_name_that_leads_home_is_not_asked() {
    let stub = Stub::new([Answer::status(204)]).await;
    let url = format!("https://localhost:{}/{TOKEN}", stub.address.port());
    let webhook = Webhook::parse("ops", json!({"url": url}), None).unwrap();
    let error = reason(sender().send(&webhook, &message()).await);
    assert!(error.contains("is not a global address"), "{error}");
    assert!(stub.asked().is_empty());
}
