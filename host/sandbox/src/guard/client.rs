//! What all bindings' HTTP clients have in common.

use std::{
    fmt::Display,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::redirect::Policy;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::Verifier;

use super::resolve::{GuardedResolver, Lookup};
use crate::{Grants, SandboxOptions, SetupError};

/// The user agent where a plugin names none.
const USER_AGENT: &str = concat!("portolan/", env!("CARGO_PKG_VERSION"));

/// Settings of the guarded client, shared by the clients of all bindings.
pub(crate) struct ClientSetup {
    tls: ClientConfig,
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) connect: Duration,
    /// From the first byte out to the last byte in.
    pub(crate) request: Duration,
    pub(crate) redirects: u32,
    pub(crate) grant_url: String,
}

impl ClientSetup {
    pub(crate) fn new(
        options: &SandboxOptions,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            tls: tls(options.extra_ca_file.as_deref())?,
            lookup,
            connect: Duration::from_millis(options.connect_ms),
            request: Duration::from_millis(options.request_ms),
            redirects: options.redirects,
            grant_url: options.grant_url.clone(),
        })
    }

    /// A client that dials nothing but what `grants` opens. It follows no redirect, keeps no cookie,
    /// knows no proxy, retries nothing and decompresses nothing: the guard decides on each of these.
    pub(crate) fn client(&self, grants: &Arc<Grants>) -> Result<reqwest::Client, reqwest::Error> {
        let resolver = GuardedResolver {
            grants: grants.clone(),
            lookup: self.lookup.clone(),
        };
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .dns_resolver(Arc::new(resolver))
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .user_agent(USER_AGENT)
            .connect_timeout(self.connect)
            .build()
    }
}

/// The provider that does rustls's arithmetic. Installed as the process's default too, once, for
/// libraries that look there.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| {
            let provider = rustls::crypto::ring::default_provider();
            // An error means that there is a default already, which is as well.
            let _ = provider.clone().install_default();
            Arc::new(provider)
        })
        .clone()
}

/// TLS that trusts what the operating system trusts, and the certificates in `extra_ca_file`.
fn tls(extra_ca_file: Option<&Path>) -> Result<ClientConfig, SetupError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError::Engine(error.to_string()))?;
    let verifier = match extra_ca_file {
        None => Verifier::new(provider()),
        Some(file) => Verifier::new_with_extra_roots(certificates(file)?, provider()),
    };
    let mut config = match (verifier, extra_ca_file) {
        (Ok(verifier), _) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth(),
        (Err(error), Some(file)) => return Err(extra_ca(file, &error)),
        (Err(error), None) => {
            tracing::warn!(%error, "no trusted certificates found; every https request will fail");
            builder
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificates in a PEM file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|error| extra_ca(file, &error))?;
    if certificates.is_empty() {
        return Err(extra_ca(file, &"holds no certificate in PEM"));
    }
    Ok(certificates)
}

fn extra_ca(file: &Path, reason: &dyn Display) -> SetupError {
    SetupError::Option {
        option: "extra_ca_file",
        reason: format!("{}: {reason}", file.display()),
    }
}
