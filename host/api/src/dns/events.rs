//! What happened to sites and lines: as a list, or as it happens.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use portolan_steering::SteeringEvent;
use serde::Serialize;

use super::Shared;
use crate::ApiError;
use crate::json::Json;
use crate::params::Params;
use crate::sse::{self, Follow};

#[derive(Serialize)]
struct Events {
    events: Vec<SteeringEvent>,
}

/// `GET /api/v1/dns/events`; with `?watch=true` as server-sent events, beginning after the one that
/// `Last-Event-ID` names, or with the oldest that is kept.
pub(crate) async fn events(
    State(state): Shared,
    Params(Follow { watch }): Params<Follow>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if !watch {
        let events = state.steering.events().await?;
        return Ok(Json(Events { events }).into_response());
    }
    let after = sse::last_event(&headers);
    let events = state.steering.follow_events(after).await?;
    Ok(sse::stream(events))
}
