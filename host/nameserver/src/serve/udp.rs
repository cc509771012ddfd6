//! Queries over UDP.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::limiter::Verdict;
use crate::nameserver::Shared;
use crate::respond::{Response, Transport};

/// The longest query that is read; it has one question and an OPT.
const LONGEST_QUERY: usize = 4096;
/// The pause after the socket failed, so that a lasting failure does not take all of the processor.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers until `shutdown`, with a task per processor on the one socket.
pub(crate) async fn serve(shared: Arc<Shared>, socket: UdpSocket, shutdown: &CancellationToken) {
    let socket = Arc::new(socket);
    let mut workers = JoinSet::new();
    for _ in 0..available_parallelism().map_or(1, usize::from) {
        workers.spawn(work(Arc::clone(&shared), Arc::clone(&socket)));
    }
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return workers.shutdown().await,
            Some(ended) = workers.join_next() => {
                // They never end by themselves.
                tracing::error!(error = ?ended.err(), "a dns worker ended abnormally; another begins");
                workers.spawn(work(Arc::clone(&shared), Arc::clone(&socket)));
            }
        }
    }
}

async fn work(shared: Arc<Shared>, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; LONGEST_QUERY];
    let transport = Transport::Udp {
        longest: shared.options.udp_bytes,
    };
    loop {
        let (length, source) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "a dns query could not be received");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let packet = buffer.get(..length).unwrap_or_default();
        if let Some(bytes) = reply(&shared, packet, source.ip(), transport)
            && let Err(error) = socket.send_to(&bytes, source).await
        {
            tracing::debug!(%error, %source, "a dns answer could not be sent");
        }
    }
}

/// The bytes to send back, if any.
fn reply(shared: &Shared, packet: &[u8], source: IpAddr, transport: Transport) -> Option<Vec<u8>> {
    let reply = match shared.respond(packet, source, transport) {
        Response::Silence => return None,
        Response::Reply(reply) => reply,
        Response::Transfer(transfer) => transfer.over_udp(shared, source),
    };
    shared.meter.answered("udp", reply.rcode());
    match shared.admit(source, &reply) {
        Verdict::Send => Some(reply.encode()),
        Verdict::Truncate => {
            shared.meter.limited("truncate");
            Some(reply.encode_truncated())
        }
        Verdict::Drop => {
            shared.meter.limited("drop");
            None
        }
    }
}
