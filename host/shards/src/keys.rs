//! Where documents stand in the `shards` space.
//!
//! | key | document |
//! |---|---|
//! | `namespace/<namespace>` | [`Namespace`](crate::model::Namespace): its clusters' names |
//! | `cluster/<namespace>/<cluster>` | [`Cluster`](crate::Cluster): its desired topology |
//! | `events/<namespace>/<cluster>` | [`Journal`](portolan_consensus::Journal): what happened to it |
//! | `migrations/<namespace>/<cluster>` | [`Migrations`](crate::migration::Migrations): its queue |
//! | `plans/<namespace>/<cluster>` | [`Plans`](crate::plans::Plans): what policies proposed |
//! | `address/<host:port>` | [`AddressOwner`](crate::model::AddressOwner): the cluster that has it |

use crate::names::{Name, NodeAddr};

pub(crate) const NAMESPACES: &str = "namespace/";

pub(crate) fn namespace(namespace: &Name) -> String {
    format!("{NAMESPACES}{namespace}")
}

pub(crate) const CLUSTERS: &str = "cluster/";

pub(crate) fn cluster(namespace: &Name, cluster: &Name) -> String {
    format!("{CLUSTERS}{namespace}/{cluster}")
}

pub(crate) fn events(namespace: &Name, cluster: &Name) -> String {
    format!("events/{namespace}/{cluster}")
}

pub(crate) fn migrations(namespace: &Name, cluster: &Name) -> String {
    format!("migrations/{namespace}/{cluster}")
}

pub(crate) fn plans(namespace: &Name, cluster: &Name) -> String {
    format!("plans/{namespace}/{cluster}")
}

pub(crate) fn address(addr: &NodeAddr) -> String {
    format!("address/{addr}")
}
