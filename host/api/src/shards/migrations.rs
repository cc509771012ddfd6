//! Slots from one shard to another.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use portolan_shards::{JobAction, parse_ranges};
use serde::{Deserialize, Serialize};

use super::{Body, One, Shared, as_400, data};
use crate::params::Names;
use crate::{ApiError, json};

/// `"slot"`: 123, "123", "1-9" or "1-9,12". `"slot_only"`: a bool or its text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MigrateBody {
    target: usize,
    slot: NumberOrText,
    #[serde(default)]
    slot_only: BoolOrText,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a slot from 0 to 16383, or ranges as text: \"1-9,12\""
)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "true, false, \"true\" or \"false\"")]
enum BoolOrText {
    Bool(bool),
    Text(Truth),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Truth {
    True,
    False,
}

impl Default for BoolOrText {
    fn default() -> Self {
        Self::Bool(false)
    }
}

/// `POST /api/v1/namespaces/{namespace}/clusters/{cluster}/migrate`
pub(crate) async fn migrate(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
    Body(body): Body<MigrateBody>,
) -> Result<Response, ApiError> {
    let text = match body.slot {
        NumberOrText::Number(slot) => slot.to_string(),
        NumberOrText::Text(text) => text,
    };
    let ranges = parse_ranges(&text)
        .map_err(|error| as_400(ApiError::invalid(error.to_string()).at("slot")))?;
    let slot_only = matches!(
        body.slot_only,
        BoolOrText::Bool(true) | BoolOrText::Text(Truth::True)
    );
    let migrations = state
        .shards
        .migrate_slots(&namespace, &cluster, &ranges, body.target, slot_only)
        .await?;
    #[derive(Serialize)]
    struct Queued {
        data: &'static str,
        migrations: Vec<u64>,
    }
    let queued = Queued {
        data: "ok",
        migrations,
    };
    Ok(json::answer(StatusCode::OK, &queued))
}

/// `GET /api/v1/namespaces/{namespace}/clusters/{cluster}/migrations`
pub(crate) async fn migrations(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
) -> Result<Response, ApiError> {
    let jobs = state.shards.migrations(&namespace, &cluster).await?;
    Ok(data(One("migrations", jobs)))
}

/// `POST /api/v1/namespaces/{namespace}/clusters/{cluster}/migrations/{id}/{action}`
pub(crate) async fn change_migration(
    State(state): Shared,
    Names((namespace, cluster, id, action)): Names<(String, String, u64, String)>,
) -> Result<Response, ApiError> {
    let action = match action.as_str() {
        "cancel" => JobAction::Cancel,
        "pause" => JobAction::Pause,
        "resume" => JobAction::Resume,
        other => {
            return Err(ApiError::not_found(format!(
                "a migration can be cancelled, paused and resumed: write cancel, pause or resume, not \
                 {other:?}"
            )));
        }
    };
    let job = state
        .shards
        .change_migration(&namespace, &cluster, id, action)
        .await?;
    Ok(data(One("migration", job)))
}
