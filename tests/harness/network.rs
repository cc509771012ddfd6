//! Hosts of one's own: network namespaces on a bridge, which can be cut from one another.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A network of hosts, each with an address of its own; the caller stands at the bridge and reaches all.
/// Dropping it takes it down.
#[derive(Debug)]
pub struct Network {
    name: String,
    subnet: [u8; 3],
    hosts: u8,
}

/// How many networks this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

impl Network {
    /// Makes a network with so many hosts.
    pub fn new(hosts: u8) -> Self {
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let number = std::process::id().wrapping_mul(7).wrapping_add(made) % 40_000;
        let octet = |value: u32| u8::try_from(value).expect("below 256");
        let network = Self {
            name: format!("pt{number}"),
            subnet: [10, octet(64 + number / 256), octet(number % 256)],
            hosts,
        };
        let bridge = &network.name;
        ip(&["link", "add", bridge, "type", "bridge"]);
        ip(&[
            "addr",
            "add",
            &format!("{}/24", network.caller()),
            "dev",
            bridge,
        ]);
        ip(&["link", "set", bridge, "up"]);
        for host in 0..hosts {
            network.add_host(host);
        }
        network
    }

    fn add_host(&self, host: u8) {
        let (space, outer, inner) = (self.space(host), self.link(host), "eth0");
        ip(&["netns", "add", &space]);
        ip(&[
            "link", "add", &outer, "type", "veth", "peer", "name", inner, "netns", &space,
        ]);
        ip(&["link", "set", &outer, "master", &self.name]);
        ip(&["link", "set", &outer, "up"]);
        let address = format!("{}/24", self.address(host));
        self.ip_at(host, &["addr", "add", &address, "dev", inner]);
        self.ip_at(host, &["link", "set", inner, "up"]);
        self.ip_at(host, &["link", "set", "lo", "up"]);
    }

    /// A host's address.
    pub fn address(&self, host: u8) -> Ipv4Addr {
        let [a, b, c] = self.subnet;
        Ipv4Addr::new(a, b, c, host + 1)
    }

    /// The caller's own address in the network.
    pub fn caller(&self) -> Ipv4Addr {
        let [a, b, c] = self.subnet;
        Ipv4Addr::new(a, b, c, 254)
    }

    /// An address of the caller's with a port.
    pub fn caller_at(&self, port: u16) -> SocketAddr {
        (self.caller(), port).into()
    }

    /// Has a command run on a host.
    pub fn on(&self, host: u8, command: &Command) -> Command {
        let mut run = Command::new("ip");
        run.args(["netns", "exec", &self.space(host)]);
        run.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => run.env(name, value),
                None => run.env_remove(name),
            };
        }
        run
    }

    /// Cuts a host from everybody.
    pub fn unplug(&self, host: u8) {
        ip(&["link", "set", &self.link(host), "down"]);
    }

    /// Ends that.
    pub fn plug_in(&self, host: u8) {
        ip(&["link", "set", &self.link(host), "up"]);
    }

    /// Cuts two hosts from one another; both go on reaching the caller. What they send to one another is
    /// lost on its way: it goes to an address of the link that nobody has.
    pub fn cut(&self, one: u8, other: u8) {
        for (at, from) in [(one, other), (other, one)] {
            let address = self.address(from).to_string();
            let nobody = ["lladdr", "02:00:00:00:00:ff", "nud", "permanent"];
            let neighbour = ["neigh", "replace", &address, "dev", "eth0"];
            self.ip_at(at, &[neighbour.as_slice(), &nobody].concat());
        }
    }

    /// Ends that.
    pub fn mend(&self, one: u8, other: u8) {
        for (at, from) in [(one, other), (other, one)] {
            let address = self.address(from).to_string();
            self.ip_at(at, &["neigh", "del", &address, "dev", "eth0"]);
        }
    }

    fn ip_at(&self, host: u8, arguments: &[&str]) {
        let space = self.space(host);
        ip(&[&["-n", &space], arguments].concat());
    }

    fn space(&self, host: u8) -> String {
        format!("{}h{host}", self.name)
    }

    /// The bridge's end of a host's cable.
    fn link(&self, host: u8) -> String {
        format!("{}v{host}", self.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Whatever is gone already needs no more.
        for host in 0..self.hosts {
            let _ = run(&["netns", "del", &self.space(host)]);
            let _ = run(&["link", "del", &self.link(host)]);
        }
        let _ = run(&["link", "del", &self.name]);
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new("ip")
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot run ip (package iproute2): {error}"))
}

fn ip(arguments: &[&str]) {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "`ip {}` failed: {said}; network namespaces need root",
        arguments.join(" ")
    );
}
