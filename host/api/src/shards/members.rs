//! The shards and nodes of a cluster, and which node of a shard is its master.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use portolan_shards::{NewNodes, NodeId, Role};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Body, NodesBody, One, Reveal, Shared, as_400, created, data, done, reply};
use crate::params::{Names, Params};
use crate::{ApiError, json};

/// Larger than any request for a failover.
const FAILOVER_LIMIT: usize = 64 << 10;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddressBody {
    addr: String,
}

/// `PATCH /api/v1/namespaces/{namespace}/clusters/{cluster}/nodes/{id}`: where it is reached now.
pub(crate) async fn change_node(
    State(state): Shared,
    Names((namespace, cluster, id)): Names<(String, String, String)>,
    Body(body): Body<AddressBody>,
) -> Result<Response, ApiError> {
    let pushed = state
        .shards
        .readdress_node(&namespace, &cluster, &id, &body.addr)
        .await?;
    Ok(done(Some(pushed)))
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
