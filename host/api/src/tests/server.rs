//! The server, over real connections.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Daemon;
use crate::{Door, serve};

struct Server {
    address: SocketAddr,
    door: Door,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (door, stop) = (Door::new(), CancellationToken::new());
        let task = tokio::spawn(serve(
            listener,
            door.clone(),
            stop.clone().cancelled_owned(),
        ));
        Self {
            address,
            door,
            stop,
            task,
        }
    }

    /// One request on a connection that stays open, and its answer as far as it has come.
    async fn exchange(&self, stream: &mut TcpStream, head: &str) -> String {
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut buffer = vec![0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut buffer));
        let length = read.await.expect("an answer").unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

const GET_HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
const GET_READY: &str = "GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n";
const GET_SLOW: &str = "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";

fn slow(time: Duration) -> Router {
    Router::new().route(
        "/slow",
        get(move || async move {
            tokio::time::sleep(time).await;
            "done"
        }),
    )
}

#[tokio::test]
async fn a_closed_door_is_alive_and_says_that_it_starts() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let answer = server.exchange(&mut stream, GET_HEALTH).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = server.exchange(&mut stream, GET_READY).await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("\"starting\""),
        "{answer}"
    );
    assert!(answer.contains("retry-after: 1"), "{answer}");

    server.door.open(slow(Duration::ZERO));
    let answer = server.exchange(&mut stream, GET_SLOW).await;
    assert!(
        answer.ends_with("done"),
        "the same connection finds the door open: {answer}"
    );
}

#[tokio::test]
async fn shutdown_finishes_what_runs_and_does_not_wait_for_idle_connections() {
    let server = Server::start().await;
    server.door.open(slow(Duration::from_millis(300)));
    let mut idle = server.connect().await;
    server.exchange(&mut idle, GET_SLOW).await;
    let _never_used = server.connect().await;
    let mut running = server.connect().await;
    running.write_all(GET_SLOW.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;

    let began = Instant::now();
    server.stop.cancel();
    let mut answer = String::new();
    running.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    server.task.await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "took {:?}",
        began.elapsed()
    );
    assert!(
        TcpStream::connect(server.address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test(start_paused = true)]
async fn shutdown_cuts_off_what_does_not_end_in_ten_seconds() {
    let server = Server::start().await;
    server.door.open(slow(Duration::from_secs(3600)));
    let mut running = server.connect().await;
    running.write_all(GET_SLOW.as_bytes()).await.unwrap();
    // Real I/O under a paused clock: time stands still only while the server has something to read.
    tokio::time::sleep(Duration::from_millis(100)).await;

    let began = tokio::time::Instant::now();
    server.stop.cancel();
    server.task.await.unwrap();
    assert!(
        began.elapsed() >= Duration::from_secs(10),
        "took {:?}",
        began.elapsed()
    );
    assert!(
        began.elapsed() < Duration::from_secs(11),
        "took {:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_ends_its_connection() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTT").await.unwrap();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(600), stream.read_to_end(&mut rest));
    read.await
        .expect("the server closes the connection")
        .unwrap();
}

#[tokio::test]
async fn a_request_that_is_no_peer_is_told_what_is_expected() {
    let daemon = Daemon::start().await;
    let server = Server::start().await;
    server.door.open(daemon.router.clone());
    let mut stream = server.connect().await;
    let answer = server
        .exchange(&mut stream, "GET /raft/peer HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");
    assert!(answer.contains("upgrade: portolan-peer/1"), "{answer}");
    daemon.member.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_peer_leaves_http_and_does_not_hold_the_shutdown_up() {
    let daemon = Daemon::start().await;
    let server = Server::start().await;
    server.door.open(daemon.router.clone());
    let mut stream = server.connect().await;
    let head = "GET /raft/peer HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n\
                upgrade: portolan-peer/1\r\n\r\n";
    let answer = server.exchange(&mut stream, head).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(answer.contains("upgrade: portolan-peer/1"), "{answer}");

    let began = Instant::now();
    server.stop.cancel();
    server.task.await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "took {:?}",
        began.elapsed()
    );
    daemon.member.shutdown().await.unwrap();
}
