//! Sharded clusters: the contract's `/api/v1/namespaces/…`. Success is `{"data":…}`, failure
//! `{"error":{"message",…}}`; where nodes were told something, `pushed` says who has heard.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::response::Response;
use http::StatusCode;
use portolan_shards::{
    EngineKind, JobAction, NewCluster, NewNodes, NodeId, Push, Role, parse_ranges,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::json::{self, Json};
use crate::params::{Names, Params};
use crate::{ApiError, ApiState};

type Shared = State<Arc<ApiState>>;

/// Larger than any request for a failover.
const FAILOVER_LIMIT: usize = 64 << 10;

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
pub(crate) struct NamespaceBody {
    namespace: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterBody {
    name: String,
    nodes: Vec<String>,
    #[serde(default)]
    replicas: usize,
    #[serde(default)]
    password: Zeroizing<String>,
    /// The only one there is; given or not.
    #[serde(default, rename = "engine")]
    _engine: Option<EngineKind>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeBody {
    addr: String,
    #[serde(default = "slave")]
    role: Role,
    #[serde(default)]
    password: Zeroizing<String>,
}

fn slave() -> Role {
    Role::Slave
}

/// `?secrets=true` shows passwords.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Reveal {
    secrets: bool,
}

/// `?force=true` overwrites what a node has, whatever its version.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Force {
    force: bool,
}

/// `POST /api/v1/namespaces`
pub(crate) async fn create_namespace(
    State(state): Shared,
    Body(body): Body<NamespaceBody>,
) -> Result<Response, ApiError> {
    state.shards.create_namespace(&body.namespace).await?;
    Ok(created(None))
}

/// `GET /api/v1/namespaces`
pub(crate) async fn namespaces(State(state): Shared) -> Result<Response, ApiError> {
    let namespaces = state.shards.namespaces().await?;
    Ok(data(One("namespaces", namespaces)))
}

/// `DELETE /api/v1/namespaces/{namespace}`
pub(crate) async fn delete_namespace(
    State(state): Shared,
    Names(namespace): Names,
) -> Result<Response, ApiError> {
    state.shards.delete_namespace(&namespace).await?;
    Ok(done(None))
}

/// `POST /api/v1/namespaces/{namespace}/clusters`
pub(crate) async fn create_cluster(
    State(state): Shared,
    Names(namespace): Names,
    Body(body): Body<ClusterBody>,
) -> Result<Response, ApiError> {
    let wanted = NewCluster {
        name: body.name,
        nodes: NewNodes {
            nodes: body.nodes,
            password: body.password,
        },
        replicas: body.replicas,
    };
    let pushed = state.shards.create_cluster(&namespace, wanted).await?;
    Ok(created(Some(pushed)))
}

/// `GET /api/v1/namespaces/{namespace}/clusters`
pub(crate) async fn clusters(
    State(state): Shared,
    Names(namespace): Names,
) -> Result<Response, ApiError> {
    let clusters = state.shards.clusters(&namespace).await?;
    Ok(data(One("clusters", clusters)))
}

/// `POST /api/v1/namespaces/{namespace}/clusters/{cluster}/import`
pub(crate) async fn import_cluster(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
    Body(body): Body<NodesBody>,
) -> Result<Response, ApiError> {
    state
        .shards
        .import_cluster(&namespace, &cluster, body.into())
        .await?;
    Ok(created(None))
}

/// `GET /api/v1/namespaces/{namespace}/clusters/{cluster}`
pub(crate) async fn cluster(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
    Params(Reveal { secrets }): Params<Reveal>,
) -> Result<Response, ApiError> {
    let view = state.shards.cluster(&namespace, &cluster, secrets).await?;
    Ok(data(One("cluster", view)))
}

/// `DELETE /api/v1/namespaces/{namespace}/clusters/{cluster}`
pub(crate) async fn delete_cluster(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
) -> Result<Response, ApiError> {
    state.shards.delete_cluster(&namespace, &cluster).await?;
    Ok(done(None))
}

/// `POST /api/v1/namespaces/{namespace}/clusters/{cluster}/sync`
pub(crate) async fn sync(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
    Params(Force { force }): Params<Force>,
) -> Result<Response, ApiError> {
    let pushed = state.shards.sync(&namespace, &cluster, force).await?;
    Ok(done(Some(pushed)))
}

/// `POST /api/v1/namespaces/{namespace}/clusters/{cluster}/shards`
pub(crate) async fn create_shard(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
    Body(body): Body<NodesBody>,
) -> Result<Response, ApiError> {
    let pushed = state
        .shards
        .create_shard(&namespace, &cluster, body.into())
        .await?;
    Ok(created(Some(pushed)))
}

/// `GET /api/v1/namespaces/{namespace}/clusters/{cluster}/shards`
pub(crate) async fn shards(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
    Params(Reveal { secrets }): Params<Reveal>,
) -> Result<Response, ApiError> {
    let view = state.shards.cluster(&namespace, &cluster, secrets).await?;
    Ok(data(One("shards", view.shards)))
}

/// `GET /api/v1/namespaces/{namespace}/clusters/{cluster}/shards/{shard}`
pub(crate) async fn shard(
    State(state): Shared,
    Names((namespace, cluster, shard)): Names<(String, String, usize)>,
    Params(Reveal { secrets }): Params<Reveal>,
) -> Result<Response, ApiError> {
    let view = state
        .shards
        .shard(&namespace, &cluster, shard, secrets)
        .await?;
    Ok(data(One("shard", view)))
}

/// `DELETE /api/v1/namespaces/{namespace}/clusters/{cluster}/shards/{shard}`
pub(crate) async fn delete_shard(
    State(state): Shared,
    Names((namespace, cluster, shard)): Names<(String, String, usize)>,
) -> Result<Response, ApiError> {
    let pushed = state
        .shards
        .delete_shard(&namespace, &cluster, shard)
        .await?;
    Ok(done(Some(pushed)))
}

/// `POST /api/v1/namespaces/{namespace}/clusters/{cluster}/shards/{shard}/nodes`
pub(crate) async fn create_node(
    State(state): Shared,
    Names((namespace, cluster, shard)): Names<(String, String, usize)>,
    Body(body): Body<NodeBody>,
) -> Result<Response, ApiError> {
    let node = NewNodes {
        nodes: vec![body.addr],
        password: body.password,
    };
    let pushed = state
        .shards
        .create_node(&namespace, &cluster, shard, node, body.role)
        .await?;
    Ok(created(Some(pushed)))
}

/// `GET /api/v1/namespaces/{namespace}/clusters/{cluster}/shards/{shard}/nodes`
pub(crate) async fn nodes(
    State(state): Shared,
    Names((namespace, cluster, shard)): Names<(String, String, usize)>,
    Params(Reveal { secrets }): Params<Reveal>,
) -> Result<Response, ApiError> {
    let nodes = state
        .shards
        .nodes(&namespace, &cluster, shard, secrets)
        .await?;
    Ok(data(One("nodes", nodes)))
}

/// `DELETE /api/v1/namespaces/{namespace}/clusters/{cluster}/shards/{shard}/nodes/{id}`
pub(crate) async fn delete_node(
    State(state): Shared,
    Names((namespace, cluster, shard, id)): Names<(String, String, usize, String)>,
) -> Result<Response, ApiError> {
    let pushed = state
        .shards
        .delete_node(&namespace, &cluster, shard, &id)
        .await?;
    Ok(done(Some(pushed)))
}

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

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FailoverBody {
    /// Empty for the replica whose data goes furthest.
    preferred_node_id: String,
    force: bool,
}

#[derive(Serialize)]
struct NewMaster {
    new_master_id: NodeId,
}

/// `POST /api/v1/namespaces/{namespace}/clusters/{cluster}/shards/{shard}/failover`; the body may be
/// left out.
pub(crate) async fn failover(
    State(state): Shared,
    Names((namespace, cluster, shard)): Names<(String, String, usize)>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = json::read(request, FAILOVER_LIMIT).await?;
    let body = if bytes.is_empty() {
        FailoverBody::default()
    } else {
        json::parse(&bytes, "").map_err(as_400)?
    };
    let preferred = Some(body.preferred_node_id.as_str()).filter(|id| !id.is_empty());
    let (new_master_id, pushed) = state
        .shards
        .fail_over(&namespace, &cluster, shard, preferred, body.force)
        .await?;
    let data = NewMaster { new_master_id };
    Ok(reply(StatusCode::OK, data, Some(pushed)))
}

/// `GET /api/v1/namespaces/{namespace}/clusters/{cluster}/events`
pub(crate) async fn events(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
) -> Result<Response, ApiError> {
    let events = state.shards.events(&namespace, &cluster).await?;
    Ok(data(One("events", events)))
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
