//! `GET /raft/peer`: where another member's connection leaves HTTP for the peers' protocol.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use hyper_util::rt::TokioIo;
use portolan_consensus::PEER_PROTOCOL;

use crate::{ApiError, ApiState};

/// Answers 101 and hands the connection to the member, which serves it until either side ends it.
pub(crate) async fn upgrade(State(state): State<Arc<ApiState>>, mut request: Request) -> Response {
    let asked = request.headers().get(header::UPGRADE);
    if asked.is_none_or(|protocol| protocol.as_bytes() != PEER_PROTOCOL.as_bytes()) {
        return switching_to_peer(
            ApiError::new(
                StatusCode::UPGRADE_REQUIRED,
                "upgrade_required",
                format!(
                    "this is where members meet; a client of another kind, or a member of another \
                     version, has no business here (Upgrade: {PEER_PROTOCOL} is expected)"
                ),
            )
            .into_response(),
        );
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(connection) => state.member.serve_peer(TokioIo::new(connection)).await,
            Err(error) => tracing::debug!(%error, "a peer's connection ended before its upgrade"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    switching_to_peer(response)
}

fn switching_to_peer(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(PEER_PROTOCOL));
    response
}
