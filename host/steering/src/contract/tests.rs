//! Pushes as the earlier daemon sends them, what stands after them, and what is told of it.

mod pushed;
mod reading;
mod refused;

use serde_json::{Value, json};

use super::ClusterInfo;
use crate::error::SteeringError;
use crate::tests::fixtures::Rig;

/// What a Go program marshals of a struct that nobody filled.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

fn service() -> Value {
    json!({"serviceName": "测试", "domain": "example.com", "record": "www", "platformProvider": "Ali"})
}

fn node(code: &str, isps: Value, network: &str) -> Value {
    json!({
        "nodeName": format!("Node {code}"), "nodeCode": code,
        "nodeAddress": format!("https://{code}.example.net:44443"), "workMode": "follower",
        "cocoaSecret": format!("secret-of-{code}"), "ISPs": isps, "networkType": network,
        "statusCode": 200, "watchDog": "2023-09-18T22:54:22.0765568+08:00",
        "cocoaManagedService": [service()],
    })
}

/// `cocoaBasic` as a leader pushes it: three lists, and zero values for everything else.
fn pushed(nodes: Value, services: Value, platforms: Value) -> Value {
    json!({
        "apiPort": 0, "nodeName": "", "nodeCode": "", "nodeAddress": "", "workMode": "",
        "cocoaSecret": "", "reverseProxy": false, "otherCocoaSyncer": nodes,
        "cocoaManagedService": services, "cloudPlatformInfo": platforms, "timeout": 0,
        "DataBaseType": "", "Dsn": "", "createdAt": ZERO_TIME, "updatedAt": ZERO_TIME,
        "configImported": false,
    })
}

fn keys() -> Value {
    json!([{"platformProvider": "Ali", "accessKey": "LTAI", "accessSecret": "the-secret"}])
}

fn nodes() -> Value {
    json!([
        node("HK", json!(["default", "OverSea"]), "Both"),
        node("SH", json!(["CT"]), "IPV6"),
        node("BJ", json!(["None"]), "IPV4"),
    ])
}

fn read(basic: Value) -> ClusterInfo {
    serde_json::from_value(basic).unwrap()
}

/// A group whose binding `ali` has the zone, and whose site `SH` has an address.
async fn rig() -> Rig {
    let rig = Rig::start().await;
    let body = json!({"plugin": "twin", "zones": ["example.com"]});
    rig.steering
        .put_binding("ali", body, None, false)
        .await
        .unwrap();
    let site = json!({"lines": ["CT"], "addresses": {"ipv6": ["2400:3200::1"]}});
    rig.steering.put_site("SH", site, None).await.unwrap();
    rig
}

impl Rig {
    async fn push(&self, basic: Value) -> Result<(), SteeringError> {
        self.steering.take_over_contract(&read(basic)).await
    }

    async fn refused(&self, basic: Value) -> (String, String) {
        let error = self.push(basic).await.unwrap_err();
        (error.at().unwrap_or_default().to_owned(), error.message())
    }

    async fn told(&self) -> Value {
        serde_json::to_value(self.steering.contract_info().await.unwrap()).unwrap()
    }

    async fn site(&self, code: &str) -> Value {
        serde_json::to_value(self.steering.site(code).await.unwrap()).unwrap()
    }
}

fn node_of<'a>(told: &'a Value, code: &str) -> &'a Value {
    let nodes = told["otherCocoaSyncer"].as_array().unwrap();
    nodes.iter().find(|node| node["nodeCode"] == code).unwrap()
}
