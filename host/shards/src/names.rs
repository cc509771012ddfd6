//! Names of namespaces, clusters and nodes, checked where they come in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name.
const MAX_NAME: usize = 128;
/// How long a node's id is.
const ID_LENGTH: usize = 40;

/// Why a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadName(String);

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                $check(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_type! {
    /// The name of a namespace or a cluster: letters, digits, `-`, `_` and `.`, 1 to 128 of them.
    Name, name
}

text_type! {
    /// Where a node is reached, `host:port`. IPv6 addresses stand in brackets.
    NodeAddr, address
}

text_type! {
    /// A node's id: 40 letters and digits.
    NodeId, node_id
}

impl NodeAddr {
    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        let host = self.0.rsplit_once(':').map_or("", |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub fn port(&self) -> u16 {
        let port = self.0.rsplit_once(':').map(|(_, port)| port.parse());
        port.and_then(Result::ok).unwrap_or_default()
    }
}

impl NodeId {
    /// A new id that no other node has.
    pub fn random() -> Self {
        const CHARACTERS: &[u8] = b"0123456789abcdef";
        let id = (0..ID_LENGTH)
            .map(|_| char::from(CHARACTERS[usize::from(rand::random::<u8>()) % CHARACTERS.len()]));
        Self(id.collect())
    }
}

fn name(text: &str) -> Result<String, BadName> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() {
        return Err(BadName("a name must not be empty".into()));
    }
    if text.len() > MAX_NAME || !text.chars().all(allowed) || text.starts_with('.') {
        return Err(BadName(format!(
            "{text:?} is not a name: use letters, digits, `-`, `_` and `.`, not `.` at the beginning, at \
             most {MAX_NAME} of them"
        )));
    }
    Ok(text.to_owned())
}

fn address(text: &str) -> Result<String, BadName> {
    let wrong = || {
        BadName(format!(
            "{text:?} is not a node's address: write `host:port`, e.g. 127.0.0.1:6379 or [::1]:6379"
        ))
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host_ok = match bare {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        }
    };
    let port_ok = port.parse::<u16>().is_ok_and(|port| port > 0);
    if host_ok && port_ok {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(wrong())
    }
}

fn node_id(text: &str) -> Result<String, BadName> {
    if text.len() == ID_LENGTH && text.chars().all(|c| c.is_ascii_alphanumeric()) {
        Ok(text.to_owned())
    } else {
        Err(BadName(format!(
            "{text:?} is not a node's id: it has {ID_LENGTH} letters and digits"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for good in ["a", "test-ns", "A.b_c-1"] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        let long = "x".repeat(MAX_NAME + 1);
        for bad in ["", "a/b", "a b", "é", ".", "..", &long] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_host_and_port() {
        let v6: NodeAddr = "[::1]:6379".parse().unwrap();
        assert_eq!((v6.host(), v6.port()), ("::1", 6379));
        let named: NodeAddr = "DB-1.example:7000".parse().unwrap();
        assert_eq!((named.host(), named.port()), ("db-1.example", 7000));
        for bad in [
            "", "a", "a:", ":1", "a:0", "a:70000", "::1:5", "a b:1", "[x]:1",
        ] {
            assert!(bad.parse::<NodeAddr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_have_forty_characters() {
        assert!(NodeId::random().as_str().parse::<NodeId>().is_ok());
        assert_ne!(NodeId::random(), NodeId::random());
        for bad in ["", "abc", &"-".repeat(40), &"a".repeat(41)] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad}");
        }
    }
}
