//! Whether nodes may be taken into a cluster.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use portolan_consensus::documents::{Stored, encode};
use portolan_consensus::{Consistency, Revision, Space, Txn};

use super::{NewNodes, Shards};
use crate::engine::Fitness;
use crate::error::ShardsError;
use crate::keys;
use crate::model::{AddressOwner, EngineKind, NewNode};
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

    /// Checks addresses and asks each node whether it is fit to be added, and what it is: `expected`
    /// where that is given, and otherwise the same as the others.
    pub(super) async fn new_nodes(
        &self,
        wanted: &NewNodes,
        expected: Option<EngineKind>,
    ) -> Result<(EngineKind, Vec<NewNode>), ShardsError> {
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
        let found = addrs
            .iter()
            .map(|addr| self.check_fit(addr, wanted, expected));
        let found = try_join_all(found).await?;
        let Some((kind, _)) = found.first() else {
            return Err(ShardsError::invalid("nodes", "a node at least is needed"));
        };
        let kind = *kind;
        if let Some(at) = found.iter().position(|(other, _)| *other != kind) {
            return Err(ShardsError::invalid(
                format!("nodes[{at}]"),
                format!(
                    "{} is a {} node and {} is a {kind} node: a cluster has one kind of nodes",
                    addrs[at], found[at].0, addrs[0]
                ),
            ));
        }
        let created_at = super::clusters::now();
        let nodes = addrs.into_iter().zip(found).map(|(addr, (_, id))| {
            let id = id.unwrap_or_else(NodeId::random);
            Ok(NewNode {
                sealed_password: self.secrets.seal(&id, &wanted.password)?,
                id,
                addr,
                created_at,
            })
        });
        Ok((kind, nodes.collect::<Result<_, ShardsError>>()?))
    }

    /// Which kind of node stands there, and the id that it has by itself.
    async fn check_fit(
        &self,
        addr: &NodeAddr,
        wanted: &NewNodes,
        expected: Option<EngineKind>,
    ) -> Result<(EngineKind, Option<NodeId>), ShardsError> {
        let access = wanted.access(addr);
        let inspected = match expected {
            Some(kind) => {
                let fitness = self.engines.of(kind).inspect(&access).await;
                fitness.map(|fitness| (kind, fitness))
            }
            None => self.engines.detect(&access).await,
        };
        let (kind, fitness) = inspected.map_err(ShardsError::node(addr))?;
        let Fitness {
            id,
            in_cluster,
            is_empty,
        } = fitness;
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
        Ok((kind, id))
    }
}
