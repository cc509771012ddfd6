//! JSON in and out: bounded bodies, errors that say where, answers.
//!
//! Malformed JSON is 400 with line and column. JSON of the wrong shape is 422 with what was
//! expected. The `Content-Type` is not looked at: `curl -d` sends a form's, and nothing but JSON is
//! understood here anyway.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::LengthLimitError;
use hyper::body::Body as _;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::ApiError;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The largest body of a native route.
const NATIVE_LIMIT: usize = 4 << 20;

/// How much of a body that is refused for its size is still read and dropped, so that a client which
/// sends first and reads afterwards sees the 413 and not a broken connection.
const DISCARD_LIMIT: usize = 32 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// A request's body as JSON; answers in the native form when it is not what `T` says.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let body = read(request, NATIVE_LIMIT).await?;
        parse(&body, "").map(Json)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        answer(StatusCode::OK, &self.0)
    }
}

/// The request's body, at most `limit` bytes of it; refused before it is read where its length is
/// told in advance.
pub(crate) async fn read(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    let (head, body) = request.into_parts();
    if body.size_hint().lower() > limit as u64 {
        discard(&head.headers, body).await;
        return Err(too_large(limit));
    }
    let read = axum::body::to_bytes(body, limit);
    match tokio::time::timeout(BODY_TIME, read).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_length_limit(&error) => Err(too_large(limit)),
        Ok(Err(error)) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "incomplete_body",
            format!("the request's body ended early: {error}"),
        )),
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "slow_body",
            format!(
                "the request's body did not arrive within {} s",
                BODY_TIME.as_secs()
            ),
        )),
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<LengthLimitError>())
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        format!("the request's body is larger than the {limit} bytes that this route accepts"),
    )
}

async fn discard(headers: &HeaderMap, body: Body) {
    if headers.contains_key(header::EXPECT) {
        // The client waits for leave to send the body, and does not get it.
        return;
    }
    let mut left = DISCARD_LIMIT;
    let mut frames = body.into_data_stream();
    let drain = async {
        while let Some(Ok(frame)) = frames.next().await {
            left = left.saturating_sub(frame.len());
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIME, drain).await;
}

/// Parses a body. `expected` says in words or by example what the route takes, for the error of a
/// body of another shape; empty where the type says enough.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], expected: &str) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|unexpected| {
        // Malformed or only unexpected? The error does not tell: a wrong type is noticed before what
        // follows it is read, and a wrong start of an enum passes for bad syntax.
        match serde_json::from_slice::<IgnoredAny>(body) {
            Err(malformed) => refusal(
                StatusCode::BAD_REQUEST,
                "malformed_json",
                "malformed JSON",
                &malformed,
                "",
            ),
            Ok(_) => refusal(
                StatusCode::UNPROCESSABLE_ENTITY,
                "unexpected_json",
                "unexpected JSON",
                &unexpected,
                expected,
            ),
        }
    })
}

fn refusal(
    status: StatusCode,
    code: &'static str,
    what: &str,
    error: &serde_json::Error,
    expected: &str,
) -> ApiError {
    let place = format!("line {} column {}", error.line(), error.column());
    let text = error.to_string();
    // serde_json ends its text with the place, which has a field of its own here.
    let reason = text.strip_suffix(&format!(" at {place}")).unwrap_or(&text);
    let separator = if expected.is_empty() {
        ""
    } else {
        "; expected "
    };
    ApiError::new(
        status,
        code,
        format!("{what}: {reason}{separator}{expected}"),
    )
    .at(place)
}

/// An answer of JSON.
pub(crate) fn answer<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => raw(status, body),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            raw(
                StatusCode::INTERNAL_SERVER_ERROR,
                &b"{\"error\":{\"code\":\"internal\",\
                \"message\":\"the answer could not be written as JSON; see the log\"}}"[..],
            )
        }
    }
}

/// An answer of JSON that stands ready as bytes.
pub(crate) fn raw(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Point {
        #[allow(dead_code, reason = "only parsed")]
        x: u8,
    }

    fn error(body: &str) -> ApiError {
        parse::<Point>(body.as_bytes(), "{\"x\":0..255}").unwrap_err()
    }

    #[test]
    fn malformed_json_is_400_with_the_position() {
        for (body, at) in [
            ("", "line 1 column 0"),
            ("{\"x\":", "line 1 column 5"),
            ("{\n \"x\" 1}", "line 2 column 6"),
            ("{\"x\":1} trailing", "line 1 column 9"),
            ("{\"x\":1,}", "line 1 column 8"),
            ("{\"x\":\"1\"", "line 1 column 8"),
        ] {
            let error = error(body);
            assert_eq!(error.status, StatusCode::BAD_REQUEST, "{body:?}");
            assert_eq!(error.code, "malformed_json", "{body:?}");
            assert_eq!(error.at.as_deref(), Some(at), "{body:?}");
            assert!(
                !error.message.contains("column"),
                "the place stands once: {}",
                error.message
            );
        }
    }

    #[test]
    fn json_of_another_shape_is_422_with_what_was_expected() {
        let wrong = error("{\"x\":\"1\"}");
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(wrong.at.as_deref(), Some("line 1 column 8"));
        assert_eq!(
            wrong.message,
            "unexpected JSON: invalid type: string \"1\", expected u8; expected {\"x\":0..255}"
        );
        assert!(error("{\"x\":256}").message.contains("expected u8"));
        assert!(
            error("{\"y\":1}")
                .message
                .contains("unknown field `y`, expected `x`")
        );
        assert!(error("{}").message.contains("missing field `x`"));
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_whether_or_not_its_length_is_told() {
        let told = Request::new(Body::from(vec![b' '; 11]));
        assert_eq!(
            read(told, 10).await.unwrap_err().status,
            StatusCode::PAYLOAD_TOO_LARGE
        );

        let frames = [Ok::<_, std::io::Error>("123456"), Ok("789012")];
        let chunked = Request::new(Body::from_stream(futures_util::stream::iter(frames)));
        assert_eq!(
            read(chunked, 10).await.unwrap_err().status,
            StatusCode::PAYLOAD_TOO_LARGE
        );

        let fits = Request::new(Body::from(vec![b' '; 10]));
        assert_eq!(read(fits, 10).await.unwrap().len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_ends_in_408() {
        let silent = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let request = Request::new(Body::from_stream(silent));
        assert_eq!(
            read(request, 10).await.unwrap_err().status,
            StatusCode::REQUEST_TIMEOUT
        );
    }

    #[tokio::test]
    async fn a_client_that_waits_for_leave_gets_the_refusal_at_once() {
        let mut request = Request::new(Body::from(vec![b' '; 11]));
        request
            .headers_mut()
            .insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        assert_eq!(read(request, 10).await.unwrap_err().code, "too_large");
    }
}
