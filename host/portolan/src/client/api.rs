//! The HTTP side: one request, one [`Answer`], every failure as a [`ClientError`].

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, Url, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::ClientError;

/// A host that drops packets must not hold a person up.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Far beyond what the server itself gives a request; an import asks many nodes.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A server's API.
#[derive(Debug)]
pub(super) struct Api {
    server: Url,
    http: Client,
}

/// What a server answered when it did as it was asked.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    data: Value,
    #[serde(default)]
    pushed: Option<Pushed>,
    #[serde(default)]
    migrations: Option<Vec<u64>>,
    /// The document's `ETag`, where the native API told one.
    #[serde(skip)]
    tag: Option<String>,
}

/// A question to the native API.
pub(super) struct Asked<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Option<&'a Value>,
    pub(super) standing: Standing<'a>,
}

/// What a change takes to stand there.
pub(super) enum Standing<'a> {
    /// Whatever does.
    Any,
    /// Nothing.
    Absent,
    /// The document with this `ETag`.
    At(&'a str),
}

impl<'a> Asked<'a> {
    /// A question without a body.
    pub(super) fn new(method: Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            body: None,
            standing: Standing::Any,
        }
    }
}

/// Who has heard of a changed topology.
#[derive(Debug, Default, Deserialize)]
struct Pushed {
    #[serde(default)]
    failed: Vec<Unreached>,
}

#[derive(Debug, Deserialize)]
struct Unreached {
    addr: String,
    reason: String,
}

impl Api {
    pub(super) fn new(server: Url) -> Result<Self, ClientError> {
        // An error means that there is a default already, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .user_agent(concat!("portolan/", env!("CARGO_PKG_VERSION")))
            // A control plane stands in one's own network; a proxy for the web does not know it.
            .no_proxy();
        if server.scheme() == "http" {
            // Not to fail on a system that has no certificates.
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            .build()
            .map_err(|error| ClientError::Failed(format!("cannot speak HTTP: {error}")))?;
        Ok(Self { server, http })
    }

    /// `http` or `https`.
    pub(super) fn scheme(&self) -> &str {
        self.server.scheme()
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.ask(self.request(Method::GET, path)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer, ClientError> {
        self.ask(self.request(Method::DELETE, path)).await
    }

    /// POST without a body.
    pub(super) async fn act(&self, path: &str) -> Result<Answer, ClientError> {
        self.ask(self.request(Method::POST, path)).await
    }

    pub(super) async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, ClientError> {
        self.ask(self.request(Method::POST, path).json(body)).await
    }

    pub(super) async fn put(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, ClientError> {
        self.ask(self.request(Method::PUT, path).json(body)).await
    }

    pub(super) async fn patch(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, ClientError> {
        self.ask(self.request(Method::PATCH, path).json(body)).await
    }

    /// Asks the native API, whose answers are the data themselves: no envelope, and nothing at all after
    /// a deletion.
    pub(super) async fn native(&self, asked: Asked<'_>) -> Result<Answer, ClientError> {
        let mut request = self
            .request(asked.method, asked.path)
            .timeout(ANSWER_WITHIN);
        if let Some(body) = asked.body {
            request = request.json(body);
        }
        request = match asked.standing {
            Standing::Any => request,
            Standing::Absent => request.header(header::IF_NONE_MATCH, "*"),
            Standing::At(tag) => request.header(header::IF_MATCH, tag),
        };
        let response = self.send(request).await?;
        let tag = response.headers().get(header::ETAG);
        let tag = tag.and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let body = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let data = match &body[..] {
            [] => Value::Null,
            body => serde_json::from_slice(body).map_err(|error| not_understood(&error))?,
        };
        Ok(Answer {
            data,
            tag,
            ..Answer::default()
        })
    }

    /// Begins to listen to server-sent events, from the one after `last`.
    pub(super) async fn listen(
        &self,
        path: &str,
        last: Option<u64>,
    ) -> Result<Response, ClientError> {
        let mut request = self
            .request(Method::GET, path)
            .header(header::ACCEPT, "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        self.send(request).await
    }

    /// The failure of an exchange that broke.
    pub(super) fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        let reason = if error.is_timeout() && !error.is_connect() {
            "no answer in time; whether it was done is not known".to_owned()
        } else {
            root(error).to_string()
        };
        ClientError::Unreachable {
            server: self.server.as_str().trim_end_matches('/').to_owned(),
            reason,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let base = self.server.as_str().trim_end_matches('/');
        self.http.request(method, format!("{base}{path}"))
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Answer, ClientError> {
        let response = self.send(request.timeout(ANSWER_WITHIN)).await?;
        let body = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body).map_err(|error| not_understood(&error))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        Err(ClientError::Refused {
            status: status.as_u16(),
            message: sentence(&body).unwrap_or_else(|| format!("the server answered {status}")),
        })
    }
}

impl Answer {
    /// A field of the data.
    pub(super) fn read<T: DeserializeOwned>(&self, field: &str) -> Result<T, ClientError> {
        let value = self.data.get(field).unwrap_or(&Value::Null);
        T::deserialize(value).map_err(|error| not_understood(&error))
    }

    /// All of the data.
    pub(super) fn whole<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        T::deserialize(&self.data).map_err(|error| not_understood(&error))
    }

    /// The document's `ETag`, if it has one.
    pub(super) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The ids of the migrations that it queued.
    pub(super) fn migrations(&self) -> &[u64] {
        self.migrations.as_deref().unwrap_or_default()
    }

    /// What programs get: the data, and in it the migrations where some were queued.
    pub(super) fn json(&self) -> Value {
        let Some(migrations) = &self.migrations else {
            return self.data.clone();
        };
        let mut object = match &self.data {
            Value::Object(object) => object.clone(),
            _ => Map::new(),
        };
        object.insert("migrations".to_owned(), migrations.clone().into());
        object.into()
    }

    /// A sentence for each node that has not heard of the change.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let failed = self.pushed.iter().flat_map(|pushed| &pushed.failed);
        failed.map(|Unreached { addr, reason }| {
            format!("node {addr} has not heard of it yet: {reason}")
        })
    }
}

/// The sentence of `{"error":{"message","at"}}`.
fn sentence(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        error: Said,
    }
    #[derive(Deserialize)]
    struct Said {
        message: String,
        #[serde(default)]
        at: Option<String>,
    }
    let Body { error } = serde_json::from_str(body).ok()?;
    Some(match error.at {
        Some(at) => format!("{} (at {at})", error.message),
        None => error.message,
    })
}

fn not_understood(error: &serde_json::Error) -> ClientError {
    ClientError::Failed(format!(
        "the server's answer is not understood ({error}): is it a Portolan of this version?"
    ))
}

/// The innermost cause, which is the one that says something.
fn root(error: &dyn std::error::Error) -> &dyn std::error::Error {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(value: Value) -> Answer {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_error_is_its_sentence_and_place() {
        let body = r#"{"error":{"code":"invalid","message":"no","at":"nodes[0]"}}"#;
        assert_eq!(sentence(body).unwrap(), "no (at nodes[0])");
        assert_eq!(sentence(r#"{"error":{"message":"no"}}"#).unwrap(), "no");
        assert!(sentence("<html>").is_none() && sentence("{}").is_none());
    }

    #[test]
    fn programs_get_the_data_and_what_was_queued() {
        let plain = answer(json!({"data": {"shards": []}}));
        assert_eq!(plain.json(), json!({"shards": []}));
        let queued = answer(json!({"data": "ok", "migrations": [3]}));
        assert_eq!(queued.json(), json!({"migrations": [3]}));
        let both = answer(json!({"data": {"plan": 1}, "migrations": [3]}));
        assert_eq!(both.json(), json!({"plan": 1, "migrations": [3]}));
    }

    #[test]
    fn nodes_that_have_not_heard_are_named() {
        let failed = json!([{"addr": "a:1", "reason": "no answer"}]);
        let answer = answer(json!({"data": "ok", "pushed": {"version": 2, "failed": failed}}));
        let warnings: Vec<String> = answer.warnings().collect();
        assert_eq!(warnings, ["node a:1 has not heard of it yet: no answer"]);
    }
}
