//! A health check: what is asked of a target, and how often.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pace::Pace;
use super::status::StatusRange;
use super::wire::CheckSpec;

/// A health check, as an operator gives it with a site or a service; [`Check::EXAMPLES`] shows each
/// type. It names no address: the prober is told which one to dial, so one check serves every site
/// and every line of a service.
///
/// Reading one checks its shape, [`Check::validate`] its numbers and texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "CheckSpec", into = "CheckSpec")]
pub struct Check {
    /// What is asked.
    pub question: Question,
    /// How often, how patiently, and how many answers count.
    pub pace: Pace,
}

/// What is asked of a target, and what answer is good.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// One request over HTTP/1.1, on a connection of its own.
    Http(HttpQuestion),
    /// Does the port take connections?
    Tcp {
        /// Which.
        port: u16,
    },
    /// Does a TLS handshake succeed, with a certificate that will last?
    Tls {
        /// Which port.
        port: u16,
        /// Which certificates are good.
        tls: TlsQuestion,
    },
    /// Does the address answer an echo request?
    Icmp,
    /// Does a command end with status 0? The request names it; what it is, each member's own
    /// configuration says ([`super::ProbeOptions::commands`]), so that nobody runs anything through
    /// the API.
    Command {
        /// Its name in the configuration.
        name: String,
    },
}

/// An HTTP request and the answers that are good.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpQuestion {
    /// The port that is dialled.
    pub port: u16,
    /// With the query, if any: `/healthz?deep=1`.
    pub path: String,
    /// The `Host` header; without it, the address that is dialled.
    pub host: Option<String>,
    /// GET, unless given.
    pub method: Method,
    /// Any of these. Redirects are not followed, so a 301 is good only where it stands here.
    pub status: Vec<StatusRange>,
    /// What the first 64 KiB of the body must hold somewhere.
    pub body: Option<String>,
    /// Over TLS, that is: https.
    pub tls: Option<TlsQuestion>,
}

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// With a body in the answer.
    Get,
    /// Without one.
    Head,
}

/// Which certificates are good.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TlsQuestion {
    /// The name that is asked for (SNI) and that the certificate must bear. Without it, the name in
    /// the `Host` header, and without that the address that is dialled.
    pub server_name: Option<String>,
    /// Takes whatever certificate comes, of whomever: what answers may be anybody.
    pub danger_accept_any_certificate: bool,
    /// How many days the certificate must still last. Without it a certificate is good until its last
    /// second: losing a site because somebody renews late is for the operator to ask for. Holds with
    /// `danger_accept_any_certificate` too.
    pub min_days: Option<u32>,
}

impl Check {
    /// One of each type, in JSON. All but `type` has a default, save the `port` of `tcp` and the
    /// name of a `command`; the last example spells out what they have in common, with its defaults
    /// (the two of `down_…`, where the target is down, are otherwise those of `interval_ms` and
    /// `timeout_ms`).
    pub const EXAMPLES: [&str; 6] = [
        r#"{"type": "http", "port": 80, "path": "/healthz", "host": "shop.example.com",
            "method": "GET", "status": ["200-299", "301"], "body": "ok"}"#,
        r#"{"type": "https", "port": 443, "path": "/", "host": "shop.example.com", "method": "HEAD",
            "server_name": "shop.example.com", "danger_accept_any_certificate": false}"#,
        r#"{"type": "tls", "port": 443, "server_name": "shop.example.com", "min_days": 7}"#,
        r#"{"type": "icmp"}"#,
        r#"{"type": "command", "command": "replica-lag"}"#,
        r#"{"type": "tcp", "port": 443, "interval_ms": 1000, "timeout_ms": 1500,
            "down_interval_ms": 1000, "down_timeout_ms": 1500, "down_after": 3, "up_after": 5,
            "stable_ms": 60000}"#,
    ];
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.question.fmt(f)
    }
}

/// In words, for logs and tables: `https :443 /healthz`.
impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(http) => {
                let scheme = if http.tls.is_some() { "https" } else { "http" };
                write!(f, "{scheme} :{} {}", http.port, http.path)
            }
            Self::Tcp { port } => write!(f, "tcp :{port}"),
            Self::Tls { port, .. } => write!(f, "tls :{port}"),
            Self::Icmp => f.write_str("icmp"),
            Self::Command { name } => write!(f, "command {name}"),
        }
    }
}
