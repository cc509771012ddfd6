//! The facade: what the API sees of sharded clusters.

mod clusters;
mod failover;
mod fitness;
mod history;
mod members;
mod migrations;
mod namespaces;
mod plans;
mod push;
mod settings;

use std::sync::Arc;

use portolan_consensus::documents::{Documents, Stored};
use portolan_consensus::{Consistency, Member, Space};
use prometheus::Registry;

pub use clusters::{NewCluster, NewNodes};
pub use migrations::JobAction;
pub use push::Push;

use crate::engine::Engines;
use crate::error::ShardsError;
use crate::keys;
use crate::meter::Meter;
use crate::model::Cluster;
use crate::names::Name;
use crate::options::ShardsOptions;
use crate::policy::Policies;
use crate::secrets::Secrets;

/// A namespace and a cluster in it.
pub(crate) type Place = (Name, Name);

/// Sharded clusters, on this member. All of its knowledge is in the store.
pub struct Shards {
    pub(crate) member: Member,
    pub(crate) documents: Documents,
    pub(crate) secrets: Secrets,
    pub(crate) engines: Engines,
    pub(crate) policies: Arc<dyn Policies>,
    pub(crate) options: ShardsOptions,
    pub(crate) meter: Meter,
}

impl Shards {
    /// Sharded clusters on top of a member, their nodes reached through `engines`, plans made
    /// by `policies`.
    /// [`Shards::run`] makes them work; without it, everything can be asked and changed by hand.
    ///
    /// # Errors
    /// When `registry` has such metrics already.
    pub fn new(
        member: Member,
        engines: Engines,
        policies: Arc<dyn Policies>,
        options: ShardsOptions,
        registry: &Registry,
    ) -> Result<Arc<Self>, prometheus::Error> {
        Ok(Arc::new(Self {
            meter: Meter::new(registry)?,
            documents: Documents::new(member.clone(), Space::Shards),
            secrets: Secrets::new(member.clone()),
            member,
            engines,
            policies,
            options,
        }))
    }

    async fn load(&self, namespace: &Name, cluster: &Name) -> Result<Stored<Cluster>, ShardsError> {
        self.documents
            .load(
                &keys::cluster(namespace, cluster),
                Consistency::Linearizable,
            )
            .await?
            .ok_or_else(|| {
                ShardsError::NotFound(format!("cluster {cluster} in namespace {namespace}"))
            })
    }
}

fn parse_name(text: &str, what: &str) -> Result<Name, ShardsError> {
    text.parse().map_err(ShardsError::bad_name(what))
}
