//! DNS messages over TCP to granted servers, signed with credentials that stay here.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{SystemTime, UNIX_EPOCH},
};

use portolan_tsig::{Algorithm, Dialogue, Expect, Fault, Key};
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use url::Host;

use super::{
    Budget, Guard, HttpError, SignError,
    resolve::{NoAddress, addresses},
    secrets,
};
use crate::server::DnsServer;

/// The length that stands before each message (RFC 1035, section 4.2.2).
const LENGTH: usize = 2;

/// A message as a plugin asks for it to be sent.
pub(crate) struct DnsRequest {
    pub(crate) server: String,
    pub(crate) message: Vec<u8>,
    pub(crate) key: Option<TsigKey>,
    pub(crate) expect: Expect,
}

/// What a message is signed with.
pub(crate) struct TsigKey {
    pub(crate) name: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) credential: String,
}

/// Why there is no answer; `portolan:plugin/dns-message.error`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) enum DnsError {
    Denied(String),
    Invalid(String),
    Limit(String),
    NotSent(String),
    Interrupted(String),
    KeyRefused(String),
    #[error("{text}")]
    UnsignedRefusal {
        code: u8,
        text: String,
    },
    BadSignature(String),
}

impl DnsError {
    fn kind(&self) -> &'static str {
        match self {
            DnsError::Denied(_) => "denied",
            DnsError::Invalid(_) => "invalid",
            DnsError::Limit(_) => "limit",
            DnsError::NotSent(_) => "not_sent",
            DnsError::Interrupted(_) => "interrupted",
            DnsError::KeyRefused(_) => "key_refused",
            DnsError::UnsignedRefusal { .. } => "unsigned_refusal",
            DnsError::BadSignature(_) => "bad_signature",
        }
    }
}

/// What the budget says of a request.
impl From<HttpError> for DnsError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied(text) => Self::Denied(text),
            HttpError::Invalid(text) => Self::Invalid(text),
            HttpError::Limit(text) => Self::Limit(text),
            HttpError::NotSent(text) => Self::NotSent(text),
            HttpError::Interrupted(text) => Self::Interrupted(text),
        }
    }
}

/// The connection of one call that its next message may use, too (RFC 7766, section 6.2.1).
#[derive(Default)]
pub(crate) struct Connection(Option<(DnsServer, TcpStream)>);

impl Connection {
    /// The one to this server, unless the server has closed it meanwhile.
    fn take(&mut self, server: &DnsServer) -> Option<TcpStream> {
        let (kept, stream) = self.0.take()?;
        let silent = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        let is_open = stream.try_read(&mut [0]).is_err_and(silent);
        (kept == *server && is_open).then_some(stream)
    }
}

impl Guard {
    /// Sends one message and waits for all that answer it.
    pub(crate) async fn converse(
        &self,
        budget: &Budget,
        connection: &mut Connection,
        request: DnsRequest,
    ) -> Result<Vec<Vec<u8>>, DnsError> {
        let result = self.ask(budget, connection, request).await;
        let outcome = result.as_ref().map_or_else(DnsError::kind, |_| "ok");
        self.metrics.dns(&self.plugin, outcome);
        if let Err(DnsError::Denied(reason)) = &result {
            tracing::warn!(plugin = self.plugin, binding = self.grants.binding, %reason, "DNS message denied");
        }
        result
    }

    async fn ask(
        &self,
        budget: &Budget,
        connection: &mut Connection,
        request: DnsRequest,
    ) -> Result<Vec<Vec<u8>>, DnsError> {
        let given = &request.server;
        let server: DnsServer = given.parse().map_err(|reason| {
            DnsError::Invalid(format!(
                "`{given}` is not of the form `host:port`: {reason}"
            ))
        })?;
        self.check_server(&server)?;
        let key = request.key.map(|key| self.key(&key)).transpose()?;
        let id = rand::random();
        let (mut dialogue, bytes) =
            Dialogue::open(&request.message, key, id, now(), request.expect)
                .map_err(|error| DnsError::Invalid(error.to_string()))?;
        budget.request(LENGTH + bytes.len())?;
        self.turn(budget, &server.to_string()).await?;
        let mut stream = match connection.take(&server) {
            Some(stream) => stream,
            None => self.dial(&server).await?,
        };
        let limit = self.setup.request;
        let heard = timeout(limit, exchange(&mut stream, &bytes, &mut dialogue, budget))
            .await
            .unwrap_or_else(|_| Err(interrupted(format!("no whole answer within {limit:?}"))));
        match heard {
            Ok(messages) => {
                connection.0 = Some((server, stream));
                Ok(messages)
            }
            Err(error) => Err(error.at(&server)),
        }
    }

    fn key(&self, asked: &TsigKey) -> Result<Key, DnsError> {
        let name = &asked.credential;
        let secret =
            secrets::find(name, &self.declared, &self.grants.credentials).map_err(|error| {
                match self.explain(error) {
                    SignError::Denied(text) => DnsError::Denied(text),
                    SignError::Invalid(text) => DnsError::Invalid(text),
                }
            })?;
        Key::new(&asked.name, asked.algorithm, secret.expose_secret())
            .map_err(|error| DnsError::Invalid(format!("the credential `{name}`: {error}")))
    }

    /// Connects to the first of the server's addresses that takes it.
    async fn dial(&self, server: &DnsServer) -> Result<TcpStream, DnsError> {
        let not_sent =
            |reason: &dyn ToString| DnsError::NotSent(format!("{server}: {}", reason.to_string()));
        let ips = match &server.host {
            Host::Ipv4(ip) => vec![IpAddr::V4(*ip)],
            Host::Ipv6(ip) => vec![IpAddr::V6(*ip)],
            Host::Domain(name) => {
                let looking = addresses(&self.grants, &*self.setup.lookup, name.clone());
                looking.await.map_err(|error| match error {
                    NoAddress::NotPublic(refused) => self.server_not_public(server, &refused),
                    NoAddress::Unknown(error) => not_sent(&error),
                })?
            }
        };
        let limit = self.setup.connect;
        let mut last = not_sent(&"it has no address");
        for ip in ips {
            let dialling = TcpStream::connect(SocketAddr::new(ip, server.port));
            match timeout(limit, dialling).await {
                Ok(Ok(stream)) => {
                    // Else a message would wait for the acknowledgement of the one before.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = not_sent(&error),
                Err(_) => last = not_sent(&format!("no connection within {limit:?}")),
            }
        }
        Err(last)
    }
}

impl DnsError {
    /// Says which server it was.
    fn at(mut self, server: &DnsServer) -> Self {
        match &mut self {
            DnsError::Limit(text)
            | DnsError::Interrupted(text)
            | DnsError::KeyRefused(text)
            | DnsError::UnsignedRefusal { text, .. }
            | DnsError::BadSignature(text) => text.insert_str(0, &format!("{server}: ")),
            DnsError::Denied(_) | DnsError::Invalid(_) | DnsError::NotSent(_) => {}
        }
        self
    }
}

/// Sends the bytes and hears the answers, as far as the budget goes.
async fn exchange(
    stream: &mut TcpStream,
    bytes: &[u8],
    dialogue: &mut Dialogue,
    budget: &Budget,
) -> Result<Vec<Vec<u8>>, DnsError> {
    let lost = |error: io::Error| interrupted(error.to_string());
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    // In one piece: some servers want the length and the message in one packet.
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).await.map_err(lost)?;
    let mut messages = Vec::new();
    loop {
        let length = stream.read_u16().await.map_err(lost)?;
        budget.receive(LENGTH + usize::from(length))?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await.map_err(lost)?;
        let heard = dialogue.hear(&answer, now()).map_err(|fault| match fault {
            Fault::Garbled(text) => interrupted(text),
            Fault::BadSignature(text) => DnsError::BadSignature(text),
            Fault::KeyRefused(text) => DnsError::KeyRefused(text),
            Fault::UnsignedRefusal { code, text } => DnsError::UnsignedRefusal { code, text },
        })?;
        messages.push(heard.message);
        if heard.last {
            return Ok(messages);
        }
    }
}

fn interrupted(text: String) -> DnsError {
    DnsError::Interrupted(text)
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
