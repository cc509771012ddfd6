//! Requests that steering itself sends, rather than a plugin: to sources of addresses and to
//! webhooks. Their URLs come from operators, so the clients dial public addresses alone unless told
//! otherwise, follow no redirect, know no proxy and keep no connection.

#[cfg(test)]
pub(crate) mod stub;

use std::error::Error as StdError;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use url::{Host, Url};

use crate::error::SteeringError;
use crate::family::{Family, is_global};

const USER_AGENT: &str = concat!("portolan/", env!("CARGO_PKG_VERSION"));

/// Which addresses a client may dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Of this family alone.
    pub(crate) family: Option<Family>,
    /// Those that are not global too.
    pub(crate) private: bool,
}

/// A host that a client may not dial.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutOfReach {
    #[error("{0} is not a global address; `allow_private` would let it be asked")]
    Private(IpAddr),
    #[error("{host} has no {family} address")]
    Family { host: String, family: Family },
}

impl Reach {
    /// The addresses of `host` that may be dialled: at least one. A private one among public ones
    /// condemns all, for it is not for chance to decide.
    pub(crate) fn admit(self, host: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, OutOfReach> {
        let wanted = |address: &IpAddr| self.family.is_none_or(|it| it == Family::of(*address));
        let admitted: Vec<IpAddr> = found.into_iter().filter(wanted).collect();
        if let Some(private) = admitted.iter().find(|it| !self.private && !is_global(**it)) {
            return Err(OutOfReach::Private(*private));
        }
        match self.family {
            Some(family) if admitted.is_empty() => Err(OutOfReach::Family {
                host: host.to_owned(),
                family,
            }),
            _ => Ok(admitted),
        }
    }

    /// Checks a URL whose host is an address: no resolver sees that one.
    pub(crate) fn admit_url(self, url: &Url) -> Result<(), OutOfReach> {
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        self.admit(&literal.to_string(), vec![literal]).map(drop)
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = *self;
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await?;
            let found = found.map(|address| address.ip()).collect();
            let admitted = reach.admit(host, found)?;
            let addresses: Addrs = Box::new(admitted.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

/// What all clients have in common: whom they trust.
pub(crate) struct Outbound {
    tls: ClientConfig,
}

impl Outbound {
    /// Trusts what the operating system trusts, and the certificates in `extra_ca_file`.
    pub(crate) fn new(extra_ca_file: Option<&Path>) -> Result<Self, SteeringError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = tls(&provider, extra_ca_file)
            .map_err(|message| SteeringError::invalid("extra_ca_file", message))?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { tls })
    }

    /// A client that dials nothing beyond `reach`; `timeout` is from the first byte out to the last
    /// byte in.
    pub(crate) fn client(
        &self,
        reach: Reach,
        timeout: Duration,
    ) -> Result<reqwest::Client, SteeringError> {
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .dns_resolver(Arc::new(reach))
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            // A connection from before a line changed would answer for that line.
            .pool_max_idle_per_host(0)
            .user_agent(USER_AGENT)
            .timeout(timeout)
            .build()
            .map_err(|error| SteeringError::Unavailable(format!("no HTTP client: {error}")))
    }
}

fn tls(
    provider: &Arc<CryptoProvider>,
    extra_ca_file: Option<&Path>,
) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let verifier = match extra_ca_file {
        None => Verifier::new(Arc::clone(provider)),
        Some(file) => {
            let roots = certificates(file).map_err(|why| format!("{}: {why}", file.display()))?;
            Verifier::new_with_extra_roots(roots, Arc::clone(provider))
        }
    };
    match (verifier, extra_ca_file) {
        (Ok(verifier), _) => Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()),
        (Err(error), Some(file)) => Err(format!("{}: {error}", file.display())),
        (Err(error), None) => {
            tracing::warn!(%error, "no trusted certificates found; every https request will fail");
            Ok(builder
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth())
        }
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("holds no certificate in PEM".to_owned());
    }
    Ok(certificates)
}

/// Why a request failed, in a few words, without its URL, which may be a secret.
pub(crate) fn why(error: reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        return format!("no answer within {} ms", timeout.as_millis());
    }
    let error = error.without_url();
    let mut cause: &dyn StdError = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_name_with_one_private_address_is_not_dialled() {
        let public = Reach {
            family: None,
            private: false,
        };
        let both = addresses(&["8.8.8.8", "10.0.0.1"]);
        let refused = public.admit("x.example.com", both.clone()).unwrap_err();
        assert_eq!(refused, OutOfReach::Private("10.0.0.1".parse().unwrap()));
        let private = Reach {
            private: true,
            ..public
        };
        assert_eq!(private.admit("x.example.com", both.clone()), Ok(both));
    }

    #[test]
    fn only_the_wanted_family_is_dialled() {
        let reach = Reach {
            family: Some(Family::Ipv6),
            private: false,
        };
        let found = addresses(&["8.8.8.8", "2400:3200::1"]);
        let admitted = reach.admit("x.example.com", found).unwrap();
        assert_eq!(admitted, addresses(&["2400:3200::1"]));
        let refused = reach.admit("x.example.com", addresses(&["8.8.8.8"]));
        assert_eq!(
            refused.unwrap_err().to_string(),
            "x.example.com has no ipv6 address"
        );
    }

    #[test]
    fn an_address_in_a_url_is_checked_too() {
        let reach = Reach {
            family: None,
            private: false,
        };
        let url = |text: &str| Url::parse(text).unwrap();
        assert!(reach.admit_url(&url("http://169.254.169.254/")).is_err());
        assert!(reach.admit_url(&url("http://[::1]:80/")).is_err());
        assert!(reach.admit_url(&url("https://1.1.1.1/")).is_ok());
        assert!(reach.admit_url(&url("https://example.com/")).is_ok());
    }
}
