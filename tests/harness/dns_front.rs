//! What stands before a real DNS server: it passes messages over TCP on, and loses, cuts or replaces
//! answers as a test asks.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portolan_vendors::{Seen, When};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const OPCODE_UPDATE: u8 = 5;
const TYPE_AXFR: u16 = 252;

/// What goes wrong with the answer to a message that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DnsFault {
    /// The connection ends before it.
    Silence,
    /// It breaks off in the middle.
    Cut,
    /// Something else comes in its place.
    Nonsense,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    /// The next ones first.
    faults: Vec<(When, DnsFault)>,
}

impl State {
    /// Notes a message, and answers what goes wrong with it.
    fn arrived(&mut self, message: &[u8]) -> Option<DnsFault> {
        let is_write = is_write(message);
        self.seen.push(Seen {
            name: name(message, is_write),
            is_write,
            sent: message.len(),
            received: 0,
        });
        let meets = |(when, _): &(When, DnsFault)| match when {
            When::Any => true,
            When::Writes => is_write,
            When::Reads => !is_write,
        };
        let at = self.faults.iter().position(meets)?;
        Some(self.faults.remove(at).1)
    }
}

/// A front on loopback. Dropping it ends it.
pub(crate) struct DnsFront {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl DnsFront {
    /// Starts it before the server at `upstream`.
    pub(crate) async fn before(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port of loopback");
        let address = listener.local_addr().expect("a bound socket's address");
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A client that goes away, and a connection that we break, end here.
                tokio::spawn(pass(client, upstream, shared.clone()));
            }
        });
        Self {
            address,
            state,
            accepting,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has this go wrong with the next message that it is for.
    pub(crate) fn next(&self, when: When, fault: DnsFault) {
        lock(&self.state).faults.push((when, fault));
    }

    /// Forgets faults that no message met, and answers how many there were.
    pub(crate) fn clear_faults(&self) -> usize {
        lock(&self.state).faults.drain(..).count()
    }

    /// The messages so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.state).seen.clone()
    }
}

impl Drop for DnsFront {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection of a client.
async fn pass(client: TcpStream, upstream: SocketAddr, state: Arc<Mutex<State>>) -> io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let due = Arc::<Mutex<Option<DnsFault>>>::default();
    let mut answers = tokio::spawn(answer(from_server, to_client, due.clone(), state.clone()));
    let requests = async {
        loop {
            let message = read(&mut from_client).await?;
            let fault = lock(&state).arrived(&message);
            if fault.is_some() {
                *due.lock().unwrap_or_else(PoisonError::into_inner) = fault;
            }
            write(&mut to_server, &message).await?;
        }
    };
    let ended: io::Result<()> = tokio::select! {
        ended = requests => ended,
        _ = &mut answers => Ok(()),
    };
    answers.abort();
    ended
}

/// The way back. It ends, and with it the connection, after a fault.
async fn answer(
    mut from_server: OwnedReadHalf,
    mut to_client: OwnedWriteHalf,
    due: Arc<Mutex<Option<DnsFault>>>,
    state: Arc<Mutex<State>>,
) -> io::Result<()> {
    loop {
        let message = read(&mut from_server).await?;
        if let Some(last) = lock(&state).seen.last_mut() {
            last.received += message.len();
        }
        let fault = due.lock().unwrap_or_else(PoisonError::into_inner).take();
        match fault {
            None => write(&mut to_client, &message).await?,
            Some(DnsFault::Silence) => return Ok(()),
            Some(DnsFault::Cut) => {
                to_client
                    .write_all(&framed(&message)[..message.len() / 2])
                    .await?;
                return to_client.shutdown().await;
            }
            Some(DnsFault::Nonsense) => {
                write(
                    &mut to_client,
                    b"<html><body><h1>It works!</h1></body></html>",
                )
                .await?;
                return to_client.shutdown().await;
            }
        }
    }
}

async fn read(stream: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write(stream: &mut OwnedWriteHalf, message: &[u8]) -> io::Result<()> {
    stream.write_all(&framed(message)).await
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("the length of a message");
    [&length.to_be_bytes()[..], message].concat()
}

/// An update changes something if it has updates and not only prerequisites.
fn is_write(message: &[u8]) -> bool {
    message[2] >> 3 & 15 == OPCODE_UPDATE && message[8..10] != [0, 0]
}

/// `UPDATE`, `TEST` (an update of prerequisites alone), `AXFR` or `QUERY`.
fn name(message: &[u8], is_write: bool) -> String {
    let mut at = 12;
    while let Some(length @ 1..) = message.get(at) {
        at += 1 + usize::from(*length);
    }
    let is_axfr = message.get(at + 1..at + 3) == Some(&TYPE_AXFR.to_be_bytes());
    let is_update = message[2] >> 3 & 15 == OPCODE_UPDATE;
    match (is_update, is_write, is_axfr) {
        (true, true, _) => "UPDATE",
        (true, false, _) => "TEST",
        (false, _, true) => "AXFR",
        (false, _, false) => "QUERY",
    }
    .to_owned()
}
