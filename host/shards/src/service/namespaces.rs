//! Namespaces.

use portolan_consensus::documents::{LostRace, Stored, encode, until_settled};
use portolan_consensus::{Consistency, Revision, Space, Txn};

use super::{Shards, parse_name};
use crate::error::ShardsError;
use crate::keys;
use crate::model::Namespace;
use crate::names::Name;

impl Shards {
    /// Makes a namespace.
    ///
    /// # Errors
    /// [`ShardsError::Exists`], or an invalid name.
    pub async fn create_namespace(&self, name: &str) -> Result<(), ShardsError> {
        let name = parse_name(name, "namespace")?;
        let key = keys::namespace(&name);
        if self.find_namespace(&name).await?.is_some() {
            return Err(ShardsError::Exists(format!("namespace {name}")));
        }
        let txn = Txn::new()
            .guard(Space::Shards, key.as_str(), Revision::ZERO)
            .put(Space::Shards, key, encode(&Namespace::default()));
        match self.documents.commit(txn).await {
            Err(error) if error.is_lost_race() => {
                Err(ShardsError::Exists(format!("namespace {name}")))
            }
            result => Ok(result.map(drop)?),
        }
    }

    /// The namespaces' names, in order.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn namespaces(&self) -> Result<Vec<String>, ShardsError> {
        Ok(self
            .documents
            .names(keys::NAMESPACES, Consistency::Linearizable)
            .await?
            .0)
    }

    /// Deletes a namespace that holds no clusters.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`], [`ShardsError::NotEmpty`].
    pub async fn delete_namespace(&self, name: &str) -> Result<(), ShardsError> {
        let name = parse_name(name, "namespace")?;
        until_settled(|| async {
            let stored = self.namespace(&name).await?;
            if let Some(cluster) = stored.document.clusters.first() {
                return Err(ShardsError::NotEmpty(format!(
                    "namespace {name} holds {} clusters, {cluster} first: delete them before",
                    stored.document.clusters.len()
                )));
            }
            let key = keys::namespace(&name);
            let txn = Txn::new()
                .guard(Space::Shards, key.as_str(), stored.modified)
                .delete(Space::Shards, key);
            Ok(self.documents.commit(txn).await.map(drop)?)
        })
        .await
    }

    pub(super) async fn namespace(&self, name: &Name) -> Result<Stored<Namespace>, ShardsError> {
        self.find_namespace(name)
            .await?
            .ok_or_else(|| ShardsError::NotFound(format!("namespace {name}")))
    }

    async fn find_namespace(&self, name: &Name) -> Result<Option<Stored<Namespace>>, ShardsError> {
        let key = keys::namespace(name);
        Ok(self.documents.load(&key, Consistency::Linearizable).await?)
    }
}
