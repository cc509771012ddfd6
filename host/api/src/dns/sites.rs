//! Sites: `/api/v1/dns/sites/…`.

use axum::extract::State;
use http::StatusCode;
use portolan_steering::{SiteOrder, SiteView};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Document, Shared};
use crate::ApiError;
use crate::json::Json;
use crate::params::{Expected, Names, Params};

#[derive(Serialize)]
pub(crate) struct Sites {
    sites: Vec<SiteView>,
}

impl From<SiteView> for Document<SiteView> {
    fn from(view: SiteView) -> Self {
        let revision = view.revision;
        Self(view, revision)
    }
}

/// `GET /api/v1/dns/sites`
pub(crate) async fn list(State(state): Shared) -> Result<Json<Sites>, ApiError> {
    let sites = state.steering.sites().await?;
    Ok(Json(Sites { sites }))
}

/// `GET /api/v1/dns/sites/{code}`
pub(crate) async fn one(
    State(state): Shared,
    Names(code): Names,
) -> Result<Document<SiteView>, ApiError> {
    Ok(state.steering.site(&code).await?.into())
}

/// `PUT /api/v1/dns/sites/{code}`
pub(crate) async fn put(
    State(state): Shared,
    Names(code): Names,
    Expected(revision): Expected,
    Json(body): Json<Value>,
) -> Result<Document<SiteView>, ApiError> {
    let view = state.steering.put_site(&code, body, revision).await?;
    Ok(view.into())
}

/// `PATCH /api/v1/dns/sites/{code}`: a JSON merge patch.
pub(crate) async fn patch(
    State(state): Shared,
    Names(code): Names,
    Expected(revision): Expected,
    Json(patch): Json<Value>,
) -> Result<Document<SiteView>, ApiError> {
    let view = state.steering.patch_site(&code, patch, revision).await?;
    Ok(view.into())
}

/// `DELETE /api/v1/dns/sites/{code}`
pub(crate) async fn delete(
    State(state): Shared,
    Names(code): Names,
    Expected(revision): Expected,
) -> Result<StatusCode, ApiError> {
    state.steering.delete_site(&code, revision).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `?to=up` or `?to=down` says which way a site is forced.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Forced {
    #[serde(default)]
    to: Way,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    #[default]
    Up,
    Down,
}

/// `POST /api/v1/dns/sites/{code}/drain`: its lines go to other sites, as far as there are any.
pub(crate) async fn drain(
    State(state): Shared,
    Names(code): Names,
) -> Result<Document<SiteView>, ApiError> {
    let view = state.steering.order_site(&code, SiteOrder::Drain).await?;
    Ok(view.into())
}

/// `POST /api/v1/dns/sites/{code}/resume`: its health decides again.
pub(crate) async fn resume(
    State(state): Shared,
    Names(code): Names,
) -> Result<Document<SiteView>, ApiError> {
    let view = state.steering.order_site(&code, SiteOrder::Resume).await?;
    Ok(view.into())
}

/// `POST /api/v1/dns/sites/{code}/force?to=up|down`: it is up, or down, whatever its checks say.
pub(crate) async fn force(
    State(state): Shared,
    Names(code): Names,
    Params(Forced { to }): Params<Forced>,
) -> Result<Document<SiteView>, ApiError> {
    let up = matches!(to, Way::Up);
    let order = SiteOrder::Force { up };
    Ok(state.steering.order_site(&code, order).await?.into())
}
