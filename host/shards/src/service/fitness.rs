//! Whether nodes may be taken into a cluster.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use portolan_consensus::documents::{Stored, encode};
use portolan_consensus::{Consistency, Revision, Space, Txn};

use super::{NewNodes, Shards};
use crate::engine::{Access, Fitness};
use crate::error::ShardsError;
use crate::keys;
use crate::model::{AddressOwner, NewNode};
use crate::names::{Name, NodeAddr, NodeId};

impl Shards {
    /// Adds to `txn` that the cluster takes an address.
    pub(super) async fn take(
        &self,
        txn: Txn,
        namespace: &Name,
        name: &Name,
        addr: &NodeAddr,
    ) -> Result<Txn, ShardsError> {
        self.check_free(addr).await?;
        let owner = AddressOwner {
            namespace: namespace.clone(),
            cluster: name.clone(),
        };
        let key = keys::address(addr);
        Ok(txn.guard(Space::Shards, key.as_str(), Revision::ZERO).put(
            Space::Shards,
            key,
            encode(&owner),
        ))
    }

    async fn check_free(&self, addr: &NodeAddr) -> Result<(), ShardsError> {
        let key = keys::address(addr);
        let owner: Option<Stored<AddressOwner>> =
            self.documents.load(&key, Consistency::Linearizable).await?;
        match owner {
            Some(Stored { document, .. }) => Err(ShardsError::Exists(format!(
                "node {addr} belongs to cluster {} in namespace {}",
                document.cluster, document.namespace
            ))),
            None => Ok(()),
        }
    }

    /// Checks addresses and asks each node whether it is fit to be added.
    pub(super) async fn new_nodes(&self, wanted: &NewNodes) -> Result<Vec<NewNode>, ShardsError> {
        let mut seen = HashSet::new();
        let mut addrs = Vec::new();
        for (index, text) in wanted.nodes.iter().enumerate() {
            let at = format!("nodes[{index}]");
            let addr: NodeAddr = text.parse().map_err(ShardsError::bad_name(&at))?;
            if !seen.insert(addr.clone()) {
                return Err(ShardsError::Exists(format!("node {addr} is named twice")));
            }
            self.check_free(&addr).await?;
            addrs.push(addr);
        }
        let fit = addrs.iter().map(|addr| self.check_fit(addr, wanted));
        try_join_all(fit).await?;
        let created_at = super::clusters::now();
        let nodes = addrs.into_iter().map(|addr| {
            let id = NodeId::random();
            Ok(NewNode {
                sealed_password: self.secrets.seal(&id, &wanted.password)?,
                id,
                addr,
                created_at,
            })
        });
        nodes.collect()
    }

    async fn check_fit(&self, addr: &NodeAddr, wanted: &NewNodes) -> Result<(), ShardsError> {
        let access = Access {
            addr: addr.clone(),
            password: (!wanted.password.is_empty()).then(|| wanted.password.clone()),
        };
        let fitness = self.engine.inspect(&access).await;
        let Fitness {
            in_cluster,
            is_empty,
        } = fitness.map_err(ShardsError::node(addr))?;
        if in_cluster {
            return Err(ShardsError::Conflict(format!(
                "node {addr} is in a cluster already: import that cluster, or reset the node (CLUSTER \
                 RESET) first"
            )));
        }
        if !is_empty {
            return Err(ShardsError::Conflict(format!(
                "node {addr} holds keys: empty it (FLUSHALL) or take another node"
            )));
        }
        Ok(())
    }
}
