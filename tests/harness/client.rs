//! An HTTP client for tests: one connection per request, so that no request meets a dead one.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// After this long without a complete answer a request has failed. The daemon bounds its own answers
/// well below it: a test that runs into this limit has found a request that hangs.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A complete HTTP response.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, and their values.
    pub headers: BTreeMap<String, String>,
    /// The body as text.
    pub body: String,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {} {}", self.status, self.body))
    }

    /// A header's value; empty where it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Everything that an error reply says: the header `portolan-error` and the body.
    pub fn complaint(&self) -> String {
        format!("{} {}", self.header("portolan-error"), self.body)
    }
}

/// A client of one address.
#[derive(Debug, Clone)]
pub struct Client {
    address: String,
}

impl Client {
    /// A client of `host:port`.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
        }
    }

    /// Sends one request and waits for the complete response.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Reply, String> {
        let exchange = self.exchange(method, path, headers, body.into());
        match tokio::time::timeout(REQUEST_TIMEOUT, exchange).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(format!("{method} {path} at {}: {error}", self.address)),
            Err(_) => Err(format!(
                "{method} {path} at {}: no answer within {REQUEST_TIMEOUT:?}",
                self.address
            )),
        }
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);

        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes())?)
            .uri(path)
            .header("host", &self.address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Full::new(body))?).await?;

        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Reply {
            status: parts.status.as_u16(),
            headers,
            body,
        })
    }

    /// GET, panicking where there is no response.
    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "")
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Sends `body` as JSON, panicking where there is no response.
    pub async fn send_json(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.try_send_json(method, path, body)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// POSTs `body` as JSON, panicking where there is no response.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send_json("POST", path, body).await
    }

    /// PUTs `body` as JSON, panicking where there is no response.
    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send_json("PUT", path, body).await
    }

    async fn try_send_json(&self, method: &str, path: &str, body: &Value) -> Result<Reply, String> {
        self.send(
            method,
            path,
            &[("content-type", "application/json")],
            body.to_string(),
        )
        .await
    }

    /// Writes one key through the KV contract. An error leaves open whether it was written.
    pub async fn write(&self, key: &str, value: &str) -> Result<(), String> {
        let body = json!({"Put": {"key": key, "value": value}});
        let reply = self.try_send_json("POST", "/write", &body).await?;
        match reply.status {
            200 if reply.body == "\"OK\"" => Ok(()),
            _ => Err(format!(
                "write of {key:?}: {} {}",
                reply.status,
                reply.complaint()
            )),
        }
    }

    /// Reads one key through the KV contract; an absent one is empty.
    pub async fn read(&self, key: &str) -> Result<String, String> {
        let reply = self.try_send_json("POST", "/read", &json!(key)).await?;
        match reply.json()["OK"].as_str() {
            Some(value) if reply.status == 200 => Ok(value.to_owned()),
            _ => Err(format!(
                "read of {key:?}: {} {}",
                reply.status,
                reply.complaint()
            )),
        }
    }

    /// Reads everything through the KV contract.
    pub async fn read_all(&self) -> Result<BTreeMap<String, String>, String> {
        self.all_pairs("/read-all").await
    }

    /// Reads everything that this member has applied, asking no other member.
    pub async fn read_all_stale(&self) -> Result<BTreeMap<String, String>, String> {
        self.all_pairs("/read-all?consistency=stale").await
    }

    async fn all_pairs(&self, path: &str) -> Result<BTreeMap<String, String>, String> {
        let reply = self.send("GET", path, &[], "").await?;
        let body = reply.json();
        let Some(pairs) = body["OK"].as_array().filter(|_| reply.status == 200) else {
            return Err(format!(
                "GET {path}: {} {}",
                reply.status,
                reply.complaint()
            ));
        };
        let text = |pair: &Value, field: &str| match pair[field].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("GET {path}: a pair without {field:?}: {pair}")),
        };
        pairs
            .iter()
            .map(|pair| Ok((text(pair, "k")?, text(pair, "v")?)))
            .collect()
    }

    /// The KV contract's metrics.
    pub async fn raft_metrics(&self) -> Result<Value, String> {
        let reply = self.send("GET", "/raft/metrics", &[], "").await?;
        match reply.status {
            200 => Ok(reply.json()),
            _ => Err(format!(
                "GET /raft/metrics: {} {}",
                reply.status,
                reply.complaint()
            )),
        }
    }
}
