//! The KV contract's data calls: `/write`, `/read`, `/read-all`. They reach [`Space::User`] alone.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, StatusCode, Uri};
use portolan_consensus::{Consistency, Key, Limits, Record, Scan, Space, Txn};
use serde::{Deserialize, Serialize};

use crate::error::header_safe;
use crate::{ApiError, ApiState, json};

/// Why `/write` answered `"Err"`.
const REASON: HeaderName = HeaderName::from_static("portolan-error");

/// JSON may write one byte of text as six: `\u0001`.
const ESCAPED: usize = 6;

/// How much of `/read-all` is written at a time.
const CHUNK: usize = 64 << 10;

const WRITE_EXAMPLE: &str =
    r#"{"Put":{"key":"<text>","value":"<text>"}} or {"Del":{"key":"<text>"}}"#;
const READ_EXAMPLE: &str = r#"the key as a JSON string: "<text>""#;

#[derive(Deserialize)]
enum Write<'a> {
    #[serde(borrow)]
    Put(Put<'a>),
    #[serde(borrow)]
    Del(Del<'a>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Put<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Del<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
}

/// A JSON string, borrowed from the body unless it is escaped (a plain `Cow` is always owned).
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// `POST /write`
pub(crate) async fn write(
    State(state): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, WriteError> {
    let body = json::read(request, largest_write(&state.limits)).await?;
    let txn = match json::parse(&body, WRITE_EXAMPLE)? {
        // The value is copied: a slice of the body would keep the connection's whole read buffer
        // alive for as long as the store holds the value.
        Write::Put(Put { key, value }) => {
            Txn::new().put(Space::User, &*key, Bytes::copy_from_slice(value.as_bytes()))
        }
        Write::Del(Del { key }) => Txn::new().delete(Space::User, &*key),
    };
    state.member.txn(txn).await?;
    Ok(json::raw(StatusCode::OK, r#""OK""#))
}

/// `POST /read`
pub(crate) async fn read(
    State(state): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, ReadError> {
    let consistency = consistency(request.uri())?;
    let body = json::read(request, largest_key(&state.limits)).await?;
    let Text(key) = json::parse(&body, READ_EXAMPLE)?;
    let record = state.member.get(Space::User, &key, consistency).await?;
    let value = record.as_ref().map_or_else(Cow::default, text);
    let mut answer = Vec::with_capacity(value.len() + 16);
    answer.extend_from_slice(br#"{"OK":"#);
    write_text(&mut answer, &value);
    answer.push(b'}');
    Ok(json::raw(StatusCode::OK, answer))
}

/// `GET /read-all`: all keys at one revision, in order.
///
/// The records share their bytes with the store; their JSON is made piece by piece as the client
/// takes it, so a large space does not stand in memory twice.
pub(crate) async fn read_all(
    State(state): State<Arc<ApiState>>,
    uri: Uri,
) -> Result<Response, ReadError> {
    let consistency = consistency(&uri)?;
    let page = state
        .member
        .scan(Space::User, Scan::default(), consistency)
        .await?;
    let pieces = Pieces {
        items: page.items.into_iter(),
        at: Place::Start,
    };
    let body = Body::from_stream(stream::iter(pieces.map(Ok::<_, Infallible>)));
    Ok(json::raw(StatusCode::OK, body))
}

/// The JSON of `/read-all`, in pieces of about [`CHUNK`].
struct Pieces {
    items: std::vec::IntoIter<(Key, Record)>,
    at: Place,
}

enum Place {
    Start,
    Middle,
    End,
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let (mut piece, mut separator) = match self.at {
            Place::Start => (br#"{"OK":["#.to_vec(), ""),
            Place::Middle => (Vec::with_capacity(CHUNK), ","),
            Place::End => return None,
        };
        self.at = Place::Middle;
        while piece.len() < CHUNK {
            let Some((key, record)) = self.items.next() else {
                piece.extend_from_slice(b"]}");
                self.at = Place::End;
                break;
            };
            piece.extend_from_slice(separator.as_bytes());
            separator = ",";
            piece.extend_from_slice(br#"{"k":"#);
            write_text(&mut piece, &key);
            piece.extend_from_slice(br#","v":"#);
            write_text(&mut piece, &text(&record));
            piece.push(b'}');
        }
        Some(piece.into())
    }
}

/// What a record of the user's space holds: `/write` is the only way in, and it takes text alone.
fn text(record: &Record) -> Cow<'_, str> {
    String::from_utf8_lossy(&record.value)
}

/// Appends a JSON string.
fn write_text(out: &mut Vec<u8>, text: &str) {
    if serde_json::to_writer(&mut *out, text).is_err() {
        // Writing into memory does not fail; were it ever to, the answer stays JSON.
        let _ = out.write_all(br#""""#);
    }
}

fn largest_write(limits: &Limits) -> usize {
    ESCAPED * (limits.max_key_bytes + limits.max_value_bytes) + 1024
}

fn largest_key(limits: &Limits) -> usize {
    ESCAPED * limits.max_key_bytes + 1024
}

/// How fresh the query asks a read to be: `?consistency=stale`, otherwise linearizable.
fn consistency(uri: &Uri) -> Result<Consistency, ApiError> {
    let asked = uri.query().and_then(|query| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix("consistency="))
    });
    match asked {
        None | Some("linearizable") => Ok(Consistency::Linearizable),
        Some("stale") => Ok(Consistency::Stale),
        Some(other) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "unknown_consistency",
            format!("consistency is \"linearizable\" or \"stale\", not {other:?}"),
        )
        .at("query")),
    }
}

/// A failed `/write`: the JSON string `"Err"`, with the reason in a header.
pub(crate) struct WriteError(ApiError);

impl<E: Into<ApiError>> From<E> for WriteError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for WriteError {
    fn into_response(self) -> Response {
        let mut response = self.0.respond_with("Err");
        response
            .headers_mut()
            .insert(REASON, header_safe(&self.0.sentence()));
        response
    }
}

/// A failed `/read` or `/read-all`: `{"err":"<reason>"}`.
pub(crate) struct ReadError(ApiError);

impl<E: Into<ApiError>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for ReadError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Answer<'a> {
            err: Cow<'a, str>,
        }
        self.0.respond_with(&Answer {
            err: self.0.sentence(),
        })
    }
}

#[cfg(test)]
mod tests {
    use portolan_consensus::Revision;

    use super::*;

    fn pieces(items: Vec<(Key, Record)>) -> Vec<Bytes> {
        Pieces {
            items: items.into_iter(),
            at: Place::Start,
        }
        .collect()
    }

    fn item(key: &str, value: &str) -> (Key, Record) {
        let revision = Revision(1);
        let value = Bytes::copy_from_slice(value.as_bytes());
        (
            key.into(),
            Record {
                value,
                created: revision,
                modified: revision,
            },
        )
    }

    #[test]
    fn read_all_is_one_document_however_many_pieces() {
        assert_eq!(pieces(vec![]).concat(), br#"{"OK":[]}"#);
        assert_eq!(
            pieces(vec![item("a", "1"), item("b\"", "é\n")]).concat(),
            r#"{"OK":[{"k":"a","v":"1"},{"k":"b\"","v":"é\n"}]}"#.as_bytes()
        );

        let many: Vec<_> = (0..5000)
            .map(|n| item(&format!("{n:04}"), &"v".repeat(100)))
            .collect();
        let pieces = pieces(many);
        assert!(pieces.len() > 5, "{} pieces", pieces.len());
        assert!(pieces.iter().all(|piece| piece.len() < CHUNK + 1024));
        let document: serde_json::Value = serde_json::from_slice(&pieces.concat()).unwrap();
        let read = document["OK"].as_array().unwrap();
        assert_eq!(read.len(), 5000);
        assert_eq!(read[4999]["k"], "4999");
    }

    #[test]
    fn a_last_item_that_fills_its_piece_still_closes_the_document() {
        let pieces = pieces(vec![item("a", &"v".repeat(CHUNK))]);
        assert_eq!(pieces.len(), 2);
        assert!(serde_json::from_slice::<serde_json::Value>(&pieces.concat()).is_ok());
    }

    #[test]
    fn plain_text_is_borrowed_from_the_body() {
        let body = br#"{"Put":{"key":"k","value":"plain"}}"#;
        let Ok(Write::Put(put)) = json::parse(body, WRITE_EXAMPLE) else {
            panic!("not a put")
        };
        assert!(matches!(put.value, Cow::Borrowed("plain")));
        let Ok(Text(key)) = json::parse(br#""k""#, READ_EXAMPLE) else {
            panic!("not a text")
        };
        assert!(matches!(key, Cow::Borrowed("k")));
        let Ok(Text(key)) = json::parse(br#""\u006b""#, READ_EXAMPLE) else {
            panic!("not a text")
        };
        assert_eq!(key, "k");
    }

    #[test]
    fn only_the_two_words_are_a_consistency() {
        let of = |query: &str| consistency(&format!("/read{query}").parse().unwrap());
        assert_eq!(of("").unwrap(), Consistency::Linearizable);
        assert_eq!(
            of("?consistency=linearizable").unwrap(),
            Consistency::Linearizable
        );
        assert_eq!(of("?a=b&consistency=stale").unwrap(), Consistency::Stale);
        assert_eq!(
            of("?consistency=eventual").unwrap_err().status,
            StatusCode::BAD_REQUEST
        );
    }
}
