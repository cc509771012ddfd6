//! Where a DNS server listens.

use std::{fmt, str::FromStr};

use url::Host;

/// The port of DNS.
const USUAL_PORT: u16 = 53;

/// A host and a port, as a plugin or a grant names them: `host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DnsServer {
    /// A name in lower case A-labels without a trailing dot, or an address.
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
}

impl FromStr for DnsServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = match text.rsplit_once(':') {
            // The colons of an address in brackets are its own.
            Some((host, port)) if !port.contains(']') => {
                let port = port.parse().ok().filter(|port| *port != 0);
                (host, port.ok_or("the port is not one of 1 to 65535")?)
            }
            _ => (text, USUAL_PORT),
        };
        let host = match Host::parse(host).map_err(|error| error.to_string())? {
            Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                Host::Domain(name.to_ascii_lowercase())
            }
            address => address,
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for DnsServer {
    /// As one writes it in a grant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            USUAL_PORT => write!(f, "dns://{}", self.host),
            port => write!(f, "dns://{}:{port}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_perhaps_a_port() {
        for (text, shown) in [
            ("NS1.example.com", "dns://ns1.example.com"),
            ("ns1.example.com.:53", "dns://ns1.example.com"),
            ("127.0.0.1:5353", "dns://127.0.0.1:5353"),
            ("2130706433", "dns://127.0.0.1"),
            ("[::1]", "dns://[::1]"),
            ("[0:0::1]:80", "dns://[::1]:80"),
        ] {
            let server: DnsServer = text.parse().unwrap();
            assert_eq!(server.to_string(), shown);
        }
        for text in [
            "", "a b", "a:0", "a:port", "a:70000", "::1", "user@a", "a/b",
        ] {
            assert!(text.parse::<DnsServer>().is_err(), "{text}");
        }
    }
}
