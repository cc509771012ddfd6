//! What a deployment of the reference says of itself (`POST /v1/getClusterInfo`).

use portolan_steering::ClusterInfo;
use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::super::super::api::{Api, Asked};
use super::super::super::error::ClientError;

/// Its word for "as you asked", in a body: HTTP says 200 either way.
const DONE: u16 = 200;
const WRONG_SECRET: u16 = 401;
/// It has not been given its deployment yet.
const WAITING: u16 = 201;

/// Asks a node for all that it knows.
pub(super) async fn cluster_info(
    from: Url,
    secret: &SecretString,
) -> Result<ClusterInfo, ClientError> {
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
