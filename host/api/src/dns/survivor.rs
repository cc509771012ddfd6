//! Survivor mode: `/api/v1/dns/survivor`.

use axum::extract::State;
use portolan_steering::SurvivorView;
use serde::Serialize;

use super::Shared;
use crate::json::Json;

#[derive(Serialize)]
pub(crate) struct Zones {
    zones: Vec<SurvivorView>,
}

/// `GET /api/v1/dns/survivor`: as the answering member itself finds it, with or without a quorum.
pub(crate) async fn list(State(state): Shared) -> Json<Zones> {
    Json(Zones {
        zones: state.steering.survivor_views(),
    })
}
