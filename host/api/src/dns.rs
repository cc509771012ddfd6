//! DNS steering: `/api/v1/dns/…`. Bodies go to the steering crate as they are; it knows what they
//! mean and where they are wrong.

pub(crate) mod events;
pub(crate) mod services;
pub(crate) mod sites;
pub(crate) mod survivor;
pub(crate) mod webhooks;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portolan_consensus::Revision;
use portolan_steering::{
    BindingView, HistoryEntry, PlanView, RecordsView, ZoneChange, ZoneStatus, ZoneView,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::Json;
use crate::params::{Expected, Names, Params, set_etag};
use crate::{ApiError, ApiState};

type Shared = State<Arc<ApiState>>;

/// `?force=true` lets go of zones that still have records.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Force {
    force: bool,
}

/// `?allow_empty=true` lets a zone be emptied of all that is ours.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AllowEmpty {
    allow_empty: bool,
}

/// `?zone=example.com` asks for one zone.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OneZone {
    zone: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct ProviderList {
    providers: Vec<BindingView>,
}

#[derive(Serialize)]
pub(crate) struct Plans {
    zones: Vec<PlanView>,
}

#[derive(Serialize)]
pub(crate) struct Statuses {
    zones: Vec<ZoneStatus>,
}

#[derive(Serialize)]
pub(crate) struct Changes {
    changes: Vec<HistoryEntry>,
}

#[derive(Serialize)]
pub(crate) struct Zones {
    zones: Vec<ZoneView>,
}

#[derive(Serialize)]
pub(crate) struct AllChanges {
    changes: Vec<ZoneChange>,
}

/// A document and its revision, which becomes the answer's `ETag`.
pub(crate) struct Document<T>(T, Revision);

impl<T: Serialize> IntoResponse for Document<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.0).into_response();
        set_etag(response.headers_mut(), self.1);
        response
    }
}

impl From<BindingView> for Document<BindingView> {
    fn from(view: BindingView) -> Self {
        let revision = view.revision;
        Self(view, revision)
    }
}

impl From<RecordsView> for Document<RecordsView> {
    fn from(view: RecordsView) -> Self {
        let revision = view.revision;
        Self(view, revision)
    }
}

/// `GET /api/v1/dns/providers`
pub(crate) async fn providers(State(state): Shared) -> Result<Json<ProviderList>, ApiError> {
    Ok(Json(ProviderList {
        providers: state.steering.bindings().await?,
    }))
}

/// `GET /api/v1/dns/providers/{name}`
pub(crate) async fn provider(
    State(state): Shared,
    Names(name): Names,
) -> Result<Document<BindingView>, ApiError> {
    Ok(state.steering.binding(&name).await?.into())
}

/// `PUT /api/v1/dns/providers/{name}`
pub(crate) async fn put_provider(
    State(state): Shared,
    Names(name): Names,
    Params(Force { force }): Params<Force>,
    Expected(revision): Expected,
    Json(body): Json<Value>,
) -> Result<Document<BindingView>, ApiError> {
    Ok(state
        .steering
        .put_binding(&name, body, revision, force)
        .await?
        .into())
}

/// `PATCH /api/v1/dns/providers/{name}`: a JSON merge patch.
pub(crate) async fn patch_provider(
    State(state): Shared,
    Names(name): Names,
    Params(Force { force }): Params<Force>,
    Expected(revision): Expected,
    Json(patch): Json<Value>,
) -> Result<Document<BindingView>, ApiError> {
    Ok(state
        .steering
        .patch_binding(&name, patch, revision, force)
        .await?
        .into())
}

/// `DELETE /api/v1/dns/providers/{name}`
pub(crate) async fn delete_provider(
    State(state): Shared,
    Names(name): Names,
    Params(Force { force }): Params<Force>,
    Expected(revision): Expected,
) -> Result<StatusCode, ApiError> {
    state
        .steering
        .delete_binding(&name, revision, force)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/dns/zones/{zone}/records`
pub(crate) async fn records(
    State(state): Shared,
    Names(zone): Names,
) -> Result<Document<RecordsView>, ApiError> {
    Ok(state.steering.records(&zone).await?.into())
}

/// `PUT /api/v1/dns/zones/{zone}/records`
pub(crate) async fn put_records(
    State(state): Shared,
    Names(zone): Names,
    Params(AllowEmpty { allow_empty }): Params<AllowEmpty>,
    Expected(revision): Expected,
    Json(body): Json<Value>,
) -> Result<Document<RecordsView>, ApiError> {
    Ok(state
        .steering
        .put_records(&zone, body, revision, allow_empty)
        .await?
        .into())
}

/// `GET /api/v1/dns/zones/{zone}/history`
pub(crate) async fn history(
    State(state): Shared,
    Names(zone): Names,
) -> Result<Json<Changes>, ApiError> {
    Ok(Json(Changes {
        changes: state.steering.history(&zone).await?,
    }))
}

/// `GET /api/v1/dns/zones`
pub(crate) async fn zones(State(state): Shared) -> Result<Json<Zones>, ApiError> {
    let zones = state.steering.zones().await?;
    Ok(Json(Zones { zones }))
}

/// `GET /api/v1/dns/history`: the last changes in all zones.
pub(crate) async fn histories(State(state): Shared) -> Result<Json<AllChanges>, ApiError> {
    let changes = state.steering.histories().await?;
    Ok(Json(AllChanges { changes }))
}

/// `POST /api/v1/dns/apply`: what the plan says, now, whatever was waited for. The answer is the plan.
pub(crate) async fn apply(
    State(state): Shared,
    Params(OneZone { zone }): Params<OneZone>,
) -> Result<(StatusCode, Json<Plans>), ApiError> {
    let zones = state.steering.apply(zone.as_deref()).await?;
    Ok((StatusCode::ACCEPTED, Json(Plans { zones })))
}

/// `GET /api/v1/dns/plan`: what would be done now. Changes nothing.
pub(crate) async fn plan(
    State(state): Shared,
    Params(OneZone { zone }): Params<OneZone>,
) -> Result<Json<Plans>, ApiError> {
    Ok(Json(Plans {
        zones: state.steering.plan(zone.as_deref()).await?,
    }))
}

/// `GET /api/v1/dns/status`
pub(crate) async fn status(State(state): Shared) -> Result<Json<Statuses>, ApiError> {
    Ok(Json(Statuses {
        zones: state.steering.status().await?,
    }))
}
