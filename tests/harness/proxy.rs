//! A TCP proxy that stops a server's requests or answers at a chosen moment.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::wait::PATIENCE;

/// How long a server gets to act on a request whose answer is held.
const SERVER_ACTS_WITHIN: Duration = Duration::from_millis(300);

/// Passes everything between its clients and one HTTP server, except that from the first request of
/// the chosen method on, requests of that method get no answer until [`Self::release`].
#[derive(Debug)]
pub struct HoldingProxy {
    address: String,
    rule: Rule,
    accepting: JoinHandle<()>,
}

/// Where a request of the chosen method stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Before it reaches the server: nothing happens.
    Request,
    /// After the server has acted: to the client this is a server that died before it answered.
    Answer,
}

#[derive(Debug, Clone)]
struct Rule {
    server: String,
    /// How a held request begins.
    trigger: String,
    hold: Hold,
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Watching,
    Holding,
    Released,
}

impl HoldingProxy {
    /// A proxy for the HTTP server at `server`.
    pub async fn start(server: &str, method: &str, hold: Hold) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("bind the proxy");
        let address = listener
            .local_addr()
            .expect("the proxy's address")
            .to_string();
        let rule = Rule {
            server: server.to_owned(),
            trigger: format!("{method} "),
            hold,
            state: Arc::new(watch::Sender::new(State::Watching)),
        };
        let accepting = tokio::spawn({
            let rule = rule.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(rule.clone().pass(client));
                }
            }
        });
        Self {
            address,
            rule,
            accepting,
        }
    }

    /// The proxy's own `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits until a request or its answer is held.
    pub async fn holding(&self) {
        let mut state = self.rule.state.subscribe();
        let held = state.wait_for(|state| *state == State::Holding);
        let seen = tokio::time::timeout(PATIENCE, held).await;
        assert!(seen.is_ok(), "no request to hold came within {PATIENCE:?}");
        if self.rule.hold == Hold::Answer {
            tokio::time::sleep(SERVER_ACTS_WITHIN).await;
        }
    }

    /// Lets everything pass from now on.
    pub fn release(&self) {
        self.rule.state.send_replace(State::Released);
    }
}

impl Drop for HoldingProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Rule {
    /// One connection, from its client to the server and back.
    async fn pass(self, client: TcpStream) {
        let Ok(server) = TcpStream::connect(&self.server).await else {
            return;
        };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let held = watch::Sender::new(false);

        let requests = async {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                // A request's head begins a read of its own: clients wait for one answer at a time.
                if buffer[..read].starts_with(self.trigger.as_bytes()) && self.holds() {
                    held.send_replace(true);
                    if self.hold == Hold::Request {
                        self.released().await;
                    }
                }
                if to_server.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
            // The client is done: so is the server's side.
            let _ = to_server.shutdown().await;
        };
        let answers = async {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                if *held.borrow() {
                    self.released().await;
                    held.send_replace(false);
                }
                if to_client.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        };
        tokio::join!(requests, answers);
    }

    /// Whether a request that it is about is to be held; says so to whoever waits for it.
    fn holds(&self) -> bool {
        self.state.send_if_modified(|state| {
            let first = *state == State::Watching;
            if first {
                *state = State::Holding;
            }
            first
        });
        *self.state.borrow() == State::Holding
    }

    async fn released(&self) {
        let mut state = self.state.subscribe();
        // The sender lives in `self`: it cannot be gone while we are borrowed.
        let _ = state.wait_for(|state| *state == State::Released).await;
    }
}
