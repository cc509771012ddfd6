//! What happened to a cluster: as a list, or as it happens.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use super::{One, Shared, data};
use crate::ApiError;
use crate::params::{Names, Params};
use crate::sse::{self, Follow};

/// `GET /api/v1/namespaces/{namespace}/clusters/{cluster}/events`; with `?watch=true` as server-sent
/// events, beginning after the one that `Last-Event-ID` names, or with the oldest that is kept.
pub(crate) async fn events(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
    Params(Follow { watch }): Params<Follow>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let shards = &state.shards;
    if !watch {
        let events = shards.events(&namespace, &cluster).await?;
        return Ok(data(One("events", events)));
    }
    let after = sse::last_event(&headers);
    let events = shards.follow_events(&namespace, &cluster, after).await?;
    Ok(sse::stream(events))
}
