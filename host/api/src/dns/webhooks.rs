//! Webhooks: `/api/v1/dns/webhooks/…`.

use axum::extract::State;
use http::StatusCode;
use portolan_steering::WebhookView;
use serde::Serialize;
use serde_json::Value;

use super::{Document, Shared};
use crate::ApiError;
use crate::json::Json;
use crate::params::{Expected, Names};

#[derive(Serialize)]
pub(crate) struct Webhooks {
    webhooks: Vec<WebhookView>,
}

/// `GET /api/v1/dns/webhooks`
pub(crate) async fn list(State(state): Shared) -> Result<Json<Webhooks>, ApiError> {
    let webhooks = state.steering.webhooks().await?;
    Ok(Json(Webhooks { webhooks }))
}

/// `GET /api/v1/dns/webhooks/{name}`
pub(crate) async fn one(
    State(state): Shared,
    Names(name): Names,
) -> Result<Document<WebhookView>, ApiError> {
    let (view, revision) = state.steering.webhook(&name).await?;
    Ok(Document(view, revision))
}

/// `PUT /api/v1/dns/webhooks/{name}`
pub(crate) async fn put(
    State(state): Shared,
    Names(name): Names,
    Expected(revision): Expected,
    Json(body): Json<Value>,
) -> Result<Document<WebhookView>, ApiError> {
    let (view, revision) = state.steering.put_webhook(&name, body, revision).await?;
    Ok(Document(view, revision))
}

/// `DELETE /api/v1/dns/webhooks/{name}`
pub(crate) async fn delete(
    State(state): Shared,
    Names(name): Names,
    Expected(revision): Expected,
) -> Result<StatusCode, ApiError> {
    state.steering.delete_webhook(&name, revision).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/dns/webhooks/{name}/test`: tells it that this is a test; an error says what its service
/// said.
pub(crate) async fn test(State(state): Shared, Names(name): Names) -> Result<StatusCode, ApiError> {
    state.steering.test_webhook(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
