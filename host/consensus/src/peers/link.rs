//! The asking side: one connection to a member, made when it is first needed and again when it broke.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::frame::{Direction, Frame, write_queue};
use super::message::{Answer, Hello, Message};
use super::{PEER_PATH, PEER_PROTOCOL};
use crate::error::Error;
use crate::identity::ClusterId;
use crate::telemetry::Telemetry;
use crate::types::MemberId;

/// A member that does not take a connection within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that lets a request time out and has been silent for this long is given up.
const SILENCE: Duration = Duration::from_secs(1);
/// Frames that wait for the socket; askers beyond it wait their turn.
const QUEUE: usize = 256;

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum LinkError {
    /// The request has certainly not reached the member.
    #[error("cannot reach {addr}: {reason}")]
    NotSent { addr: String, reason: String },
    /// The connection broke with the request under way.
    #[error("the connection to {addr} broke")]
    Broken { addr: String },
    /// No answer in time.
    #[error("{addr} did not answer within {ms} ms")]
    Timeout { addr: String, ms: u64 },
    /// The member's own answer.
    #[error("{0}")]
    Remote(Error),
}

/// A connection to the member at one address.
pub(crate) struct Link {
    addr: String,
    /// Whom we expect there, and as which group's member we come.
    hello: Hello,
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
    telemetry: Option<Arc<Telemetry>>,
}

impl Link {
    pub(crate) fn new(
        addr: String,
        to: Option<MemberId>,
        cluster: Option<ClusterId>,
        telemetry: Option<Arc<Telemetry>>,
    ) -> Self {
        let hello = Hello { cluster, to };
        Self {
            addr,
            hello,
            connection: tokio::sync::Mutex::default(),
            telemetry,
        }
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn call<M: Message>(
        &self,
        message: &M,
        timeout: Duration,
    ) -> Result<M::Reply, LinkError> {
        let deadline = tokio::time::Instant::now() + timeout;
        let result = async {
            let connection = self.connect(deadline).await?;
            connection.call(message, deadline, &self.addr).await
        }
        .await;
        if let Some(telemetry) = &self.telemetry {
            let outcome = match &result {
                Ok(_) => "ok",
                Err(LinkError::NotSent { .. }) => "unreachable",
                Err(LinkError::Broken { .. }) => "broken",
                Err(LinkError::Timeout { .. }) => "timeout",
                Err(LinkError::Remote(_)) => "refused",
            };
            telemetry
                .peer_requests
                .with_label_values(&[M::NAME, outcome])
                .inc();
        }
        result
    }

    async fn connect(&self, deadline: tokio::time::Instant) -> Result<Arc<Connection>, LinkError> {
        let not_sent = |reason: String| LinkError::NotSent {
            addr: self.addr.clone(),
            reason,
        };
        let connecting = async {
            let mut slot = self.connection.lock().await;
            if let Some(connection) = slot.as_ref().filter(|connection| connection.is_open()) {
                return Ok(connection.clone());
            }
            let connection = Connection::open(&self.addr).await?;
            let hello = connection.call(&self.hello, deadline, &self.addr).await;
            let reply = hello.map_err(|error| error.to_string())?;
            tracing::debug!(addr = %self.addr, id = reply.id, "connected to a member");
            *slot = Some(connection.clone());
            Ok::<_, String>(connection)
        };
        let by = deadline.min(tokio::time::Instant::now() + CONNECT_TIMEOUT);
        match tokio::time::timeout_at(by, connecting).await {
            Ok(result) => result.map_err(not_sent),
            Err(_) => Err(not_sent("no connection in time".into())),
        }
    }
}

struct Connection {
    queue: mpsc::Sender<Bytes>,
    /// Who waits for which reply; none once the connection is closed.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<Frame>>>>,
    next_id: AtomicU64,
    heard: Mutex<Instant>,
    reader: Mutex<Option<AbortHandle>>,
}

impl Connection {
    async fn open(addr: &str) -> Result<Arc<Self>, String> {
        let io = upgrade(addr).await.map_err(|error| error.to_string())?;
        let (mut read, write) = tokio::io::split(io);
        let (queue, outbox) = mpsc::channel(QUEUE);
        let connection = Arc::new(Self {
            queue,
            waiting: Mutex::new(Some(HashMap::new())),
            next_id: AtomicU64::new(0),
            heard: Mutex::new(Instant::now()),
            reader: Mutex::new(None),
        });
        tokio::spawn(write_queue(write, outbox));
        let reader = {
            // Weak, so that a link that is dropped closes its connection.
            let connection = Arc::downgrade(&connection);
            tokio::spawn(async move {
                while let Ok(Some(frame)) = Frame::read(&mut read).await {
                    let Some(connection) = connection.upgrade() else {
                        return;
                    };
                    connection.deliver(frame);
                }
                if let Some(connection) = connection.upgrade() {
                    connection.close();
                }
            })
        };
        *connection.reader.lock() = Some(reader.abort_handle());
        Ok(connection)
    }

    fn is_open(&self) -> bool {
        self.waiting.lock().is_some() && !self.queue.is_closed()
    }

    fn deliver(&self, frame: Frame) {
        *self.heard.lock() = Instant::now();
        if frame.direction != Direction::Reply {
            return;
        }
        let waiter = self
            .waiting
            .lock()
            .as_mut()
            .and_then(|waiting| waiting.remove(&frame.id));
        if let Some(waiter) = waiter {
            // The asker may have given up meanwhile.
            let _ = waiter.send(frame);
        }
    }

    /// Fails all who wait, and whoever comes.
    fn close(&self) {
        *self.waiting.lock() = None;
        if let Some(reader) = self.reader.lock().take() {
            reader.abort();
        }
    }

    async fn call<M: Message>(
        &self,
        message: &M,
        deadline: tokio::time::Instant,
        addr: &str,
    ) -> Result<M::Reply, LinkError> {
        let not_sent = |reason: String| LinkError::NotSent {
            addr: addr.to_owned(),
            reason,
        };
        let body = postcard::to_stdvec(message).map_err(|error| not_sent(error.to_string()))?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let frame = Frame {
            id,
            kind: M::KIND,
            direction: Direction::Request,
            body: body.into(),
        };
        let (reply, answer) = oneshot::channel();
        match self.waiting.lock().as_mut() {
            Some(waiting) => drop(waiting.insert(id, reply)),
            None => return Err(not_sent("the connection was closed".into())),
        }
        let _forget = Forget {
            connection: self,
            id,
        };
        let started = Instant::now();
        let timeout = || {
            if self.heard.lock().elapsed() > SILENCE {
                self.close();
            }
            let ms = started.elapsed().as_millis() as u64;
            LinkError::Timeout {
                addr: addr.to_owned(),
                ms,
            }
        };
        match tokio::time::timeout_at(deadline, self.queue.send(frame.encode())).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(not_sent("the connection was closed".into())),
            Err(_) => return Err(timeout()),
        }
        let frame = match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(_)) => {
                return Err(LinkError::Broken {
                    addr: addr.to_owned(),
                });
            }
            Err(_) => return Err(timeout()),
        };
        match postcard::from_bytes::<Answer<M>>(&frame.body) {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(LinkError::Remote(error)),
            Err(_) => Err(LinkError::Broken {
                addr: addr.to_owned(),
            }),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

/// Takes a request out of the waiting list, however its future ends.
struct Forget<'a> {
    connection: &'a Connection,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.connection.waiting.lock().as_mut() {
            waiting.remove(&self.id);
        }
    }
}

/// Opens a connection and upgrades it to the peers' protocol.
async fn upgrade(addr: &str) -> io::Result<TokioIo<hyper::upgrade::Upgraded>> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        // Ends when the upgrade takes the connection over, or with the error that the request sees.
        let _ = connection.with_upgrades().await;
    });
    let request = Request::get(PEER_PATH)
        .header(header::HOST, addr)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, PEER_PROTOCOL)
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let response = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(io::Error::other(format!(
            "it answers {} where a portolan member switches to {PEER_PROTOCOL}",
            response.status()
        )));
    }
    let upgraded = hyper::upgrade::on(response)
        .await
        .map_err(io::Error::other)?;
    Ok(TokioIo::new(upgraded))
}
