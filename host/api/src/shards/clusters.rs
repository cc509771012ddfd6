//! Namespaces and clusters.

use axum::extract::State;
use axum::response::Response;
use portolan_shards::{EngineKind, NewCluster, NewNodes};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Body, NodesBody, One, Shared, as_400, created, data, done};
use crate::ApiError;
use crate::params::{Names, Params};

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
    /// Left out: what the nodes are is found out.
    #[serde(default)]
    engine: Option<EngineKind>,
}

/// `?secrets=true` shows passwords, `?status=true` asks each node how it is.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Look {
    secrets: bool,
    status: bool,
}

/// `?force=true` overwrites what a node has, whatever its version; `?adopt=true` takes over what the
/// nodes say instead.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sync {
    force: bool,
    adopt: bool,
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
        engine: body.engine,
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
    Params(Look { secrets, status }): Params<Look>,
) -> Result<Response, ApiError> {
    let view = if status {
        state
            .shards
            .cluster_now(&namespace, &cluster, secrets)
            .await?
    } else {
        state.shards.cluster(&namespace, &cluster, secrets).await?
    };
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
    Params(Sync { force, adopt }): Params<Sync>,
) -> Result<Response, ApiError> {
    let pushed = match (force, adopt) {
        (true, true) => {
            return Err(as_400(ApiError::invalid(
                "force overwrites what the nodes have, adopt takes it over: ask for one of them",
            )));
        }
        (force, false) => state.shards.sync(&namespace, &cluster, force).await?,
        (false, true) => state.shards.adopt(&namespace, &cluster).await?,
    };
    Ok(done(Some(pushed)))
}
