//! The HTTP/1.1 server: accepts, serves, and on shutdown finishes what runs.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::{ApiError, health};

/// How long running requests may take to finish once the daemon shuts down.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// How long a connection may be idle, and how long a request's head may take. Longer than the 90 s
/// after which the usual clients drop an idle connection themselves: whoever closes first must not be
/// the one that does not know of the request under way.
const HEAD_TIME: Duration = Duration::from_secs(120);

/// Between two attempts to accept when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What requests pass through: until the daemon opens it, it answers that the daemon is starting.
///
/// A member with much data takes seconds to load it. Meanwhile it is alive, and says so.
#[derive(Clone, Default)]
pub struct Door(Arc<OnceLock<Router>>);

impl Door {
    /// A door that is closed.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on requests reach `router`. A second call changes nothing.
    pub fn open(&self, router: Router) {
        let _ = self.0.set(router);
    }

    async fn pass(self, request: Request<Incoming>) -> Result<Response, Infallible> {
        match self.0.get() {
            Some(router) => router.clone().call(request.map(Body::new)).await,
            None if request.uri().path() == "/healthz" => Ok(health::healthz().await),
            None => Ok(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "starting",
                "the daemon is starting and loads its data; try again in a moment",
            )
            .into_response()),
        }
    }
}

/// Serves until `shutdown` ends, then stops accepting, closes idle connections, and gives the
/// requests that run up to ten seconds. Connections that left HTTP (the peers') are not waited for:
/// they belong to whom they were handed.
pub async fn serve(listener: TcpListener, door: Door, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let stop = CancellationToken::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, door.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    stop.cancel();
    let drain = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIME, drain).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "requests still ran {} s after the shutdown began and were cut off",
            DRAIN_TIME.as_secs()
        );
    }
}

async fn connection(stream: TcpStream, door: Door, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let service = service_fn(move |request| door.clone().pass(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
