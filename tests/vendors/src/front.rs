//! An HTTP server on loopback that fails on demand.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One request, as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path, as it was sent: not decoded.
    pub path: String,
    /// What stood behind `?`, as it was sent; empty for none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Call {
    /// The value of a header; empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, without `content-length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// An answer with a body of this content type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.into(),
        }
    }

    /// One with a JSON body.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// The same with one header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What answers requests.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Carries a request out. `authority` is the server's own `host:port`.
    async fn answer(&self, authority: &str, call: &Call) -> Answer;

    /// Whether a request changes something.
    fn is_write(&self, call: &Call) -> bool {
        call.method != Method::GET && call.method != Method::HEAD
    }

    /// What a request asks for, in a word or two, for the list of requests.
    fn name(&self, call: &Call) -> String {
        format!("{} {}", call.method, call.path)
    }
}

/// Passes requests on to a real server, with the headers that they came with.
pub struct Relay {
    /// Its `host:port`.
    upstream: String,
}

impl Relay {
    /// A relay to the HTTP server at `host:port`.
    pub fn to(upstream: impl Into<String>) -> Self {
        Self {
            upstream: upstream.into(),
        }
    }

    async fn pass_on(&self, call: &Call) -> io::Result<Answer> {
        let stream = TcpStream::connect(&self.upstream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let connection = tokio::spawn(connection);
        let target = match call.query.as_str() {
            "" => call.path.clone(),
            query => format!("{}?{query}", call.path),
        };
        let mut request = Request::builder().method(&call.method).uri(target);
        if let Some(headers) = request.headers_mut() {
            *headers = call.headers.clone();
        }
        let request = request
            .body(Full::new(call.body.clone()))
            .map_err(io::Error::other)?;
        let response = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        connection.abort();
        let kept = |name: &str| !matches!(name, "content-length" | "transfer-encoding");
        let headers = head.headers.iter().filter_map(|(name, value)| {
            let value = value.to_str().ok()?;
            kept(name.as_str()).then(|| (name.to_string(), value.to_owned()))
        });
        Ok(Answer {
            status: head.status.as_u16(),
            headers: headers.collect(),
            body,
        })
    }
}

#[async_trait]
impl Service for Relay {
    async fn answer(&self, _: &str, call: &Call) -> Answer {
        match self.pass_on(call).await {
            Ok(answer) => answer,
            Err(error) => panic!("the server behind the front, {}: {error}", self.upstream),
        }
    }
}

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not carried out, and this is the answer.
    Refuse(Answer),
    /// It is carried out, and this is the answer in place of the true one.
    Disguise(Answer),
    /// It is carried out, and the connection ends before any answer.
    Silence,
    /// It is carried out, and the answer breaks off in the middle of its body.
    Cut,
}

/// Which requests a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Any.
    Any,
    /// Those that change something.
    Writes,
    /// Those that do not.
    Reads,
}

/// A request that was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it asked for, as the service names it.
    pub name: String,
    /// Did it change something, or try to?
    pub is_write: bool,
    /// The octets of its body and its target.
    pub sent: usize,
    /// The octets of the body that it was answered with.
    pub received: usize,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    /// The next ones first.
    faults: Vec<(When, Fault)>,
}

/// A service that listens on loopback. Dropping it ends it.
pub struct Front<S> {
    service: Arc<S>,
    state: Arc<Mutex<State>>,
    authority: String,
    server: JoinHandle<()>,
}

impl<S: Service> Front<S> {
    /// Starts it on a free port of loopback.
    pub async fn start(service: S) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST, service).await
    }

    /// The same on another of this host's addresses.
    pub async fn start_on(address: Ipv4Addr, service: S) -> Self {
        let listener = TcpListener::bind((address, 0))
            .await
            .expect("a free port on the address");
        let authority = listener
            .local_addr()
            .expect("a bound socket has an address")
            .to_string();
        let (service, state) = (Arc::new(service), Arc::new(Mutex::default()));
        let desk = Desk {
            service: service.clone(),
            state: state.clone(),
            authority: authority.clone(),
        };
        let server = tokio::spawn(serve(listener, desk));
        Self {
            service,
            state,
            authority,
            server,
        }
    }

    /// What is behind it.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// Its `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Its `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Has this go wrong with the next request that it is for, after all that was asked for before.
    pub fn next(&self, when: When, fault: Fault) {
        lock(&self.state).faults.push((when, fault));
    }

    /// The requests so far, in the order in which they came.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.state).seen.clone()
    }

    /// Forgets faults that no request met, and answers how many there were.
    pub fn clear_faults(&self) -> usize {
        lock(&self.state).faults.drain(..).count()
    }
}

impl<S> Drop for Front<S> {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What each connection needs.
struct Desk<S> {
    service: Arc<S>,
    state: Arc<Mutex<State>>,
    authority: String,
}

impl<S> Clone for Desk<S> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            state: self.state.clone(),
            authority: self.authority.clone(),
        }
    }
}

async fn serve<S: Service>(listener: TcpListener, desk: Desk<S>) {
    while let Ok((stream, _)) = listener.accept().await {
        let desk = desk.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| desk.clone().take(request));
            let connection = hyper::server::conn::http1::Builder::new();
            // A client that goes away in the middle, and a connection that we break, end here.
            let _ = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

type Body = BoxBody<Bytes, io::Error>;

impl<S: Service> Desk<S> {
    /// Answers one request. The error ends the connection.
    async fn take(self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let call = Call {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers,
            body,
        };
        let is_write = self.service.is_write(&call);
        let fault = self.fault(is_write);
        let answer = match &fault {
            Some(Fault::Refuse(answer)) => answer.clone(),
            Some(Fault::Disguise(answer)) => {
                self.service.answer(&self.authority, &call).await;
                answer.clone()
            }
            _ => self.service.answer(&self.authority, &call).await,
        };
        lock(&self.state).seen.push(Seen {
            name: self.service.name(&call),
            is_write,
            sent: call.path.len() + call.query.len() + call.body.len(),
            received: answer.body.len(),
        });
        match fault {
            // Of an answer without a body nothing is left.
            Some(Fault::Cut) if answer.body.is_empty() => Err(io::Error::other("cut, as asked")),
            Some(Fault::Silence) => Err(io::Error::other("no answer, as the test asked")),
            Some(Fault::Cut) => Ok(respond(&answer, cut(&answer.body))),
            _ => Ok(respond(&answer, whole(&answer.body))),
        }
    }

    fn fault(&self, is_write: bool) -> Option<Fault> {
        let mut state = lock(&self.state);
        let due = state.faults.iter().position(|(when, _)| match when {
            When::Any => true,
            When::Writes => is_write,
            When::Reads => !is_write,
        });
        due.map(|at| state.faults.remove(at).1)
    }
}

fn respond(answer: &Answer, body: Body) -> Response<Body> {
    let mut response = Response::builder()
        .status(answer.status)
        .header("content-length", answer.body.len());
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response.body(body).expect("an answer of valid parts")
}

fn whole(body: &Bytes) -> Body {
    let never = |never: Infallible| match never {};
    Full::new(body.clone()).map_err(never).boxed()
}

fn cut(body: &Bytes) -> Body {
    let half = body.slice(..body.len() / 2);
    let frames = [
        Ok(Frame::data(half)),
        Err(io::Error::other("the answer breaks off, as the test asked")),
    ];
    StreamBody::new(stream::iter(frames)).boxed()
}
