//! TCP connections, and whose fault it is when there is none.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use tokio::net::TcpStream;

use super::ProbeFailure;

/// Any port will do to ask for a route; this one is "discard" (RFC 863).
const ROUTE_PORT: u16 = 9;

/// A new connection.
pub(super) async fn connect(address: IpAddr, port: u16) -> Result<TcpStream, ProbeFailure> {
    let stream = TcpStream::connect((address, port))
        .await
        .map_err(|error| unreachable(address, &error))?;
    match is_self_connected(&stream) {
        true => Err(ProbeFailure::Down("connection refused".to_owned())),
        false => Ok(stream),
    }
}

/// Towards this very host a socket may get the port that it dials as its own, and then TCP connects it
/// with itself although nobody listens (simultaneous open, RFC 9293 §3.5).
fn is_self_connected(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(own), Ok(peer)) if own == peer)
}

/// Whose fault it is that nothing could be sent to `address`. What is not known to come from there is
/// held to be this host's: out of descriptors, forbidden by a firewall, no such family.
pub(super) fn unreachable(address: IpAddr, error: &io::Error) -> ProbeFailure {
    match error.kind() {
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::TimedOut => ProbeFailure::Down(words(error)),
        // Either a router on the way says so, or this host has no route and sent nothing.
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => match has_route(address) {
            true => ProbeFailure::Down(words(error)),
            false => ProbeFailure::Unable(format!("this member has no route to {address}")),
        },
        _ => ProbeFailure::Unable(format!("this member cannot reach out: {error}")),
    }
}

/// Whether this host knows a way to `address`. Connecting a datagram socket looks for one and sends
/// nothing.
fn has_route(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0))
        .and_then(|socket| socket.connect((address, ROUTE_PORT)))
        .is_ok()
}

/// An error of a connection, in few words.
pub(super) fn words(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            "connection reset".to_owned()
        }
        ErrorKind::TimedOut => "connection timed out".to_owned(),
        ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        _ => error.to_string(),
    }
}
