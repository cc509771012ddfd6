//! Ports that no other test takes, and that stay free while their process is down.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Below the range from which the kernel picks source ports, so that no outgoing connection sits on a
/// member's port while that member restarts.
const LOWEST: u64 = 12_000;
const COUNT: u64 = 20_000;

/// Where the reservation of a port is held: loopback, but nothing listens there.
const RESERVATIONS: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);

/// A port of 127.0.0.1, reserved among all harnesses on this machine until it is dropped.
///
/// The reservation is a UDP socket on the same port of another loopback address: it keeps other tests
/// away and leaves 127.0.0.1 itself free for the process that is meant to listen there.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _reservation: UdpSocket,
}

impl Port {
    /// Reserves a port on which nothing listens.
    pub fn reserve() -> Self {
        for _ in 0..1_000 {
            let random = RandomState::new().build_hasher().finish();
            let number = (LOWEST + random % COUNT) as u16;
            if let Some(port) = Self::take(number) {
                return port;
            }
        }
        panic!("no free port found between {LOWEST} and {}", LOWEST + COUNT);
    }

    /// Reserves the port `number`, unless it is taken.
    pub fn take(number: u16) -> Option<Self> {
        let reservation = UdpSocket::bind((RESERVATIONS, number)).ok()?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
            && UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
        free.then_some(Self {
            number,
            _reservation: reservation,
        })
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}
