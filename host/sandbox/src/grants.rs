//! What an operator allows one binding of a plugin: hosts, credentials, settings.
//!
//! Nothing is allowed that is not granted here. A plugin's manifest only *asks*.

use std::{collections::BTreeMap, fmt, net::IpAddr, num::NonZeroU32, str::FromStr};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::server::DnsServer;

/// What one binding (a plugin with settings and credentials) may use.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// The binding's name, for messages, logs and the circuit breaker.
    pub binding: String,
    /// Where the plugin may send HTTP requests and DNS messages.
    #[serde(default)]
    pub hosts: Vec<HostGrant>,
    /// Credentials by the name that the manifest declares. They never enter the sandbox.
    #[serde(default)]
    pub credentials: BTreeMap<String, SecretString>,
    /// A JSON object that fits the manifest's schema; null counts as `{}`.
    #[serde(default)]
    pub settings: serde_json::Value,
    /// How many requests may leave within a second, in place of what the manifest declares.
    #[serde(default)]
    pub requests_per_second: Option<NonZeroU32>,
}

/// One destination that a binding may send requests to: a scheme, a host and a port.
///
/// As text: `[http://|https://|dns://]host[:port]`, where the scheme is `https` and the port the scheme's
/// own unless given, and a host may begin with `*.` to mean every name below it. As an object:
/// `{"url": "<such a text>", "private": true}`.
///
/// Private, loopback, link-local and other special addresses are refused unless the grant names the
/// address itself (or `localhost`), or says `private`. `private` concerns the host, whatever its port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Given", into = "Given")]
pub struct HostGrant {
    given: Given,
    scheme: Scheme,
    host: Pattern,
    port: u16,
}

/// A grant in the operator's own words, which is how it is shown again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a host grant is a text \"[http://|https://|dns://]host[:port]\" or an object {\"url\": \"…\", \"private\": true}"
)]
enum Given {
    Text(String),
    Object {
        url: String,
        #[serde(default)]
        private: bool,
    },
}

/// What the guard speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
    /// DNS messages over TCP.
    Dns,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// Exactly this host: a name in lower case A-labels without a trailing dot, or an address.
    Exact(Host<String>),
    /// Every name that ends in this text, which begins with a dot.
    Below(String),
}

/// Why a text is no host grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("host grant `{given}`: {reason}; write it as `[http://|https://|dns://]host[:port]`")]
pub struct HostGrantError {
    given: String,
    reason: String,
}

impl HostGrant {
    /// Does this grant cover a request to `url`? Only scheme, host and port count.
    pub fn covers(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return false;
        };
        url.scheme() == self.scheme.as_str() && port == self.port && self.host.matches(&host)
    }

    /// Does it cover DNS messages to this server?
    pub(crate) fn covers_server(&self, server: &DnsServer) -> bool {
        self.scheme == Scheme::Dns
            && server.port == self.port
            && self.host.matches(&borrowed(&server.host))
    }

    /// Does it cover every name below one?
    pub(crate) fn is_wildcard(&self) -> bool {
        matches!(self.host, Pattern::Below(_))
    }

    /// May a connection to the name `host` end at a private address because of this grant?
    pub(crate) fn opens_private(&self, host: &str) -> bool {
        let private = matches!(self.given, Given::Object { private: true, .. });
        let named = matches!(&self.host, Pattern::Exact(Host::Domain(name)) if name == "localhost");
        (private || named) && self.host.matches(&Host::Domain(host))
    }
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Dns => "dns",
        }
    }

    /// The host and the port of `host[:port]`, or what is wrong with it.
    fn destination(self, text: &str) -> Result<(Host<String>, u16), String> {
        if self == Scheme::Dns {
            let server: DnsServer = text.parse()?;
            return Ok((server.host, server.port));
        }
        let url = Url::parse(&format!("{}://{text}", self.as_str()))
            .map_err(|error| error.to_string())?;
        let host = url.host().ok_or("it names no host")?.to_owned();
        let port = url.port_or_known_default().ok_or("it names no port")?;
        Ok((host, port))
    }
}

impl Pattern {
    fn matches(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Pattern::Exact(Host::Domain(own)), Host::Domain(name)) => {
                own.eq_ignore_ascii_case(without_root_dot(name))
            }
            (Pattern::Below(suffix), Host::Domain(name)) => {
                let name = without_root_dot(name).to_ascii_lowercase();
                name.len() > suffix.len() && name.ends_with(suffix.as_str())
            }
            (Pattern::Exact(own), _) => {
                let own = address(&borrowed(own));
                own.is_some() && own == address(host)
            }
            (Pattern::Below(_), _) => false,
        }
    }
}

/// What `Host::as_ref` would be.
fn borrowed(host: &Host<String>) -> Host<&str> {
    match host {
        Host::Domain(name) => Host::Domain(name),
        Host::Ipv4(ip) => Host::Ipv4(*ip),
        Host::Ipv6(ip) => Host::Ipv6(*ip),
    }
}

/// The address that a host literally is, with IPv4 inside IPv6 unwrapped.
fn address(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Domain(_) => None,
        Host::Ipv4(ip) => Some(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => Some(IpAddr::V6(*ip).to_canonical()),
    }
}

/// `example.com.` and `example.com` are one host.
fn without_root_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

impl FromStr for HostGrant {
    type Err = HostGrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Given::Text(text.to_owned()).try_into()
    }
}

impl TryFrom<Given> for HostGrant {
    type Error = HostGrantError;

    fn try_from(given: Given) -> Result<Self, Self::Error> {
        let text = given.text();
        let fail = |reason: &str| HostGrantError {
            given: text.to_owned(),
            reason: reason.to_owned(),
        };

        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Https, text),
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("dns", rest)) => (Scheme::Dns, rest),
            Some(_) => return Err(fail("the scheme is none of http, https and dns")),
        };
        let (wildcard, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.contains('*') {
            return Err(fail("a wildcard stands only at the beginning, as `*.`"));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@', '\\', '\'', '"'])
            || rest.contains(char::is_whitespace)
        {
            return Err(fail("it has more than a host and a port"));
        }
        let (host, port) = scheme.destination(rest).map_err(|reason| fail(&reason))?;
        let host = match (wildcard, host) {
            (false, Host::Domain(name)) => {
                Pattern::Exact(Host::Domain(without_root_dot(&name).to_ascii_lowercase()))
            }
            (false, host) => Pattern::Exact(host),
            (true, Host::Domain(name)) => {
                Pattern::Below(format!(".{}", without_root_dot(&name).to_ascii_lowercase()))
            }
            (true, _) => return Err(fail("an address has no names below it")),
        };
        Ok(Self {
            given,
            scheme,
            host,
            port,
        })
    }
}

impl From<HostGrant> for Given {
    fn from(grant: HostGrant) -> Self {
        grant.given
    }
}

impl Given {
    fn text(&self) -> &str {
        match self {
            Given::Text(text) => text,
            Given::Object { url, .. } => url,
        }
    }
}

impl fmt::Display for HostGrant {
    /// The grant's text as the operator gave it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.given.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(grant: &str, url: &str) -> bool {
        let grant: HostGrant = grant.parse().unwrap();
        grant.covers(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_grant_covers_its_scheme_host_and_port_alone() {
        for (grant, url, expected) in [
            ("api.example.com", "https://api.example.com/v1", true),
            ("api.example.com", "https://API.example.com./v1", true),
            ("api.example.com", "http://api.example.com/", false),
            ("api.example.com", "https://api.example.com:8443/", false),
            ("api.example.com", "https://evil-api.example.com/", false),
            (
                "api.example.com",
                "https://api.example.com.evil.net/",
                false,
            ),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081/", true),
            ("http://127.0.0.1:8081", "http://2130706433:8081/", true),
            (
                "http://127.0.0.1:8081",
                "http://[::ffff:127.0.0.1]:8081/",
                true,
            ),
            ("http://127.0.0.1:8081", "http://127.0.0.1/", false),
            ("http://127.0.0.1", "http://127.0.0.1:80/", true),
            ("[::1]:8443", "https://[0:0:0:0:0:0:0:1]:8443/", true),
            ("*.example.com", "https://a.b.example.com/", true),
            ("*.example.com", "https://example.com/", false),
            ("*.example.com", "https://badexample.com/", false),
            ("bücher.example", "https://xn--bcher-kva.example/", true),
        ] {
            assert_eq!(covers(grant, url), expected, "{grant} against {url}");
        }
    }

    #[test]
    fn what_is_no_host_grant_says_why() {
        for (grant, reason) in [
            ("ftp://example.com", "none of http, https and dns"),
            ("https://example.com/path", "more than a host and a port"),
            ("https://user@example.com", "more than a host and a port"),
            ("api.*.example.com", "wildcard stands only at the beginning"),
            ("*", "wildcard stands only at the beginning"),
            ("*.127.0.0.1", "no names below it"),
            ("", "empty host"),
            ("example.com:99999", "port"),
        ] {
            let error = grant.parse::<HostGrant>().unwrap_err().to_string();
            assert!(error.contains(reason), "{grant}: {error}");
        }
    }

    #[test]
    fn a_grant_of_a_dns_server_covers_its_host_and_port_alone() {
        for (grant, server, expected) in [
            ("dns://ns1.example.com", "NS1.example.com.:53", true),
            ("dns://ns1.example.com", "ns1.example.com:5353", false),
            ("dns://127.0.0.1:5353", "2130706433:5353", true),
            ("dns://127.0.0.1:5353", "127.0.0.1", false),
            ("dns://[::1]:53", "[::1]", true),
            ("dns://*.example.com", "ns1.example.com", true),
            ("http://127.0.0.1:53", "127.0.0.1", false),
        ] {
            let grant: HostGrant = grant.parse().unwrap();
            assert_eq!(
                grant.covers_server(&server.parse().unwrap()),
                expected,
                "{grant}"
            );
        }
        assert!(!covers("dns://127.0.0.1:80", "http://127.0.0.1/"));
    }

    #[test]
    fn a_grant_is_shown_again_as_it_was_given() {
        let given = r#"["http://127.0.0.1:8081",{"url":"https://intra.example","private":true}]"#;
        let grants: Vec<HostGrant> = serde_json::from_str(given).unwrap();
        assert_eq!(serde_json::to_string(&grants).unwrap(), given);
        assert!(grants[1].opens_private("intra.example"));
        assert!(!grants[0].opens_private("intra.example"));
        let error = serde_json::from_str::<HostGrant>("7")
            .unwrap_err()
            .to_string();
        assert!(error.contains("a host grant is a text"), "{error}");
    }

    #[test]
    fn localhost_is_private_by_name() {
        let grant: HostGrant = "http://localhost:8080".parse().unwrap();
        assert!(grant.opens_private("localhost"));
        let grant: HostGrant = "public.example".parse().unwrap();
        assert!(!grant.opens_private("public.example"));
    }
}
