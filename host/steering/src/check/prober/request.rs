//! HTTP: one request, one connection.

use std::io::{self, ErrorKind};
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::uri::Authority;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::ProbeFailure;
use super::dial::{connect, words};
use super::trust::Trust;
use crate::check::spec::{HttpQuestion, Method};

/// How much of a body is read.
const MAX_BODY: usize = 64 * 1024;
/// How much of an answer's head is read.
const MAX_HEAD: usize = 64 * 1024;
const AGENT: &str = concat!("portolan/", env!("CARGO_PKG_VERSION"));

pub(super) async fn ask(
    trust: &Trust,
    address: IpAddr,
    question: &HttpQuestion,
) -> Result<(), ProbeFailure> {
    let request = request(address, question)?;
    let stream = connect(address, question.port).await?;
    match &question.tls {
        None => exchange(stream, request, question).await,
        Some(tls) => {
            let host = question.host.as_deref().and_then(bare_host);
            let stream = trust
                .handshake(stream, address, tls, host.as_deref(), &[b"http/1.1"])
                .await?;
            exchange(stream, request, question).await
        }
    }
}

fn request(
    address: IpAddr,
    question: &HttpQuestion,
) -> Result<Request<Empty<Bytes>>, ProbeFailure> {
    let method = match question.method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
    };
    let host = question
        .host
        .clone()
        .unwrap_or_else(|| authority(address, question));
    Request::builder()
        .method(method)
        .uri(&question.path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| ProbeFailure::Unable(format!("the check cannot be asked: {error}")))
}

/// The address as a `Host` header has it: without the scheme's own port (RFC 9110 §4.2.3).
fn authority(address: IpAddr, question: &HttpQuestion) -> String {
    let host = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    match (question.tls.is_some(), question.port) {
        (false, 80) | (true, 443) => host,
        (_, port) => format!("{host}:{port}"),
    }
}

/// A `Host` header without port and brackets.
fn bare_host(host: &str) -> Option<String> {
    let authority: Authority = host.parse().ok()?;
    let bare = authority.host().trim_matches(['[', ']']);
    Some(bare.to_owned())
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    request: Request<Empty<Bytes>>,
    question: &HttpQuestion,
) -> Result<(), ProbeFailure> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| broken(&error))?;
        judge(response, question).await
    };
    tokio::pin!(answer);
    // The connection moves only while it is polled. It may end before its last bytes are judged.
    tokio::select! {
        result = &mut answer => result,
        _ended = connection => answer.await,
    }
}

async fn judge(
    response: http::Response<Incoming>,
    question: &HttpQuestion,
) -> Result<(), ProbeFailure> {
    check_status(response.status(), question)?;
    let Some(wanted) = &question.body else {
        return Ok(());
    };
    let found = holds(response.into_body(), wanted.as_bytes())
        .await
        .map_err(|error| broken(&error))?;
    match found {
        true => Ok(()),
        false => Err(ProbeFailure::Down(format!(
            "the body does not hold `{}`",
            wanted.escape_debug()
        ))),
    }
}

fn check_status(status: StatusCode, question: &HttpQuestion) -> Result<(), ProbeFailure> {
    let wanted = &question.status;
    if wanted.iter().any(|range| range.contains(status.as_u16())) {
        return Ok(());
    }
    let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    Err(ProbeFailure::Down(format!(
        "status {}, wanted {}",
        status.as_u16(),
        wanted.join(", ")
    )))
}

/// Whether `wanted` stands in the part of `body` that is read; the rest is not waited for.
async fn holds(mut body: Incoming, wanted: &[u8]) -> Result<bool, hyper::Error> {
    let mut read: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        // It may have begun in the frames before.
        let new_from = read.len().saturating_sub(wanted.len().saturating_sub(1));
        let room = MAX_BODY - read.len();
        read.extend_from_slice(&data[..data.len().min(room)]);
        if read[new_from..]
            .windows(wanted.len().max(1))
            .any(|part| part == wanted)
        {
            return Ok(true);
        }
        if read.len() == MAX_BODY {
            break;
        }
    }
    Ok(false)
}

fn broken(error: &hyper::Error) -> ProbeFailure {
    let source = std::error::Error::source(error);
    let io = source.and_then(|source| source.downcast_ref::<io::Error>());
    let ended = io.is_some_and(|io| io.kind() == ErrorKind::UnexpectedEof)
        || error.is_incomplete_message()
        || error.is_canceled();
    ProbeFailure::Down(match io {
        _ if ended => "connection closed before a whole answer".to_owned(),
        Some(io) => words(io),
        None if error.is_parse() => format!("not an HTTP answer: {error}"),
        None => error.to_string(),
    })
}
