//! `NAMESPACE/CLUSTER`, as clusters are named on the command line.

use std::fmt;
use std::str::FromStr;

use portolan_shards::Name;

/// A cluster and the namespace that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterName {
    namespace: Name,
    cluster: Name,
}

impl ClusterName {
    pub(super) fn cluster(&self) -> &Name {
        &self.cluster
    }

    /// The path of all clusters of its namespace.
    pub(super) fn clusters_path(&self) -> String {
        clusters_path(&self.namespace)
    }

    /// Its own path.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.clusters_path(), self.cluster)
    }
}

/// The path of all clusters of a namespace.
pub(super) fn clusters_path(namespace: &Name) -> String {
    format!("/api/v1/namespaces/{namespace}/clusters")
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.cluster)
    }
}

impl FromStr for ClusterName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, cluster) = text.split_once('/').ok_or_else(|| {
            format!("write the namespace and the cluster as NAMESPACE/CLUSTER, not {text:?}")
        })?;
        let name = |text: &str| text.parse::<Name>().map_err(|error| error.to_string());
        Ok(Self {
            namespace: name(namespace)?,
            cluster: name(cluster)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_two_parts_and_a_path() {
        let name: ClusterName = "shop/cart".parse().unwrap();
        assert_eq!(name.path(), "/api/v1/namespaces/shop/clusters/cart");
        assert_eq!(name.to_string(), "shop/cart");
        for wrong in ["cart", "shop/", "/cart", "shop/cart/0", "shop/..", "a b/c"] {
            assert!(wrong.parse::<ClusterName>().is_err(), "{wrong}");
        }
    }
}
