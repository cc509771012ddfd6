//! A web server for tests: answers what it is told, and remembers what it was asked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// One answer of the stub.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A status, extra header lines (each ended by CRLF), and a body.
    Page(u16, String, String),
    /// Takes the request and never answers.
    Hang,
    /// Takes the request and closes the connection.
    Drop,
}

impl Answer {
    pub(crate) fn ok(body: &str) -> Self {
        Self::Page(200, String::new(), body.to_owned())
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Page(status, String::new(), String::new())
    }
}

/// What the stub was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Method, path and version.
    pub(crate) line: String,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Stops when it is dropped.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Stub {
    /// Gives these answers in turn, the last one again and again.
    pub(crate) async fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::start("127.0.0.1:0", None, answers.into_iter().collect()).await
    }

    /// At another address.
    pub(crate) async fn at(address: &str, answer: Answer) -> Self {
        Self::start(address, None, [answer].into()).await
    }

    /// Over TLS as `localhost`, vouched for by a certificate that is written to `ca_file`.
    pub(crate) async fn tls(ca_file: &Path, answer: Answer) -> Self {
        Self::start("127.0.0.1:0", Some(acceptor(ca_file)), [answer].into()).await
    }

    async fn start(address: &str, tls: Option<TlsAcceptor>, mut answers: VecDeque<Answer>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = match answers.len() {
                    1 => answers[0].clone(),
                    _ => answers.pop_front().unwrap(),
                };
                let (tls, log) = (tls.clone(), Arc::clone(&log));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, answer, &log).await,
                        // A client that does not trust us ends the handshake.
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, answer, &log).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self {
            address,
            asked,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// So far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// None if the client went away.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: Answer,
    log: &Mutex<Vec<Asked>>,
) -> Option<()> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break at;
        }
        more(&mut stream, &mut bytes).await?;
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let (line, headers) = text.split_once("\r\n").unwrap();
    let length = headers.to_ascii_lowercase().lines().find_map(|header| {
        let length = header.strip_prefix("content-length: ")?;
        length.parse::<usize>().ok()
    });
    while bytes.len() < head + 4 + length.unwrap_or(0) {
        more(&mut stream, &mut bytes).await?;
    }
    log.lock().push(Asked {
        line: line.to_owned(),
        headers: headers.to_owned(),
        body: String::from_utf8(bytes[head + 4..].to_vec()).unwrap(),
    });
    match answer {
        Answer::Page(status, extra, body) => {
            let page = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{extra}\r\n{body}",
                body.len()
            );
            stream.write_all(page.as_bytes()).await.ok()?;
            stream.shutdown().await.ok()
        }
        Answer::Hang => std::future::pending().await,
        Answer::Drop => None,
    }
}

async fn more(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Option<()> {
    let read = stream.read_buf(bytes).await.ok()?;
    (read > 0).then_some(())
}

fn acceptor(ca_file: &Path) -> TlsAcceptor {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(ca_file, authority.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
