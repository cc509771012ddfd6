//! What an operator can tune.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The DNS server's options. Every number has its unit in its name or is a count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Where queries are answered, over UDP and TCP; none answers nowhere. Port 0 takes a free one.
    /// On a host with several addresses name one of them: an answer to a query that came in on
    /// `0.0.0.0` or `[::]` may leave from another address than it was asked at.
    pub listen: Option<SocketAddr>,
    /// Which networks are on which line: a text file with one `<line code> <network>` per line, such
    /// as `CT 203.0.113.0/24`. It is read again whenever it changes. None puts everyone on the line
    /// `default`.
    pub lines: Option<PathBuf>,
    /// Networks that may transfer zones (AXFR). Nobody by default.
    pub transfer: Vec<IpNet>,
    /// Secondaries that are told of a zone's new serial (NOTIFY).
    pub notify: Vec<SocketAddr>,
    /// The longest answer over UDP in bytes, 512 to 4096; a longer one is truncated and comes over
    /// TCP. 1232 passes every network unfragmented (DNS flag day 2020).
    pub udp_bytes: u16,
    /// TCP connections at a time; further ones are closed at once.
    pub tcp_connections: usize,
    /// How long a TCP connection may be idle, or take for one message. Milliseconds.
    pub tcp_idle_ms: u64,
    /// How answers are held back that nobody may have asked for.
    pub rate: RateOptions,
}

/// Response rate limiting: what keeps the server from being used to flood a forged source. Answers
/// over TCP are not limited, for their source is not forged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateOptions {
    /// Alike answers (same kind, same name) that one client network gets in a second; 0 limits
    /// nothing. A resolver asks again only when the TTL is over, so few of them are alike.
    pub answers_per_second: u32,
    /// Answers that a network may get at once before the limit holds, in seconds of its rate.
    pub burst_seconds: u32,
    /// Of the answers over the limit, every so many-th is sent truncated, so that a real client can
    /// come back over TCP; the others are not sent. 0 sends none.
    pub slip: u32,
    /// What counts as one client network of IPv4, in bits.
    pub ipv4_prefix: u8,
    /// What counts as one client network of IPv6, in bits.
    pub ipv6_prefix: u8,
    /// Networks that are not limited. Loopback is limited like any other unless it stands here.
    pub exempt: Vec<IpNet>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: None,
            lines: None,
            transfer: Vec::new(),
            notify: Vec::new(),
            udp_bytes: 1232,
            tcp_connections: 256,
            tcp_idle_ms: 10_000,
            rate: RateOptions::default(),
        }
    }
}

impl Default for RateOptions {
    fn default() -> Self {
        Self {
            answers_per_second: 50,
            burst_seconds: 2,
            slip: 2,
            ipv4_prefix: 24,
            ipv6_prefix: 56,
            exempt: Vec::new(),
        }
    }
}

impl Options {
    /// The rules that a type cannot state.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(512..=4096).contains(&self.udp_bytes) {
            return Err(format!(
                "udp_bytes is {}; write 512 to 4096",
                self.udp_bytes
            ));
        }
        let positive = [
            ("tcp_connections", self.tcp_connections > 0),
            ("tcp_idle_ms", self.tcp_idle_ms > 0),
            ("rate.burst_seconds", self.rate.burst_seconds > 0),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, good)| !good) {
            return Err(format!("{name} is 0; write 1 or more"));
        }
        let prefixes = [
            ("rate.ipv4_prefix", self.rate.ipv4_prefix, 32),
            ("rate.ipv6_prefix", self.rate.ipv6_prefix, 128),
        ];
        match prefixes.iter().find(|(_, bits, most)| bits > most) {
            Some((name, bits, most)) => Err(format!("{name} is {bits}; write 0 to {most}")),
            None => Ok(()),
        }
    }
}
