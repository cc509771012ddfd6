//! What policies propose for a cluster, and carrying it out.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use portolan_shards::{Automatic, Budget, PlanView, Request, Trigger};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Body, One, Shared, data, done};
use crate::params::Names;
use crate::{ApiError, json};

/// More than any plan that a person reads.
const MAX_MOVES: u32 = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RebalanceBody {
    #[serde(default = "even_slots")]
    policy: String,
    #[serde(default = "no_settings")]
    settings: Value,
    /// Only a plan; it is applied by a request of its own.
    #[serde(default = "yes")]
    dry_run: bool,
    #[serde(default)]
    trigger: Why,
    #[serde(default = "most_moves")]
    max_moves: u32,
    #[serde(default = "all_slots")]
    max_slots: u32,
    #[serde(default)]
    max_bytes: Option<u64>,
}

fn even_slots() -> String {
    "even-slots".to_owned()
}

fn no_settings() -> Value {
    Value::Object(serde_json::Map::new())
}

fn yes() -> bool {
    true
}

fn most_moves() -> u32 {
    MAX_MOVES
}

fn all_slots() -> u32 {
    portolan_shards::SLOTS.into()
}

#[derive(Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Why {
    #[default]
    Manual,
    ScaleOut,
    Drain,
    Periodic,
    Hot,
}

impl From<Why> for Trigger {
    fn from(why: Why) -> Self {
        match why {
            Why::Manual => Self::Manual,
            Why::ScaleOut => Self::ScaleOut,
            Why::Drain => Self::Drain,
            Why::Periodic => Self::Periodic,
            Why::Hot => Self::Hot,
        }
    }
}

#[derive(Serialize)]
struct Planned {
    data: One<PlanView>,
    /// The migrations that carry it out.
    migrations: Vec<u64>,
}

fn planned(status: StatusCode, plan: PlanView) -> Response {
    let migrations = plan.moves.iter().filter_map(|step| step.planned.migration);
    let planned = Planned {
        migrations: migrations.collect(),
        data: One("plan", plan),
    };
    json::answer(status, &planned)
}

/// `POST /api/v1/namespaces/{namespace}/clusters/{cluster}/rebalance`: asks a policy for a plan.
pub(crate) async fn rebalance(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
    Body(body): Body<RebalanceBody>,
) -> Result<Response, ApiError> {
    let request = Request {
        policy: body.policy,
        settings: body.settings,
        trigger: body.trigger.into(),
        budget: Budget {
            max_moves: body.max_moves.min(MAX_MOVES),
            max_slots: body.max_slots,
            max_bytes: body.max_bytes,
        },
    };
    let plan = state
        .shards
        .rebalance(&namespace, &cluster, request, !body.dry_run)
        .await?;
    Ok(planned(StatusCode::CREATED, plan))
}

/// `GET /api/v1/namespaces/{namespace}/clusters/{cluster}/plans`
pub(crate) async fn plans(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
) -> Result<Response, ApiError> {
    let plans = state.shards.plans(&namespace, &cluster).await?;
    Ok(data(One("plans", plans)))
}

/// `GET /api/v1/namespaces/{namespace}/clusters/{cluster}/plans/{id}`
pub(crate) async fn plan(
    State(state): Shared,
    Names((namespace, cluster, id)): Names<(String, String, u64)>,
) -> Result<Response, ApiError> {
    let plan = state.shards.plan(&namespace, &cluster, id).await?;
    Ok(data(One("plan", plan)))
}

/// `POST /api/v1/namespaces/{namespace}/clusters/{cluster}/plans/{id}/apply`
pub(crate) async fn apply(
    State(state): Shared,
    Names((namespace, cluster, id)): Names<(String, String, u64)>,
) -> Result<Response, ApiError> {
    let plan = state.shards.apply_plan(&namespace, &cluster, id).await?;
    Ok(planned(StatusCode::OK, plan))
}

/// `GET /api/v1/namespaces/{namespace}/clusters/{cluster}/plans/{id}/explain`
pub(crate) async fn explain(
    State(state): Shared,
    Names((namespace, cluster, id)): Names<(String, String, u64)>,
) -> Result<Response, ApiError> {
    let explanation = state.shards.explain_plan(&namespace, &cluster, id).await?;
    Ok(data(One("explanation", explanation)))
}

/// `GET /api/v1/namespaces/{namespace}/clusters/{cluster}/automatic`: null where it is off.
pub(crate) async fn automatic(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
) -> Result<Response, ApiError> {
    let automatic = state.shards.automatic(&namespace, &cluster).await?;
    Ok(data(One("automatic", automatic)))
}

/// `PUT /api/v1/namespaces/{namespace}/clusters/{cluster}/automatic`
pub(crate) async fn put_automatic(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
    Body(automatic): Body<Automatic>,
) -> Result<Response, ApiError> {
    state
        .shards
        .set_automatic(&namespace, &cluster, Some(automatic.clone()))
        .await?;
    Ok(data(One("automatic", automatic)))
}

/// `DELETE /api/v1/namespaces/{namespace}/clusters/{cluster}/automatic`
pub(crate) async fn delete_automatic(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
) -> Result<Response, ApiError> {
    state
        .shards
        .set_automatic(&namespace, &cluster, None)
        .await?;
    Ok(done(None))
}
