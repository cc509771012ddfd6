//! TLS: the handshake, whose certificates are good, and for how long.

use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::dial::words;
use super::{ProbeFailure, ProbeSetupError};
use crate::check::spec::TlsQuestion;
use crate::clock::now_ms;

const DAY_S: i64 = 86_400;

/// TLS settings, without the protocols to negotiate, which each probe adds.
pub(super) struct Trust {
    /// Trusts what the operating system trusts, and the extra certificates. The error is why this
    /// host trusts nobody.
    verified: Result<ClientConfig, String>,
    /// Trusts everybody.
    anybody: ClientConfig,
}

impl Trust {
    pub(super) fn new(extra_ca_file: Option<&Path>) -> Result<Self, ProbeSetupError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = match extra_ca_file {
            None => Verifier::new(provider.clone()),
            Some(file) => Verifier::new_with_extra_roots(certificates(file)?, provider.clone()),
        };
        let verified = match (verifier, extra_ca_file) {
            (Ok(verifier), _) => Ok(config(&provider, Arc::new(verifier))?),
            (Err(error), Some(file)) => return Err(extra_ca(file, &error)),
            (Err(error), None) => Err(error.to_string()),
        };
        let anybody = config(&provider, Arc::new(Anybody(provider.clone())))?;
        Ok(Self { verified, anybody })
    }

    /// `named` is whom the question is for where it does not say so itself.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        address: IpAddr,
        question: &TlsQuestion,
        named: Option<&str>,
        protocols: &[&[u8]],
    ) -> Result<TlsStream<TcpStream>, ProbeFailure> {
        let mut config = self.config(question)?.clone();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let name = server_name(address, question.server_name.as_deref().or(named))?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(|error| ProbeFailure::Down(refusal(&error)))?;
        if let Some(min_days) = question.min_days {
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            check_expiry(chain, min_days)?;
        }
        Ok(stream)
    }

    fn config(&self, question: &TlsQuestion) -> Result<&ClientConfig, ProbeFailure> {
        match (&self.verified, question.danger_accept_any_certificate) {
            (_, true) => Ok(&self.anybody),
            (Ok(verified), false) => Ok(verified),
            (Err(error), false) => Err(ProbeFailure::Unable(format!(
                "this member trusts no certificate authority: {error}; install the operating \
                 system's, or name a file with certificates in its configuration"
            ))),
        }
    }
}

fn config(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig, ProbeSetupError> {
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| ProbeSetupError {
            option: "tls".to_owned(),
            reason: error.to_string(),
        })?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // A resumed session shows no certificate, so one that has expired since would pass.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The certificates in a PEM file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ProbeSetupError> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|error| extra_ca(file, &error))?;
    match certificates.is_empty() {
        true => Err(extra_ca(file, &"holds no certificate in PEM")),
        false => Ok(certificates),
    }
}

fn extra_ca(file: &Path, reason: &dyn Display) -> ProbeSetupError {
    ProbeSetupError {
        option: "extra_ca_file".to_owned(),
        reason: format!("{}: {reason}", file.display()),
    }
}

fn server_name(address: IpAddr, name: Option<&str>) -> Result<ServerName<'static>, ProbeFailure> {
    match name {
        None => Ok(ServerName::IpAddress(address.into())),
        Some(name) => ServerName::try_from(name.to_owned()).map_err(|_| {
            ProbeFailure::Unable(format!("`{name}` is neither a host name nor an address"))
        }),
    }
}

/// Why a handshake failed.
fn refusal(error: &io::Error) -> String {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            time,
            not_after,
        })) => expired(seconds(*not_after) - seconds(*time)),
        Some(
            tls @ rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ),
        ) => format!("{tls}; `server_name` says whose certificate is wanted"),
        Some(tls) => tls.to_string(),
        None => format!("TLS handshake: {}", words(error)),
    }
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn expired(left_s: i64) -> String {
    format!("certificate expired {} days ago", -left_s / DAY_S)
}

/// Of the server's own certificate: those above it are the verifier's matter, and servers send some
/// that no chain needs.
fn check_expiry(chain: &[CertificateDer<'_>], min_days: u32) -> Result<(), ProbeFailure> {
    let unreadable = || ProbeFailure::Down("the certificate cannot be read".to_owned());
    let own = chain.first().ok_or_else(unreadable)?;
    let (_, certificate) = X509Certificate::from_der(own).map_err(|_| unreadable())?;
    let now_s = i64::try_from(now_ms() / 1_000).unwrap_or(i64::MAX);
    let not_after_s = certificate.validity().not_after.timestamp();
    lasts(not_after_s.saturating_sub(now_s), min_days).map_err(ProbeFailure::Down)
}

/// Whether `left_s` seconds are enough.
fn lasts(left_s: i64, min_days: u32) -> Result<(), String> {
    let days = left_s / DAY_S;
    if left_s < 0 {
        Err(expired(left_s))
    } else if days < i64::from(min_days) {
        Err(format!(
            "certificate expires in {days} days, wanted at least {min_days}"
        ))
    } else {
        Ok(())
    }
}

/// Accepts every certificate, as its owner asked by `danger_accept_any_certificate`. The server must
/// still own the certificate's key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_lasts_long_enough_or_says_how_long() {
        let cases = [
            (7 * DAY_S, 7, Ok(())),
            (0, 0, Ok(())),
            (
                7 * DAY_S - 1,
                7,
                Err("certificate expires in 6 days, wanted at least 7"),
            ),
            (-1, 0, Err("certificate expired 0 days ago")),
            (-3 * DAY_S, 0, Err("certificate expired 3 days ago")),
        ];
        for (left_s, min_days, expected) in cases {
            assert_eq!(
                lasts(left_s, min_days),
                expected.map_err(str::to_owned),
                "{left_s} s, {min_days} days"
            );
        }
    }

    #[test]
    fn who_trusts_nobody_cannot_look_at_whom_it_would_have_to_trust() {
        let mut trust = Trust::new(None).unwrap();
        trust.verified = Err("no certificates found".to_owned());
        let (strict, lax) = (
            TlsQuestion::default(),
            TlsQuestion {
                danger_accept_any_certificate: true,
                ..TlsQuestion::default()
            },
        );
        let failure = trust.config(&strict).unwrap_err();
        assert!(matches!(failure, ProbeFailure::Unable(_)), "{failure}");
        assert!(failure.to_string().contains("no certificates found"));
        assert!(trust.config(&lax).is_ok());
    }
}
