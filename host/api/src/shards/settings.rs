//! What an operator says of a cluster and of its shards.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use portolan_shards::{ClusterSettings, ShardsOptions};
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroizing;

use super::{Body, One, Shared, data, done};
use crate::ApiError;
use crate::params::Names;

#[derive(Serialize)]
struct Settings {
    settings: ClusterSettings,
    /// With the daemon's options for what the cluster leaves open.
    effective: ShardsOptions,
}

/// `GET /api/v1/namespaces/{namespace}/clusters/{cluster}/settings`
pub(crate) async fn settings(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
) -> Result<Response, ApiError> {
    let (settings, effective) = state.shards.settings(&namespace, &cluster).await?;
    Ok(data(Settings {
        settings,
        effective,
    }))
}

/// `PUT /api/v1/namespaces/{namespace}/clusters/{cluster}/settings`: what is left out is as in the
/// daemon's options.
pub(crate) async fn put_settings(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
    Body(settings): Body<ClusterSettings>,
) -> Result<Response, ApiError> {
    let effective = state
        .shards
        .set_settings(&namespace, &cluster, settings.clone())
        .await?;
    Ok(data(Settings {
        settings,
        effective,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordBody {
    password: Zeroizing<String>,
}

/// `PUT /api/v1/namespaces/{namespace}/clusters/{cluster}/password`: the nodes have another one now.
pub(crate) async fn put_password(
    State(state): Shared,
    Names((namespace, cluster)): Names<(String, String)>,
    Body(body): Body<PasswordBody>,
) -> Result<Response, ApiError> {
    state
        .shards
        .set_password(&namespace, &cluster, &body.password)
        .await?;
    Ok(done(None))
}

/// What is left out stays as it is; `"zone": null` takes the zone away.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
pub(crate) struct TraitsBody {
    weight: Option<u32>,
    #[serde(deserialize_with = "given")]
    zone: Option<Option<String>>,
    labels: Option<BTreeMap<String, String>>,
    draining: Option<bool>,
}

/// Tells null from nothing.
fn given<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// `PATCH /api/v1/namespaces/{namespace}/clusters/{cluster}/shards/{shard}`
pub(crate) async fn change_shard(
    State(state): Shared,
    Names((namespace, cluster, shard)): Names<(String, String, usize)>,
    Body(body): Body<TraitsBody>,
) -> Result<Response, ApiError> {
    let traits = state
        .shards
        .change_traits(&namespace, &cluster, shard, |traits| {
            if let Some(weight) = body.weight {
                traits.weight = weight;
            }
            if let Some(zone) = &body.zone {
                traits.zone.clone_from(zone);
            }
            if let Some(labels) = &body.labels {
                traits.labels.clone_from(labels);
            }
            if let Some(draining) = body.draining {
                traits.draining = draining;
            }
        })
        .await?;
    Ok(data(One("shard", traits)))
}
