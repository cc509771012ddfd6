//! ICMP: one echo request, and its reply (RFC 792, RFC 4443).

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::ProbeFailure;
use super::dial::{unreachable, words};

const ECHO_REPLY_V4: u8 = 0;
const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;
/// Type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;
/// Random, so that a reply is known by it; the identifier is the kernel's where the process is not
/// privileged.
type Token = [u8; 16];
/// Larger than any reply to what is sent here, the IP header included.
const BUFFER: usize = 256;

/// Whether `address` replies. Waits until it does.
pub(super) async fn echo(address: IpAddr) -> Result<(), ProbeFailure> {
    let socket = connected(address)?;
    let token: Token = rand::random();
    socket
        .send(&request(address, &token))
        .await
        .map_err(|error| unreachable(address, &error))?;
    let mut buffer = [0; BUFFER];
    loop {
        // What comes in as an error is a router's or the host's own ICMP message.
        let length = socket
            .recv(&mut buffer)
            .await
            .map_err(|error| ProbeFailure::Down(words(&error)))?;
        if is_reply(address, &buffer[..length], &token) {
            return Ok(());
        }
    }
}

fn connected(address: IpAddr) -> Result<UdpSocket, ProbeFailure> {
    let socket = open(address)?;
    socket
        .connect(&SocketAddr::new(address, 0).into())
        .map_err(|error| unreachable(address, &error))?;
    socket
        .set_nonblocking(true)
        .and_then(|()| UdpSocket::from_std(socket.into()))
        .map_err(|error| ProbeFailure::Unable(format!("this member cannot reach out: {error}")))
}

/// A datagram socket, which needs no privilege where the system lets the process's group have it, or
/// else a raw one.
fn open(address: IpAddr) -> Result<Socket, ProbeFailure> {
    let (domain, protocol) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    Socket::new(domain, Type::DGRAM, Some(protocol))
        .or_else(|_| Socket::new(domain, Type::RAW, Some(protocol)))
        .map_err(|error| not_permitted(&error))
}

fn not_permitted(error: &io::Error) -> ProbeFailure {
    ProbeFailure::Unable(format!(
        "ICMP is not permitted to this process: {error}; put its group into the sysctl \
         net.ipv4.ping_group_range, or give it CAP_NET_RAW"
    ))
}

/// An echo request. Its identifier and sequence number are 0: the token is what counts.
fn request(address: IpAddr, token: &Token) -> Vec<u8> {
    let kind = match address {
        IpAddr::V4(_) => ECHO_REQUEST_V4,
        IpAddr::V6(_) => ECHO_REQUEST_V6,
    };
    let mut packet = vec![kind, 0, 0, 0, 0, 0, 0, 0];
    packet.extend_from_slice(token);
    // The checksum of ICMPv6 covers the addresses; the kernel computes it (RFC 3542 §3.1).
    if address.is_ipv4() {
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// The ones' complement of the ones' complement sum of 16-bit words (RFC 1071).
fn checksum(packet: &[u8]) -> u16 {
    let word = |pair: &[u8]| match *pair {
        [high, low] => u16::from_be_bytes([high, low]),
        [high] => u16::from_be_bytes([high, 0]),
        _ => 0,
    };
    let sum = packet.chunks(2).map(word).fold(0_u16, |sum, word| {
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    });
    !sum
}

/// A raw socket also shows other processes' replies, and on loopback the requests.
fn is_reply(address: IpAddr, packet: &[u8], token: &Token) -> bool {
    let (packet, reply) = match address {
        IpAddr::V4(_) => (without_ip_header(packet), ECHO_REPLY_V4),
        IpAddr::V6(_) => (packet, ECHO_REPLY_V6),
    };
    packet.first() == Some(&reply) && packet.get(HEADER..) == Some(token.as_slice())
}

/// Raw IPv4 sockets deliver the IP header too, which begins with version 4 and its length in words of
/// four bytes (RFC 791 §3.1); no ICMP message in use begins with 0x4_.
fn without_ip_header(packet: &[u8]) -> &[u8] {
    match packet.first() {
        Some(first) if first >> 4 == 4 => packet
            .get(usize::from(first & 0xf) * 4..)
            .unwrap_or_default(),
        _ => packet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Token = *b"0123456789abcdef";

    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        // RFC 1071 §3, the example: the sum is ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&bytes), !0xddf2);
        let request = request(IpAddr::from([127, 0, 0, 1]), &TOKEN);
        assert_eq!(
            checksum(&request),
            0,
            "a packet with its checksum sums to 0"
        );
    }

    #[test]
    fn only_the_reply_to_the_own_request_counts() {
        let (v4, v6) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([0; 16]));
        let packet = |kind: u8, token: &Token| {
            let mut packet = vec![kind, 0, 1, 2, 3, 4, 5, 6];
            packet.extend_from_slice(token);
            packet
        };
        let behind_ip_header = |inner: Vec<u8>| {
            let mut packet = vec![0x46];
            packet.resize(24, 0);
            packet.extend(inner);
            packet
        };
        let reply = packet(ECHO_REPLY_V4, &TOKEN);
        assert!(is_reply(v4, &reply, &TOKEN));
        assert!(is_reply(v4, &behind_ip_header(reply.clone()), &TOKEN));
        assert!(is_reply(v6, &packet(ECHO_REPLY_V6, &TOKEN), &TOKEN));

        assert!(!is_reply(v4, &request(v4, &TOKEN), &TOKEN), "the request");
        assert!(!is_reply(v4, &reply, &[0; 16]), "another's");
        assert!(!is_reply(v4, &reply[..10], &TOKEN), "cut off");
        assert!(!is_reply(v4, &[0x4f], &TOKEN), "a header alone");
        assert!(!is_reply(v6, &reply, &TOKEN), "the other family's");
    }
}
