//! Queries over TCP (RFC 7766): several on one connection, one after another.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::nameserver::Shared;
use crate::respond::{Response, Transport};

/// The pause after a connection could not be accepted: mostly there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers until `shutdown`.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    shutdown: &CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        shared.meter.connections(connections.len());
        tokio::select! {
            () = shutdown.cancelled() => return connections.shutdown().await,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a dns connection ended abnormally");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) if connections.len() < shared.options.tcp_connections => {
                    connections.spawn(connection(Arc::clone(&shared), stream, client));
                }
                // Dropped, which closes it: a client tries another server, or again.
                Ok((_, client)) => {
                    tracing::debug!(%client, "too many dns connections");
                }
                Err(error) => {
                    tracing::warn!(%error, "a dns connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn connection(shared: Arc<Shared>, mut stream: TcpStream, client: SocketAddr) {
    if let Err(error) = converse(&shared, &mut stream, client.ip()).await {
        tracing::debug!(%error, %client, "a dns connection ended early");
    }
}

/// Answers until the client is through, or idle for too long.
async fn converse(shared: &Shared, stream: &mut TcpStream, client: IpAddr) -> io::Result<()> {
    let patience = Duration::from_millis(shared.options.tcp_idle_ms);
    stream.set_nodelay(true)?;
    loop {
        let Ok(read) = timeout(patience, receive(stream)).await else {
            return Ok(());
        };
        let Some(packet) = read? else {
            return Ok(());
        };
        match shared.respond(&packet, client, Transport::Tcp) {
            Response::Silence => return Ok(()),
            Response::Reply(reply) => {
                shared.meter.answered("tcp", reply.rcode());
                send(stream, &reply.encode(), patience).await?;
            }
            Response::Transfer(transfer) => {
                let messages = transfer.over_tcp(shared, client);
                for message in messages {
                    send(stream, &message, patience).await?;
                }
            }
        }
    }
}

/// One message behind its length (RFC 1035 §4.2.2); none at the end.
async fn receive(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut packet = vec![0; length.into()];
    stream.read_exact(&mut packet).await?;
    Ok(Some(packet))
}

async fn send(stream: &mut TcpStream, message: &[u8], patience: Duration) -> io::Result<()> {
    // In one write, so that a client that reads once reads it all.
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend(length.to_be_bytes());
    framed.extend(message);
    timeout(patience, stream.write_all(&framed))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
