//! Services: `/api/v1/dns/services/…`.

use axum::extract::State;
use http::StatusCode;
use portolan_steering::ServiceView;
use serde::Serialize;
use serde_json::Value;

use super::{Document, Shared};
use crate::ApiError;
use crate::json::Json;
use crate::params::{Expected, Names};

#[derive(Serialize)]
pub(crate) struct Services {
    services: Vec<ServiceView>,
}

impl From<ServiceView> for Document<ServiceView> {
    fn from(view: ServiceView) -> Self {
        let revision = view.revision;
        Self(view, revision)
    }
}

/// `GET /api/v1/dns/services`
pub(crate) async fn list(State(state): Shared) -> Result<Json<Services>, ApiError> {
    let services = state.steering.services().await?;
    Ok(Json(Services { services }))
}

/// `GET /api/v1/dns/services/{name}`
pub(crate) async fn one(
    State(state): Shared,
    Names(name): Names,
) -> Result<Document<ServiceView>, ApiError> {
    Ok(state.steering.service(&name).await?.into())
}

/// `PUT /api/v1/dns/services/{name}`
pub(crate) async fn put(
    State(state): Shared,
    Names(name): Names,
    Expected(revision): Expected,
    Json(body): Json<Value>,
) -> Result<Document<ServiceView>, ApiError> {
    let view = state.steering.put_service(&name, body, revision).await?;
    Ok(view.into())
}

/// `PATCH /api/v1/dns/services/{name}`: a JSON merge patch.
pub(crate) async fn patch(
    State(state): Shared,
    Names(name): Names,
    Expected(revision): Expected,
    Json(patch): Json<Value>,
) -> Result<Document<ServiceView>, ApiError> {
    let view = state.steering.patch_service(&name, patch, revision).await?;
    Ok(view.into())
}

/// `DELETE /api/v1/dns/services/{name}`
pub(crate) async fn delete(
    State(state): Shared,
    Names(name): Names,
    Expected(revision): Expected,
) -> Result<StatusCode, ApiError> {
    state.steering.delete_service(&name, revision).await?;
    Ok(StatusCode::NO_CONTENT)
}
