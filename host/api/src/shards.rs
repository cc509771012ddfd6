//! Sharded clusters: the contract's `/api/v1/namespaces/…`. Success is `{"data":…}`, failure
//! `{"error":{"message",…}}`; where nodes were told something, `pushed` says who has heard.

mod clusters;
mod events;
mod members;
mod migrations;
mod plans;
mod settings;

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::response::Response;
use http::StatusCode;
use portolan_shards::{NewNodes, Push};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

pub(crate) use clusters::{
    cluster, clusters, create_cluster, create_namespace, delete_cluster, delete_namespace,
    import_cluster, namespaces, sync,
};
pub(crate) use events::events;
pub(crate) use members::{
    change_node, create_node, create_shard, delete_node, delete_shard, failover, nodes, shard,
    shards,
};
pub(crate) use migrations::{change_migration, migrate, migrations};
pub(crate) use plans::{
    apply, automatic, delete_automatic, explain, plan, plans, put_automatic, rebalance,
};
pub(crate) use settings::{change_shard, put_password, put_settings, settings};

use crate::json::{self, Json};
use crate::{ApiError, ApiState};

type Shared = State<Arc<ApiState>>;

/// A request's body. What is not as it should be is 400 here, as this contract has it.
pub(crate) struct Body<T>(T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(error) => Err(as_400(error)),
        }
    }
}

fn as_400(mut error: ApiError) -> ApiError {
    if error.status == StatusCode::UNPROCESSABLE_ENTITY {
        error.status = StatusCode::BAD_REQUEST;
    }
    error
}

#[derive(Serialize)]
struct Envelope<T> {
    data: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed: Option<Push>,
}

/// `{"<name>": …}`: what the contract wraps a thing or a list in.
struct One<T>(&'static str, T);

impl<T: Serialize> Serialize for One<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, &self.1)])
    }
}

/// `{"data":…}`, 200.
pub(crate) fn data(data: impl Serialize) -> Response {
    reply(StatusCode::OK, data, None)
}

fn created(pushed: Option<Push>) -> Response {
    reply(StatusCode::CREATED, "created", pushed)
}

fn done(pushed: Option<Push>) -> Response {
    reply(StatusCode::OK, "ok", pushed)
}

fn reply(status: StatusCode, data: impl Serialize, pushed: Option<Push>) -> Response {
    json::answer(status, &Envelope { data, pushed })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodesBody {
    nodes: Vec<String>,
    #[serde(default)]
    password: Zeroizing<String>,
}

impl From<NodesBody> for NewNodes {
    fn from(NodesBody { nodes, password }: NodesBody) -> Self {
        Self { nodes, password }
    }
}

/// `?secrets=true` shows passwords.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Reveal {
    secrets: bool,
}

/// `GET /api/v1/controller/leader`: where the member that leads is reached.
pub(crate) async fn leader(State(state): Shared) -> Result<Response, ApiError> {
    match state.member.leader_address() {
        Some(address) => Ok(data(address)),
        None => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_leader",
            "no leader is known: an election is under way, or no majority of members is reachable",
        )),
    }
}
