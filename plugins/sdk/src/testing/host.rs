//! A host that is a part of the test.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use hmac::{Hmac, Mac};
use portolan_tsig::Expect;
use sha1::Sha1;
use sha2::Sha256;

use super::messages::converse;
use crate::{
    Algorithm, Clock, CredentialError, HmacChain, Host, Level,
    http::{Header, Method, RawRequest, RawResponse, SendError},
    message::{MessageError, Request as Message},
};

/// In a second.
const NANOSECONDS: u32 = 1_000_000_000;
/// How long a request to loopback may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

type Transport = dyn Fn(&RawRequest) -> Result<RawResponse, SendError>;

/// A host that answers requests from a function or from a server on loopback, holds credentials, and
/// has a clock that only the test and pauses move (save one nanosecond at each look).
///
/// It puts credentials into headers and computes HMAC chains as the daemon does, and remembers every
/// request as it left. DNS messages always go to a server on loopback, at the true time.
pub struct TestHost {
    transport: Box<Transport>,
    credentials: BTreeMap<String, String>,
    now: RefCell<Clock>,
    requests: RefCell<Vec<RawRequest>>,
    messages: RefCell<Vec<Message>>,
    log: RefCell<Vec<String>>,
}

impl TestHost {
    /// A host whose requests are answered by `transport`.
    pub fn new(
        transport: impl Fn(&RawRequest) -> Result<RawResponse, SendError> + 'static,
    ) -> Self {
        Self {
            transport: Box::new(transport),
            credentials: BTreeMap::new(),
            now: RefCell::new(Clock {
                seconds: 1_700_000_000,
                nanoseconds: 0,
            }),
            requests: RefCell::default(),
            messages: RefCell::default(),
            log: RefCell::default(),
        }
    }

    /// A host that really sends its requests, by plain HTTP.
    pub fn on_loopback() -> Self {
        Self::new(exchange)
    }

    /// Gives the binding a credential.
    #[must_use]
    pub fn credential(mut self, name: &str, value: &str) -> Self {
        self.credentials.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets the clock, in seconds since 1970.
    pub fn set_time(&self, seconds: u64) {
        *self.now.borrow_mut() = Clock {
            seconds,
            nanoseconds: 0,
        };
    }

    /// The requests so far, as they left: with credentials in their headers.
    pub fn requests(&self) -> Vec<RawRequest> {
        self.requests.borrow().clone()
    }

    /// The DNS messages so far, as the plugin wrote them.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.borrow().clone()
    }

    /// The lines logged so far: level, message, fields.
    pub fn log_lines(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    fn converse(&self, request: &Message, expect: Expect) -> Result<Vec<Vec<u8>>, MessageError> {
        self.messages.borrow_mut().push(request.clone());
        let tsig = request.tsig.as_ref();
        let secret = tsig.and_then(|tsig| self.credentials.get(&tsig.credential));
        converse(request, secret.map(String::as_str), expect)
    }

    fn fill_in(&self, header: &Header) -> Result<Header, SendError> {
        let (name, template) = header;
        let mut value = String::new();
        let mut rest = template.as_str();
        while let Some((before, (credential, after))) = rest
            .split_once("{{")
            .and_then(|(before, after)| Some((before, after.split_once("}}")?)))
        {
            let secret = self.credentials.get(credential).ok_or_else(|| {
                SendError::Denied(format!("the binding holds no credential `{credential}`"))
            })?;
            value.push_str(before);
            value.push_str(secret);
            rest = after;
        }
        value.push_str(rest);
        Ok((name.clone(), value))
    }
}

impl Host for TestHost {
    fn send(&self, request: &RawRequest) -> Result<RawResponse, SendError> {
        let headers = request
            .headers
            .iter()
            .map(|header| self.fill_in(header))
            .collect::<Result<_, _>>()?;
        let request = RawRequest {
            headers,
            ..request.clone()
        };
        self.requests.borrow_mut().push(request.clone());
        (self.transport)(&request)
    }

    fn exchange(&self, request: &Message) -> Result<Vec<u8>, MessageError> {
        let mut messages = self.converse(request, Expect::Answer)?;
        messages
            .pop()
            .ok_or_else(|| MessageError::Interrupted(format!("{}: no answer", request.server)))
    }

    fn transfer(&self, request: &Message) -> Result<Vec<Vec<u8>>, MessageError> {
        self.converse(request, Expect::Zone)
    }

    fn hmac(&self, chain: &HmacChain) -> Result<Vec<u8>, CredentialError> {
        let secret = self.credentials.get(&chain.credential).ok_or_else(|| {
            CredentialError::Denied(format!(
                "the binding holds no credential `{}`",
                chain.credential
            ))
        })?;
        let first = format!("{}{secret}{}", chain.prefix, chain.suffix).into_bytes();
        Ok(chain
            .steps
            .iter()
            .fold(first, |key, step| match chain.algorithm {
                Algorithm::HmacSha1 => mac::<Hmac<Sha1>>(&key, step),
                Algorithm::HmacSha256 => mac::<Hmac<Sha256>>(&key, step),
            }))
    }

    fn now(&self) -> Clock {
        let mut now = self.now.borrow_mut();
        now.nanoseconds += 1;
        *now
    }

    /// Only the clock moves.
    fn sleep(&self, pause: Duration) {
        let mut now = self.now.borrow_mut();
        let nanoseconds = now.nanoseconds + pause.subsec_nanos();
        now.seconds += pause.as_secs() + u64::from(nanoseconds / NANOSECONDS);
        now.nanoseconds = nanoseconds % NANOSECONDS;
    }

    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        self.log
            .borrow_mut()
            .push(format!("{level:?} {message} {fields:?}"));
    }
}

fn mac<M: Mac + hmac::digest::KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "an HMAC takes a key of any length")]
    let mut mac = <M as Mac>::new_from_slice(key).expect("any key length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// One request over one connection, which the server closes at the end of its reply.
fn exchange(request: &RawRequest) -> Result<RawResponse, SendError> {
    let rest = request
        .url
        .strip_prefix("http://")
        .ok_or_else(|| SendError::Invalid(format!("`{}` is not plain HTTP", request.url)))?;
    let (authority, target) = match rest.find(['/', '?']) {
        Some(end) => rest.split_at(end),
        None => (rest, "/"),
    };
    let mut stream = TcpStream::connect(authority)
        .map_err(|error| SendError::NotSent(format!("{authority}: {error}")))?;
    let lost = |error: std::io::Error| SendError::Interrupted(format!("{authority}: {error}"));
    stream.set_read_timeout(Some(TIMEOUT)).map_err(lost)?;

    let method = match request.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    };
    let mut head =
        format!("{method} {target} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n");
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", request.body.len()));
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&request.body))
        .map_err(lost)?;

    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).map_err(lost)?;
    parse(&reply).ok_or_else(|| SendError::Interrupted(format!("{authority}: the reply broke off")))
}

fn parse(reply: &[u8]) -> Option<RawResponse> {
    let split = reply.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&reply[..split]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<Header> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let body = reply[split + 4..].to_vec();
    let announced = headers.iter().find(|(name, _)| name == "content-length");
    match announced {
        Some((_, length)) if length.parse() != Ok(body.len()) => None,
        _ => Some(RawResponse {
            status,
            headers,
            body,
        }),
    }
}
