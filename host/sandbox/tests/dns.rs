//! The other half of the one way out: DNS messages.

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

use common::{
    dns::{DnsStub, secret},
    load, options, provider_error, sandbox, sandbox_resolving, tell,
};
use portolan_sandbox::{DnsPlugin, Grants, ProviderError};
use serde_json::{Value, json};

/// Grants of these hosts, with the secret of `lab.key` as the credential `key`.
fn grants(hosts: Value) -> Arc<Grants> {
    let credentials = json!({ "key": secret() });
    let grants = json!({ "binding": "lab", "hosts": hosts, "credentials": credentials });
    Arc::new(serde_json::from_value(grants).unwrap())
}

async fn error(plugin: &DnsPlugin, command: &str) -> ProviderError {
    provider_error(tell(plugin, command).await)
}

async fn denied(plugin: &DnsPlugin, command: &str) -> String {
    match error(plugin, command).await {
        ProviderError::Denied(text) => text,
        other => panic!("not denied: {other:?}"),
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_message_is_sent_signed_and_its_answer_comes_without_signature() {
    let stub = DnsStub::start().await;
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "signer")
        .await
        .dns(grants(json!([stub.grant()])));

    let command = format!("exchange {} lab.key key www.example", stub.address);
    let (length, answer) = tell(&plugin, &command).await.unwrap();
    // A header and one record of 3 + 10 + 4 octets.
    assert_eq!(length, "29");
    assert_eq!(answer[4..24], *"84000000000100000000", "{answer}");
    // The stub checks the MAC, and the id is one of the host's.
    let request = stub.received().remove(0);
    assert_eq!(request[..2], hex::decode(&answer[..4]).unwrap());
    assert!(contains(&request, b"\x03lab\x03key\x00\x00\xfa"));

    let plain = format!("exchange {} - - plain.example", stub.address);
    tell(&plugin, &plain).await.unwrap();
    assert!(!contains(&stub.received()[1], b"hmac"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_denied_with_the_command_that_grants_it() {
    let stub = DnsStub::start().await;
    let sandbox = sandbox(options());
    let http = format!("http://{}", stub.address);
    let plugin = load(&sandbox, "nosy").await.dns(grants(json!([http])));

    let ask = format!("exchange {} - - www.example", stub.address);
    let text = denied(&plugin, &ask).await;
    let expected = format!(
        "plugin `nosy` of binding `lab` asked for {origin}, which is not granted; to grant it: \
         curl -X PATCH http://127.0.0.1:8420/api/v1/dns/providers/lab \
         -H 'content-type: application/json' -d '{{\"hosts\":[\"{http}\",\"{origin}\"]}}'",
        origin = stub.grant()
    );
    assert_eq!(text, expected);
    for server in [
        "127.0.0.1",
        "169.254.169.254:53",
        "[::1]:53",
        "localhost",
        "2130706433:53",
    ] {
        denied(&plugin, &format!("transfer {server} - - www.example")).await;
    }
    let nowhere = error(&plugin, "exchange user@host - - www.example").await;
    assert!(matches!(nowhere, ProviderError::Invalid(_)), "{nowhere:?}");

    // A grant for DNS is none for HTTP on the same port.
    let plugin = load(&sandbox, "nosy")
        .await
        .dns(grants(json!([stub.grant()])));
    denied(&plugin, &format!("send GET {http}/")).await;
    assert_eq!(stub.connections(), 0, "nothing was dialled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_name_that_leads_inside_is_denied() {
    let stub = DnsStub::start().await;
    let port = stub.address.port();
    let sandbox = sandbox_resolving(
        options(),
        &[
            ("rebound.test", &["127.0.0.1"]),
            ("mixed.test", &["8.8.8.8", "::ffff:10.0.0.1"]),
            ("intra.test", &["127.0.0.1"]),
            ("localhost", &["127.0.0.1"]),
        ],
    );
    let names = ["rebound.test", "mixed.test", "missing.test", "localhost"];
    let mut hosts: Vec<Value> = names
        .iter()
        .map(|name| json!(format!("dns://{name}:{port}")))
        .collect();
    hosts.push(json!({ "url": format!("dns://intra.test:{port}"), "private": true }));
    let plugin = load(&sandbox, "rebound").await.dns(grants(json!(hosts)));
    let ask = |name: &str| format!("exchange {name}:{port} lab.key key www.example");

    let text = denied(&plugin, &ask("rebound.test")).await;
    assert!(
        text.contains("`rebound.test` resolves to 127.0.0.1, which is not a public address"),
        "{text}"
    );
    let patch = format!(r#"{{"private":true,"url":"dns://rebound.test:{port}"}}]}}'"#);
    assert!(text.ends_with(&patch), "{text}");
    assert!(
        denied(&plugin, &ask("mixed.test"))
            .await
            .contains("10.0.0.1")
    );
    assert_eq!(stub.connections(), 0, "nothing was dialled");

    let missing = error(&plugin, &ask("missing.test")).await;
    assert!(
        matches!(missing, ProviderError::Transient(_)),
        "not sent: {missing:?}"
    );
    tell(&plugin, &ask("intra.test")).await.unwrap();
    tell(&plugin, &ask("localhost")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_never_leaves_the_host() {
    let stub = DnsStub::start().await;
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "keeper")
        .await
        .dns(grants(json!([stub.grant()])));
    let ask =
        |credential: &str| format!("exchange {} lab.key {credential} www.example", stub.address);
    let (_, answer) = tell(&plugin, &ask("key")).await.unwrap();
    for said in [hex::decode(answer).unwrap(), stub.received().remove(0)] {
        assert!(!contains(&said, b"s3cret") && !contains(&said, secret().as_bytes()));
    }

    let text = denied(&plugin, &ask("spare")).await;
    assert!(
        text.contains(r#"-d '{"credentials":{"spare":"…"}}'"#),
        "{text}"
    );
    let text = denied(&plugin, &ask("other")).await;
    assert!(text.contains("its manifest does not declare"), "{text}");

    let hosts = json!([stub.grant()]);
    let not_base64 =
        json!({ "binding": "lab", "hosts": hosts, "credentials": { "key": "s3cret!" } });
    let plugin = load(&sandbox, "keeper").await;
    let plugin = plugin.dns(Arc::new(serde_json::from_value(not_base64).unwrap()));
    let ProviderError::Invalid(text) = error(&plugin, &ask("key")).await else {
        panic!("a secret that is none")
    };
    assert!(
        text.starts_with("the credential `key`: it is not the base64") && !text.contains("s3cret!"),
        "{text}"
    );
    assert_eq!(stub.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_believed_by_their_signatures() {
    let stub = DnsStub::start().await;
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "doubter")
        .await
        .dns(grants(json!([stub.grant()])));
    let ask = |name: &str| format!("exchange {} lab.key key {name}.example", stub.address);
    for (name, expected) in [
        (
            "unsigned",
            "the answer (NOERROR) is not signed with the key `lab.key` (hmac-sha256)",
        ),
        ("forged", "signature does not fit the key `lab.key`"),
    ] {
        let error = error(&plugin, &ask(name)).await;
        assert!(
            matches!(&error, ProviderError::Conflict(text) if text.contains(expected)),
            "{name}: {error:?}"
        );
    }
    let refused = error(&plugin, &ask("badkey")).await;
    let expected = format!(
        "{}: BADKEY: the server does not know the key `lab.key` (hmac-sha256)",
        stub.grant()
    );
    assert_eq!(refused, ProviderError::Auth(expected));
    let refused = error(&plugin, &ask("refused")).await;
    assert!(
        matches!(&refused, ProviderError::NotFound(text) if text.starts_with("5: dns://") && text.contains("REFUSED")),
        "{refused:?}"
    );
    for name in ["other", "noise"] {
        let garbled = error(&plugin, &ask(name)).await;
        assert!(
            matches!(garbled, ProviderError::UnknownOutcome(_)),
            "{name}: {garbled:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_comes_whole_or_not_at_all() {
    let stub = DnsStub::start().await;
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "reader")
        .await
        .dns(grants(json!([stub.grant()])));
    let ask = |name: &str| format!("transfer {} lab.key key {name}.example", stub.address);
    let (messages, _) = tell(&plugin, &ask("zone")).await.unwrap();
    assert_eq!(messages, "3");
    let torn = error(&plugin, &ask("torn")).await;
    assert!(matches!(torn, ProviderError::UnknownOutcome(_)), "{torn:?}");
    let no_zone = error(&plugin, &ask("www")).await;
    assert!(
        matches!(no_zone, ProviderError::UnknownOutcome(_)),
        "{no_zone:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_bound_a_call() {
    let stub = DnsStub::start().await;
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "greedy")
        .await
        .dns(grants(json!([stub.grant()])));
    let limit = |error: ProviderError| match error {
        ProviderError::Quota(text) => text,
        other => panic!("not a limit: {other:?}"),
    };

    let started = Instant::now();
    let bomb = format!("transfer {} lab.key key bomb.example", stub.address);
    let text = limit(error(&plugin, &bomb).await);
    assert!(text.contains("limit of 1048576 bytes to receive"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(2));

    let many = format!("exchange-many {} lab.key key www.example", stub.address);
    let text = limit(error(&plugin, &many).await);
    assert!(text.contains("its 5 requests"), "{text}");
    assert_eq!(stub.received().len(), 1 + 5);
    assert_eq!(
        stub.connections(),
        1 + 1,
        "the messages of a call share a connection"
    );

    // `describe` tried to send a message, too.
    plugin.describe().await.unwrap();
    assert_eq!(stub.received().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_server_closed_is_not_used_again() {
    let stub = DnsStub::start().await;
    let sandbox = sandbox(options());
    let plugin = load(&sandbox, "careful")
        .await
        .dns(grants(json!([stub.grant()])));
    let many = format!("exchange-many {} lab.key key last.example", stub.address);
    let end = error(&plugin, &many).await;
    // Each message came before the server's end of the connection was seen, or it is told as unknown:
    // never is it sent twice.
    assert!(
        matches!(
            end,
            ProviderError::Quota(_) | ProviderError::UnknownOutcome(_)
        ),
        "{end:?}"
    );
    assert!(stub.received().len() <= 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_certainly_did_not_leave_is_told_apart_from_what_may_have() {
    let stub = DnsStub::start().await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let sandbox = sandbox(options());
    let hosts = json!([stub.grant(), format!("dns://{closed}")]);
    let plugin = load(&sandbox, "careful").await.dns(grants(hosts));

    let not_sent = error(
        &plugin,
        &format!("exchange {closed} lab.key key www.example"),
    )
    .await;
    assert!(
        matches!(not_sent, ProviderError::Transient(_)),
        "{not_sent:?}"
    );
    let noise = error(&plugin, &format!("exchange-noise {}", stub.address)).await;
    assert!(
        matches!(&noise, ProviderError::Invalid(text) if text.contains("malformed")),
        "{noise:?}"
    );
    assert_eq!(stub.received().len(), 0);
    for name in ["silent", "hangup", "cut"] {
        let ask = format!("exchange {} lab.key key {name}.example", stub.address);
        let lost = error(&plugin, &ask).await;
        assert!(
            matches!(lost, ProviderError::UnknownOutcome(_)),
            "{name}: {lost:?}"
        );
    }
}
