//! What stands in a request besides its body: a name in the path, options in the query, the revision
//! that a change is based on. What is wrong with one answers in the native form.

use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use portolan_consensus::Revision;
use serde::de::DeserializeOwned;

use crate::ApiError;

/// The parameter of the path, or all of them in order.
pub(crate) struct Names<T = String>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Names<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(names)| Self(names))
            .map_err(|error| bad_request("path", error.body_text()))
    }
}

/// The query's options.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(options)| Self(options))
            .map_err(|error| bad_request("query", error.body_text()))
    }
}

/// The revision that a change is based on: `If-Match: "12"`, or `If-None-Match: *` for "it must not
/// exist"; none where the request does not say.
pub(crate) struct Expected(pub(crate) Option<Revision>);

impl<S: Send + Sync> FromRequestParts<S> for Expected {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let text = |name: HeaderName| {
            parts
                .headers
                .get(name)
                .map(|value| value.to_str().unwrap_or(""))
        };
        match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
            (None, None) => Ok(Self(None)),
            (None, Some("*")) => Ok(Self(Some(Revision::ZERO))),
            (Some(tag), None) => tag
                .strip_prefix('"')
                .and_then(|tag| tag.strip_suffix('"')?.parse().ok())
                .map(|revision| Self(Some(Revision(revision))))
                .ok_or_else(|| {
                    bad_request(
                        "if-match",
                        "expected the ETag of an earlier answer: \"12\"".to_owned(),
                    )
                }),
            _ => Err(bad_request(
                "if-none-match",
                "only If-None-Match: * is understood, and not beside If-Match".to_owned(),
            )),
        }
    }
}

/// Tells a document's revision in `ETag`.
pub(crate) fn set_etag(headers: &mut HeaderMap, revision: Revision) {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        headers.insert(header::ETAG, tag);
    }
}

fn bad_request(place: &'static str, message: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_request", message).at(place)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use serde::Deserialize;

    use super::*;

    async fn expected(headers: &[(&str, &str)]) -> Result<Option<Revision>, ApiError> {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        Expected::from_request_parts(&mut parts, &())
            .await
            .map(|Expected(revision)| revision)
    }

    #[tokio::test]
    async fn a_change_names_the_revision_that_it_is_based_on() {
        assert_eq!(expected(&[]).await, Ok(None));
        assert_eq!(
            expected(&[("if-match", "\"12\"")]).await,
            Ok(Some(Revision(12)))
        );
        assert_eq!(
            expected(&[("if-none-match", "*")]).await,
            Ok(Some(Revision::ZERO))
        );
        for wrong in [
            &[("if-match", "12")][..],
            &[("if-match", "*")],
            &[("if-match", "\"a\"")],
            &[("if-none-match", "\"12\"")],
            &[("if-match", "\"12\""), ("if-none-match", "*")],
        ] {
            assert_eq!(
                expected(wrong).await.unwrap_err().status,
                StatusCode::BAD_REQUEST,
                "{wrong:?}"
            );
        }
        let mut headers = HeaderMap::new();
        set_etag(&mut headers, Revision(12));
        assert_eq!(headers[header::ETAG], "\"12\"");
    }

    #[tokio::test]
    async fn an_unknown_option_of_the_query_is_refused_by_name() {
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Options {
            force: bool,
        }
        let parse = async |uri: &str| {
            let (mut parts, ()) = Request::get(uri).body(()).unwrap().into_parts();
            Params::<Options>::from_request_parts(&mut parts, &())
                .await
                .map(|Params(options)| options)
        };
        assert!(!parse("/x").await.unwrap().force);
        assert!(parse("/x?force=true").await.unwrap().force);
        let error = parse("/x?forse=true").await.unwrap_err();
        assert_eq!(error.status, StatusCode::BAD_REQUEST);
        assert!(
            error
                .message
                .contains("unknown field `forse`, expected `force`"),
            "{}",
            error.message
        );
    }
}
