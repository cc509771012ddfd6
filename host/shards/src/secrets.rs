//! Nodes' passwords: sealed with the cluster key at rest, in the clear only on their way to a node.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portolan_consensus::{ClusterKey, Member};
use zeroize::Zeroizing;

use crate::engine::Access;
use crate::error::ShardsError;
use crate::model::Node;
use crate::names::NodeId;

/// Seals and opens passwords.
#[derive(Clone)]
pub(crate) struct Secrets(Member);

impl Secrets {
    pub(crate) fn new(member: Member) -> Self {
        Self(member)
    }

    /// Seals a node's password; none for an empty one.
    pub(crate) fn seal(&self, id: &NodeId, password: &str) -> Result<Option<String>, ShardsError> {
        if password.is_empty() {
            return Ok(None);
        }
        let sealed = self.key()?.seal(&context(id), password.as_bytes());
        Ok(Some(STANDARD.encode(sealed)))
    }

    /// A node's password; none where it takes none.
    pub(crate) fn open(&self, node: &Node) -> Result<Option<Zeroizing<String>>, ShardsError> {
        let Some(sealed) = &node.sealed_password else {
            return Ok(None);
        };
        let broken = |reason: String| {
            ShardsError::Secret(format!("the password of node {}: {reason}", node.addr))
        };
        let bytes = STANDARD
            .decode(sealed)
            .map_err(|error| broken(error.to_string()))?;
        let plain = self
            .key()?
            .open(&context(&node.id), &bytes)
            .map_err(|error| broken(error.to_string()))?;
        let text = std::str::from_utf8(&plain).map_err(|error| broken(error.to_string()))?;
        Ok(Some(Zeroizing::new(text.to_owned())))
    }

    pub(crate) fn access(&self, node: &Node) -> Result<Access, ShardsError> {
        Ok(Access {
            addr: node.addr.clone(),
            password: self.open(node)?,
        })
    }

    fn key(&self) -> Result<ClusterKey, ShardsError> {
        self.0.cluster_key().ok_or_else(|| {
            ShardsError::Secret("this member has no cluster key yet: it belongs to no group".into())
        })
    }
}

fn context(id: &NodeId) -> String {
    format!("shards/node/{id}/password")
}
