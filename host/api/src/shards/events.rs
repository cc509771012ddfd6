//! What happened to a cluster: as a list, or as it happens.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use http::HeaderMap;
use serde::Deserialize;

use super::{One, Shared, data};
use crate::ApiError;
use crate::params::{Names, Params};

/// Proxies close connections on which nothing happens for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `?watch=true` stays and tells each event as it happens.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Follow {
    watch: bool,
}

/// `GET /api/v1/namespaces/{namespace}/clusters/{cluster}/events`; with `?watch=true` as server-sent
/// events, beginning after the one that `Last-Event-ID` names, or with the oldest that is kept.
pub(crate) async fn events(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
    Params(Follow { watch }): Params<Follow>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if !watch {
        let events = state.shards.events(&namespace, &cluster).await?;
        return Ok(data(One("events", events)));
    }
    let last = headers.get("last-event-id");
    let last = last.and_then(|id| id.to_str().ok()?.parse().ok());
    let events = state
        .shards
        .follow_events(&namespace, &cluster, last)
        .await?;
    let events = events.map(|event| {
        let kind = event.kind.to_string();
        let sent = sse::Event::default()
            .id(event.number.to_string())
            .event(kind);
        Ok::<_, Infallible>(sent.json_data(&event).unwrap_or_default())
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}
