//! What stands around the handlers of every route: authorise, bound the time, contain a panic, count.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::StatusCode;
use tower::{Layer, Service};

use crate::ApiError;
use crate::identity::{Scope, authorise};
use crate::metrics::RouteMetrics;

/// Longer than what a handler waits for by itself (a change of the membership: 60 s): a last resort,
/// so that no client waits for ever.
const HANDLER_TIME: Duration = Duration::from_secs(90);

/// One route's edge. `Clone` is cheap.
#[derive(Clone)]
pub(crate) struct Edge {
    scope: Scope,
    metrics: Arc<RouteMetrics>,
}

impl Edge {
    pub(crate) fn new(scope: Scope, metrics: RouteMetrics) -> Self {
        Self {
            scope,
            metrics: Arc::new(metrics),
        }
    }
}

impl<S> Layer<S> for Edge {
    type Service = EdgeService<S>;

    fn layer(&self, inner: S) -> EdgeService<S> {
        EdgeService {
            edge: self.clone(),
            inner,
        }
    }
}

#[derive(Clone)]
pub(crate) struct EdgeService<S> {
    edge: Edge,
    inner: S,
}

impl<S> Service<Request> for EdgeService<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let began = Instant::now();
        let metrics = Arc::clone(&self.edge.metrics);
        let method = request.method().clone();
        let admitted = authorise(request.headers(), self.edge.scope);
        let handler = admitted.map(|_| self.inner.call(request));
        Box::pin(async move {
            let response = match handler {
                Ok(handler) => contained(handler).await,
                Err(refusal) => refusal.into_response(),
            };
            metrics.record(&method, response.status(), began.elapsed());
            Ok(response)
        })
    }
}

/// The handler's answer, or an error in its place when it panics or does not end.
async fn contained(handler: impl Future<Output = Result<Response, Infallible>>) -> Response {
    let handler = AssertUnwindSafe(handler).catch_unwind();
    match tokio::time::timeout(HANDLER_TIME, handler).await {
        Ok(Ok(Ok(response))) => response,
        // The panic hook has counted and logged it.
        Ok(Err(_panic)) => ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the daemon failed on this request and goes on; its log has the details",
        )
        .into_response(),
        Err(_) => ApiError::new(
            StatusCode::GATEWAY_TIMEOUT,
            "unknown_outcome",
            format!(
                "no answer within {} s; whether the request took effect is not known",
                HANDLER_TIME.as_secs()
            ),
        )
        .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_request_alone() {
        let broken = async { panic!("on purpose") };
        assert_eq!(
            contained(broken).await.status(),
            StatusCode::INTERNAL_SERVER_ERROR
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_client_waits_for_ever() {
        let response = contained(std::future::pending()).await;
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    }
}
