//! HTTP, TCP and ICMP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::servers::{Manner, Server};
use super::*;
use crate::check::prober::dial;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nall is ok";

fn http(port: u16, more: Value) -> Value {
    let mut check = json!({"type": "http", "port": port});
    for (name, value) in more.as_object().unwrap() {
        check[name] = value.clone();
    }
    check
}

/// Why a server that behaves like that is down.
async fn verdict_on(manner: Manner, more: Value) -> Option<String> {
    let server = Server::start(manner).await;
    why_down(&prober(), http(server.port, more)).await
}

/// A port that nobody listens on.
async fn free_port() -> u16 {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn the_address_is_dialled_and_asked_for_the_host() {
    let server = Server::start(Manner::say(OK)).await;
    let asked = json!({"path": "/healthz?deep=1", "host": "shop.invalid", "body": "is ok"});
    assert_eq!(why_down(&prober(), http(server.port, asked)).await, None);
    let head = server.heads().pop().unwrap().to_lowercase();
    assert!(
        head.starts_with("get /healthz?deep=1 http/1.1\r\n"),
        "{head}"
    );
    for line in [
        "host: shop.invalid\r\n",
        "connection: close\r\n",
        "user-agent: portolan/",
    ] {
        assert!(head.contains(line), "{head}");
    }
}

#[tokio::test]
async fn without_a_host_the_address_is_the_host() {
    let server = Server::start(Manner::say(OK)).await;
    let asked = json!({"method": "HEAD"});
    assert_eq!(why_down(&prober(), http(server.port, asked)).await, None);
    let head = server.heads().pop().unwrap().to_lowercase();
    assert!(head.starts_with("head / http/1.1\r\n"), "{head}");
    let host = format!("host: 127.0.0.1:{}\r\n", server.port);
    assert!(head.contains(&host), "{head}");
}

#[tokio::test]
async fn ipv6_is_asked_where_this_host_has_it() {
    let here = IpAddr::V6(Ipv6Addr::LOCALHOST);
    match Server::start_at(here, Manner::say(OK), None).await {
        Ok(server) => {
            let check = check(http(server.port, json!({})));
            assert!(prober().probe(here, &check, PATIENCE).await.is_ok());
            let head = server.heads().pop().unwrap();
            let host = format!("host: [::1]:{}\r\n", server.port);
            assert!(head.to_lowercase().contains(&host), "{head}");
        }
        Err(_no_ipv6) => {
            let why = why_unable(&prober(), here, http(80, json!({}))).await;
            assert!(why.contains("this member"), "{why}");
        }
    }
}

#[tokio::test]
async fn the_status_decides_and_no_redirect_is_followed() {
    let moved = "HTTP/1.1 301 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
    let busy = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";
    let cases = [
        (busy, json!({}), Some("status 503, wanted 200-299")),
        (busy, json!({"status": ["500-599"]}), None),
        (moved, json!({}), Some("status 301, wanted 200-299")),
        (moved, json!({"status": ["200-204", 301]}), None),
        (
            OK,
            json!({"status": [204, "301-308"]}),
            Some("status 200, wanted 204, 301-308"),
        ),
    ];
    for (answer, more, expected) in cases {
        let server = Server::start(Manner::say(answer)).await;
        let why = why_down(&prober(), http(server.port, more.clone())).await;
        assert_eq!(why.as_deref(), expected, "{answer} {more}");
        assert_eq!(server.heads().len(), 1);
    }
}

#[tokio::test]
async fn the_body_must_hold_the_text_within_its_first_64_kib() {
    let body = |before: usize| {
        let text = format!("{}all is ok", "x".repeat(before));
        let length = text.len();
        Manner::say(&format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{text}"
        ))
    };
    let wanted = json!({"body": "all is ok"});
    let missing = Some("the body does not hold `all is ok`".to_owned());
    assert_eq!(verdict_on(body(0), wanted.clone()).await, None);
    assert_eq!(verdict_on(body(64 * 1024 - 9), wanted.clone()).await, None);
    assert_eq!(
        verdict_on(body(64 * 1024 - 8), wanted.clone()).await,
        missing
    );
    assert_eq!(verdict_on(body(1 << 20), wanted).await, missing);
    let why = verdict_on(body(0), json!({"body": "OK"})).await;
    assert_eq!(why.as_deref(), Some("the body does not hold `OK`"));
}

#[tokio::test]
async fn a_body_that_never_ends_is_read_until_the_text_is_found() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let parts = vec![head, b"5\r\nall i\r\n".to_vec(), b"4\r\ns ok\r\n".to_vec()];
    let manner = Manner::SayAndHang(parts);
    assert_eq!(
        verdict_on(manner.clone(), json!({"body": "is ok"})).await,
        None
    );
    assert_eq!(
        verdict_on(manner.clone(), json!({})).await,
        None,
        "status alone"
    );

    let server = Server::start(manner).await;
    let asked = http(server.port, json!({"body": "is not"}));
    let why = why_down_within(&prober(), asked, IMPATIENCE).await;
    assert_eq!(why.as_deref(), Some("no answer within 200 ms"));
}

#[tokio::test]
async fn a_server_that_breaks_off_or_talks_otherwise_is_down() {
    let cut_off = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nall";
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    let closed = "connection closed before a whole answer";
    let text = json!({"body": "all is ok"});
    let cases = [
        (Manner::Reset, json!({}), "connection reset"),
        (Manner::say(""), json!({}), closed),
        (Manner::say("HTTP/1.1 200"), json!({}), closed),
        (Manner::say(cut_off), text, closed),
        (
            Manner::say("SSH-2.0-server\r\n"),
            json!({}),
            "not an HTTP answer",
        ),
        (Manner::say(&endless), json!({}), "not an HTTP answer"),
    ];
    for (manner, more, words) in cases {
        let why = verdict_on(manner, more).await.expect(words);
        assert!(why.starts_with(words), "{why}, expected {words}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_down_at_the_timeout() {
    let server = Server::start(Manner::hang()).await;
    for given in [
        http(server.port, json!({})),
        json!({"type": "https", "port": server.port}),
        json!({"type": "tls", "port": server.port}),
    ] {
        let why = why_down_within(&prober(), given, IMPATIENCE).await;
        assert_eq!(why.as_deref(), Some("no answer within 200 ms"));
    }
}

#[tokio::test]
async fn a_port_is_up_while_somebody_listens() {
    let server = Server::start(Manner::hang()).await;
    let port = server.port;
    assert_eq!(
        why_down(&prober(), json!({"type": "tcp", "port": port})).await,
        None
    );
    let port = free_port().await;
    for kind in ["tcp", "http", "https", "tls"] {
        let why = why_down(&prober(), json!({"type": kind, "port": port})).await;
        assert_eq!(why.as_deref(), Some("connection refused"), "{kind}");
    }
}

#[tokio::test]
async fn no_connection_outlives_its_probe_to_hide_a_dead_server() {
    let prober = prober();
    let keeps_alive = Manner::SayAndHang(vec![OK.into()]);
    let server = Server::start(keeps_alive).await;
    let asked = http(server.port, json!({}));
    for _ in 0..2 {
        assert_eq!(why_down(&prober, asked.clone()).await, None);
    }
    assert_eq!(server.heads().len(), 2);
    server.stop().await;
    let why = why_down(&prober, asked).await;
    assert_eq!(why.as_deref(), Some("connection refused"));
}

#[tokio::test]
async fn no_more_probes_run_at_once_than_allowed() {
    let (hanging, good) = (
        Server::start(Manner::hang()).await,
        Server::start(Manner::say(OK)).await,
    );
    let options = ProbeOptions {
        probes_at_once: 1,
        ..ProbeOptions::default()
    };
    let prober = Prober::new(options).unwrap();
    let probe = |port: u16| {
        let (prober, check) = (prober.clone(), check(http(port, json!({}))));
        tokio::spawn(async move { prober.probe(HERE, &check, PATIENCE).await })
    };
    let first = probe(hanging.port);
    hanging.heard().await;
    let second = probe(good.port);
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(good.heads().is_empty(), "it waits for the first");
    first.abort();
    assert!(second.await.unwrap().is_ok());
    assert_eq!(good.heads().len(), 1);
}

#[tokio::test]
async fn an_address_that_this_host_cannot_send_to_is_not_down() {
    // TCP has no broadcast, so the kernel refuses before anything leaves.
    let nowhere = IpAddr::V4(Ipv4Addr::BROADCAST);
    let why = why_unable(&prober(), nowhere, json!({"type": "tcp", "port": 80})).await;
    assert_eq!(why, "this member has no route to 255.255.255.255");
}

#[test]
fn only_what_comes_from_the_target_or_the_way_to_it_counts_against_it() {
    use io::ErrorKind::*;
    for kind in [
        ConnectionRefused,
        ConnectionReset,
        TimedOut,
        HostUnreachable,
    ] {
        let failure = dial::unreachable(HERE, &kind.into());
        assert!(
            matches!(failure, ProbeFailure::Down(_)),
            "{kind}: {failure}"
        );
    }
    for kind in [PermissionDenied, AddrNotAvailable, OutOfMemory, Other] {
        let failure = dial::unreachable(HERE, &kind.into());
        assert!(
            matches!(failure, ProbeFailure::Unable(_)),
            "{kind}: {failure}"
        );
    }
}

#[tokio::test]
async fn this_host_answers_an_echo_request_where_the_process_may_send_one() {
    let families: [(IpAddr, Domain, Protocol); 2] = [
        (HERE, Domain::IPV4, Protocol::ICMPV4),
        (Ipv6Addr::LOCALHOST.into(), Domain::IPV6, Protocol::ICMPV6),
    ];
    for (here, domain, protocol) in families {
        let permitted = [Type::DGRAM, Type::RAW]
            .into_iter()
            .any(|kind| Socket::new(domain, kind, Some(protocol)).is_ok());
        let result = prober()
            .probe(here, &check(json!({"type": "icmp"})), PATIENCE)
            .await;
        match (permitted, result) {
            (true, Ok(_)) => {}
            // A host whose loopback has no such address.
            (true, Err(ProbeFailure::Unable(why))) if here.is_ipv6() => {
                assert!(why.starts_with("this member"), "{why}");
            }
            (false, Err(ProbeFailure::Unable(why))) => {
                assert!(
                    why.starts_with("ICMP is not permitted to this process"),
                    "{why}"
                );
            }
            (permitted, other) => panic!("{here}, permitted: {permitted}: {other:?}"),
        }
    }
}
