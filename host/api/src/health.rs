//! Whether the daemon lives, whether it is ready, and what it is.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use crate::accept::Accept;
use crate::{ApiError, ApiState, json};

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// `GET /healthz`: the process answers. Nothing more: an orchestrator restarts what is not alive,
/// and a restart brings no lost leader back.
pub(crate) async fn healthz() -> Response {
    json::answer(StatusCode::OK, &Health { status: "alive" })
}

/// `GET /readyz`: the member knows a leader and has applied all up to it; 503 with the reason
/// otherwise.
pub(crate) async fn readyz(State(state): State<Arc<ApiState>>) -> Result<Response, ApiError> {
    state.member.ready().await.map_err(|reason| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            reason.to_string(),
        )
    })?;
    Ok(json::answer(StatusCode::OK, &Health { status: "ready" }))
}

/// `GET /` and `GET /v1`: what answers here, as a page for a browser and as a line for the rest.
pub(crate) async fn root(State(state): State<Arc<ApiState>>, headers: HeaderMap) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let id = state.member.id();
    if Accept::of(&headers).named("text/html") > 0.0 {
        Html(format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Portolan</title>\
             <h1>Portolan {version}</h1><p>Member {id}. \
             <a href=\"/readyz\">Ready?</a> <a href=\"/raft/metrics\">Raft</a> \
             <a href=\"/metrics\">Metrics</a> <a href=\"/api/v1/plugins\">Plugins</a></p></html>\n"
        ))
        .into_response()
    } else {
        format!("portolan {version}, member {id}\n").into_response()
    }
}
