//! What became of the files in the plugin directory: `/api/v1/plugins`.

use std::sync::Arc;

use axum::extract::State;
use portolan_sandbox::PluginStatus;
use serde::Serialize;

use crate::json::Json;
use crate::params::Names;
use crate::{ApiError, ApiState};

#[derive(Serialize)]
pub(crate) struct List {
    plugins: Vec<PluginStatus>,
}

/// `GET /api/v1/plugins`
pub(crate) async fn list(State(state): State<Arc<ApiState>>) -> Json<List> {
    Json(List {
        plugins: state.plugins.list(),
    })
}

/// `GET /api/v1/plugins/{name}`
pub(crate) async fn one(
    State(state): State<Arc<ApiState>>,
    Names(name): Names,
) -> Result<Json<PluginStatus>, ApiError> {
    let status = state
        .plugins
        .list()
        .into_iter()
        .find(|plugin| plugin.name == name);
    status.map(Json).ok_or_else(|| {
        ApiError::not_found(format!(
            "no plugin is called {name}; GET /api/v1/plugins lists those of this member"
        ))
    })
}
