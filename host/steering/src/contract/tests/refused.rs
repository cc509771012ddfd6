//! Pushes that are refused.

use serde_json::{Value, json};

use super::{keys, nodes, pushed, rig, service};
use crate::tests::fixtures::Rig;

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_stored() {
    let rig = rig().await;
    let before = rig.told().await;
    let change = |field: &str, value: Value| {
        let mut nodes = nodes();
        nodes[0][field] = value;
        pushed(nodes, json!([service()]), keys())
    };
    let with_service = |field: &str, value: &str| {
        let mut other = service();
        other["serviceName"] = json!("other");
        other["record"] = json!("other");
        other[field] = json!(value);
        pushed(nodes(), json!([service(), other]), keys())
    };
    let platform = |platform: Value| pushed(nodes(), json!([service()]), json!([platform]));
    let cases = [
        (
            change("ISPs", json!(["CT", "telecom"])),
            "otherCocoaSyncer[0].ISPs[1]",
            "telecom",
        ),
        (
            change("ISPs", json!(["None", "CT"])),
            "otherCocoaSyncer[0].ISPs[0]",
            "alone",
        ),
        (
            change("networkType", json!("ipv4")),
            "otherCocoaSyncer[0].networkType",
            "IPV4, IPV6",
        ),
        (
            change("nodeCode", json!("上海_1")),
            "otherCocoaSyncer[0].nodeCode",
            "cannot be a site's",
        ),
        (
            change("nodeCode", json!("sh")),
            "otherCocoaSyncer[0].nodeCode",
            "more than their case",
        ),
        (
            change("nodeCode", json!("BJ")),
            "otherCocoaSyncer[2].nodeCode",
            "two nodes",
        ),
        (
            change("workMode", json!("master")),
            "otherCocoaSyncer[0].workMode",
            "follower",
        ),
        (
            with_service("serviceName", "a/b"),
            "cocoaManagedService[1].serviceName",
            "cannot name",
        ),
        (
            with_service("serviceName", "测试"),
            "cocoaManagedService[1].serviceName",
            "one record",
        ),
        (
            with_service("record", "www"),
            "cocoaManagedService[1].record",
            "测试 too",
        ),
        (
            with_service("domain", ""),
            "cocoaManagedService[1].domain",
            "empty",
        ),
        (
            platform(json!({"platformProvider": "Tencent", "accessKey": "a", "accessSecret": "b"})),
            "cloudPlatformInfo[0].platformProvider",
            "Tencent",
        ),
    ];
    for (basic, field, words) in cases {
        let (at, sentence) = rig.refused(basic).await;
        assert_eq!(at, format!("cocoaBasic.{field}"), "{sentence}");
        assert!(sentence.contains(words), "{sentence}");
    }
    let mut here = nodes();
    here[0]["nodeAddress"] = json!("http://127.0.0.1:8420");
    here[2]["nodeAddress"] = json!("http://127.0.0.1:8420");
    let (at, _) = rig.refused(pushed(here, json!([]), Value::Null)).await;
    assert_eq!(at, "cocoaBasic.otherCocoaSyncer[2].nodeAddress");
    let after = rig.told().await;
    assert_eq!(after["otherCocoaSyncer"].as_array().unwrap().len(), 1);
    assert_eq!(after["cocoaManagedService"], before["cocoaManagedService"]);
    assert_eq!(after["updatedAt"], before["updatedAt"]);
}

#[tokio::test]
async fn a_zone_that_another_provider_serves_is_not_taken_from_it() {
    let rig = Rig::bound().await;
    let (at, sentence) = rig
        .refused(pushed(nodes(), json!([service()]), Value::Null))
        .await;
    assert_eq!(at, "cocoaBasic.cocoaManagedService[0].platformProvider");
    assert!(
        sentence.contains("served by the provider main"),
        "{sentence}"
    );
}
