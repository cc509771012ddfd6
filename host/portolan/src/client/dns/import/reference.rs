//! What a deployment of the reference says of itself (`POST /v1/getClusterInfo`).

use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::super::super::api::{Api, Asked};
use super::super::super::error::ClientError;

/// Its word for "as you asked", in a body: HTTP says 200 either way.
const DONE: u16 = 200;
const WRONG_SECRET: u16 = 401;
/// It has not been given its deployment yet.
const WAITING: u16 = 201;

/// A deployment. What else it tells (its database, its own secrets) is not read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Deployment {
    #[serde(flatten)]
    pub(super) own: Node,
    /// All nodes, mostly with the one that was asked.
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) other_cocoa_syncer: Vec<Node>,
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) cloud_platform_info: Vec<Platform>,
}

/// A node of it: a site of ours.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Node {
    pub(super) node_name: String,
    pub(super) node_code: String,
    pub(super) node_address: String,
    #[serde(rename = "ISPs", deserialize_with = "null_as_empty")]
    pub(super) isps: Vec<String>,
    /// `IPV4`, as far as the contract shows.
    pub(super) network_type: String,
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) cocoa_managed_service: Vec<Service>,
}

/// A service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Service {
    pub(super) service_name: String,
    pub(super) domain: String,
    pub(super) record: String,
    pub(super) platform_provider: String,
}

/// An account at a DNS provider.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Platform {
    pub(super) platform_provider: String,
    pub(super) access_key: SecretString,
    pub(super) access_secret: SecretString,
}

/// Go writes `null` for a list that was never filled.
fn null_as_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Asks a node for all that it knows.
pub(super) async fn cluster_info(
    from: Url,
    secret: &SecretString,
) -> Result<Deployment, ClientError> {
    let api = Api::new(from)?;
    let body = json!({"cocoaSecret": secret.expose_secret(), "cocoaBasic": {}});
    let asked = Asked {
        body: Some(&body),
        ..Asked::new(Method::POST, "/v1/getClusterInfo")
    };
    let answer = api.native(asked).await?;
    let code: u16 = answer.read("statusCode")?;
    match code {
        DONE => answer.read("cocoaBasic"),
        WRONG_SECRET => Err(ClientError::Failed(
            "the node to import from refuses the secret (401); give the one that stands with it as \
             cocoaSecret"
                .to_owned(),
        )),
        WAITING => Err(ClientError::Failed(
            "the node to import from waits to be given its deployment (201); ask another node"
                .to_owned(),
        )),
        other => Err(ClientError::Failed(format!(
            "the node to import from answers with the code {other}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    #[test]
    fn what_go_leaves_empty_is_empty() {
        let deployment: Deployment = from_value(json!({
            "nodeCode": "sh", "otherCocoaSyncer": null, "cloudPlatformInfo": null,
            "cocoaManagedService": null, "Dsn": "root:hunter2@tcp(db)", "cocoaSecret": "hunter2"
        }))
        .unwrap();
        assert_eq!(deployment.own.node_code, "sh");
        assert!(deployment.other_cocoa_syncer.is_empty());
        assert!(!format!("{deployment:?}").contains("hunter2"));
    }

    #[test]
    fn keys_of_an_account_are_not_told() {
        let platform: Platform = from_value(json!({
            "platformProvider": "Ali", "accessKey": "hunter1", "accessSecret": "hunter2"
        }))
        .unwrap();
        assert!(!format!("{platform:?}").contains("hunter"));
    }
}
