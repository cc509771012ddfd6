//! Servers to probe, good and bad, and an authority that vouches for some.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::HERE;

/// What a server does once it has a request.
#[derive(Clone)]
pub(super) enum Manner {
    /// Writes this and closes.
    Say(Vec<u8>),
    /// Writes the parts, each in a packet of its own, and neither writes more nor closes.
    SayAndHang(Vec<Vec<u8>>),
    /// Resets the connection.
    Reset,
}

impl Manner {
    pub(super) fn say(text: &str) -> Self {
        Self::Say(text.into())
    }

    pub(super) fn hang() -> Self {
        Self::SayAndHang(Vec::new())
    }
}

/// A server until it is dropped.
pub(super) struct Server {
    pub(super) port: u16,
    /// The head of every request.
    heads: Arc<Mutex<Vec<String>>>,
    heard: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(manner: Manner) -> Self {
        Self::start_at(HERE, manner, None).await.unwrap()
    }

    pub(super) async fn start_tls(manner: Manner, tls: TlsAcceptor) -> Self {
        Self::start_at(HERE, manner, Some(tls)).await.unwrap()
    }

    pub(super) async fn start_at(
        address: IpAddr,
        manner: Manner,
        tls: Option<TlsAcceptor>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::new(address, 0)).await?;
        let port = listener.local_addr()?.port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::new(Notify::new());
        let task = tokio::spawn(serve(listener, manner, tls, heads.clone(), heard.clone()));
        Ok(Self {
            port,
            heads,
            heard,
            task,
        })
    }

    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().clone()
    }

    /// Waits for the next request.
    pub(super) async fn heard(&self) {
        self.heard.notified().await;
    }

    /// Returns when nobody listens any more.
    pub(super) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    manner: Manner,
    tls: Option<TlsAcceptor>,
    heads: Arc<Mutex<Vec<String>>>,
    heard: Arc<Notify>,
) {
    // Connections end with the server.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (manner, tls) = (manner.clone(), tls.clone());
        let (heads, heard) = (heads.clone(), heard.clone());
        connections.spawn(async move {
            let listened = |head: String| {
                heads.lock().push(head);
                heard.notify_one();
            };
            match tls {
                None if matches!(manner, Manner::Reset) => {
                    let stream = reset(stream, listened).await;
                    drop(stream);
                }
                None => answer(stream, manner, listened).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        answer(stream, manner, listened).await;
                    }
                }
            }
        });
    }
}

/// With a linger time of 0, closing is a reset.
async fn reset(mut stream: TcpStream, listened: impl Fn(String)) -> TcpStream {
    listened(head(&mut stream).await);
    stream.set_zero_linger().unwrap();
    stream
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    manner: Manner,
    listened: impl Fn(String),
) {
    listened(head(&mut stream).await);
    match manner {
        Manner::Say(bytes) => {
            // The prober may have read enough and gone.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Manner::SayAndHang(parts) => {
            for part in parts {
                let _ = stream.write_all(&part).await;
                let _ = stream.flush().await;
                tokio::task::yield_now().await;
            }
            std::future::pending::<()>().await;
        }
        Manner::Reset => {}
    }
}

/// A request up to its empty line, or what came of it.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// A private certificate authority.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Authorities of one name would pass for one another until a signature is checked.
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes the certificate that clients are to trust.
    pub(super) fn publish(&self, file: &Path) {
        fs::write(file, self.0.pem()).unwrap();
    }

    /// TLS as the server called `name`, with a certificate that lasts about for ever.
    pub(super) fn server(&self, name: &str) -> TlsAcceptor {
        self.certified(CertificateParams::new([name.to_owned()]).unwrap())
    }

    /// TLS with a certificate that ended or ends so many days ago or from now, and half a day more.
    pub(super) fn server_until(&self, name: &str, days: i64) -> TlsAcceptor {
        let whole_days = Duration::from_secs(days.unsigned_abs() * 86_400);
        let half_a_day = Duration::from_secs(43_200);
        let now = SystemTime::now();
        let end = match days < 0 {
            true => now - whole_days - half_a_day,
            false => now + whole_days + half_a_day,
        };
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = end.into();
        self.certified(params)
    }

    fn certified(&self, params: CertificateParams) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}
