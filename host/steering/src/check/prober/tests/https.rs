//! HTTPS and TLS: whose certificates are good, and how long.

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::servers::{Authority, Manner, Server};
use super::*;

const NAME: &str = "shop.test";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A prober, and the authority that it trusts.
fn trusting() -> (Prober, Authority, TempDir) {
    let (authority, dir) = (Authority::new("ours"), tempfile::tempdir().unwrap());
    let ca_file = dir.path().join("ca.pem");
    authority.publish(&ca_file);
    let options = ProbeOptions {
        extra_ca_file: Some(ca_file),
        ..ProbeOptions::default()
    };
    (Prober::new(options).unwrap(), authority, dir)
}

fn asked(kind: &str, server: &Server, more: Value) -> Value {
    let mut check = json!({"type": kind, "port": server.port});
    for (name, value) in more.as_object().unwrap() {
        check[name] = value.clone();
    }
    check
}

#[tokio::test]
async fn a_server_must_prove_the_name_that_it_is_asked_for() {
    let (prober, authority, _dir) = trusting();
    let server = Server::start_tls(Manner::say(OK), authority.server(NAME)).await;
    let good = [
        json!({"host": NAME, "body": "ok"}),
        json!({"host": format!("{NAME}:8443")}),
        json!({"host": "other.test", "server_name": NAME}),
    ];
    for more in good {
        assert_eq!(why_down(&prober, asked("https", &server, more)).await, None);
    }
    let heads = server.heads();
    assert!(
        heads[2].to_lowercase().contains("host: other.test\r\n"),
        "{heads:?}"
    );

    let bad = [
        json!({}),
        json!({"host": "other.test"}),
        json!({"host": NAME, "server_name": "other.test"}),
    ];
    for more in bad {
        let why = why_down(&prober, asked("https", &server, more))
            .await
            .unwrap();
        assert!(why.contains("not valid for name"), "{why}");
        assert!(why.contains("`server_name` says"), "{why}");
    }
    assert_eq!(server.heads().len(), 3, "the others got no request");
}

#[tokio::test]
async fn a_certificate_may_bear_the_address() {
    let (prober, authority, _dir) = trusting();
    let server = Server::start_tls(Manner::say(OK), authority.server("127.0.0.1")).await;
    for kind in ["https", "tls"] {
        let check = asked(kind, &server, json!({}));
        assert_eq!(why_down(&prober, check).await, None, "{kind}");
    }
}

#[tokio::test]
async fn whom_nobody_vouches_for_is_down_unless_anybody_will_do() {
    let (prober, _, _dir) = trusting();
    let stranger = Authority::new("a stranger").server("whoever.test");
    let server = Server::start_tls(Manner::say(OK), stranger).await;
    for kind in ["https", "tls"] {
        let strict = asked(kind, &server, json!({"server_name": "whoever.test"}));
        let why = why_down(&prober, strict).await.unwrap();
        assert!(why.contains("UnknownIssuer"), "{why}");
        let lax = asked(
            kind,
            &server,
            json!({"danger_accept_any_certificate": true}),
        );
        assert_eq!(why_down(&prober, lax).await, None, "{kind}");
    }
}

#[tokio::test]
async fn a_certificate_must_last_as_long_as_asked() {
    let (prober, authority, _dir) = trusting();
    let week = json!({"server_name": NAME, "min_days": 7});
    let lax_week = json!({"danger_accept_any_certificate": true, "min_days": 7});
    let today = json!({"server_name": NAME});
    let lax = json!({"danger_accept_any_certificate": true});
    let soon = Some("certificate expires in 3 days, wanted at least 7");
    let over = Some("certificate expired 10 days ago");
    let cases = [
        (7, &week, None),
        (3, &week, soon),
        (3, &lax_week, soon),
        (3, &today, None),
        (-10, &week, over),
        (-10, &lax_week, over),
        (-10, &today, over),
        (-10, &lax, None),
    ];
    for (days, more, expected) in cases {
        let acceptor = authority.server_until(NAME, days);
        let server = Server::start_tls(Manner::say(OK), acceptor).await;
        for kind in ["tls", "https"] {
            let why = why_down(&prober, asked(kind, &server, more.clone())).await;
            assert_eq!(why.as_deref(), expected, "{kind}, {days} days, {more}");
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_down() {
    // This one speaks first, as mail servers do.
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let talker = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail ready\r\n").await.unwrap();
        stream
    });
    let check = json!({"type": "tls", "port": port, "danger_accept_any_certificate": true});
    let why = why_down(&prober(), check).await.unwrap();
    assert!(why.contains("corrupt message"), "{why}");
    drop(talker.await);
}
