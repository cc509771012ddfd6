//! A stand-in for a node of CocoaSyncer, the daemon whose contract `/v1` is: it tells its deployment to
//! whoever knows its secret, with HTTP 200 whatever it answers.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running stand-in on loopback. Dropping it stops it.
pub struct CocoaStub {
    address: String,
    server: JoinHandle<()>,
}

struct Deployment {
    secret: String,
    basic: Value,
}

impl CocoaStub {
    /// Starts a node with this secret, which tells this as its `cocoaBasic`.
    pub async fn start(secret: &str, basic: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port on loopback");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address")
            .to_string();
        let deployment = Arc::new(Deployment {
            secret: secret.to_owned(),
            basic,
        });
        let server = tokio::spawn(serve(listener, deployment));
        Self { address, server }
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for CocoaStub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, deployment: Arc<Deployment>) {
    while let Ok((stream, _)) = listener.accept().await {
        let deployment = Arc::clone(&deployment);
        let service = service_fn(move |request| answer(Arc::clone(&deployment), request));
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn answer(
    deployment: Arc<Deployment>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let asks = request.method() == Method::POST && request.uri().path() == "/v1/getClusterInfo";
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = if !asks {
        json!({"statusCode": 405, "statusString": "Not Allowed!"})
    } else if body["cocoaSecret"] == deployment.secret.as_str() {
        json!({"statusCode": 200, "statusString": "MafuMafu~", "cocoaBasic": deployment.basic})
    } else {
        json!({"statusCode": 401, "statusString": "Unauthorized! You are not Cocoa!"})
    };
    Ok(Response::new(Full::new(answer.to_string().into())))
}
