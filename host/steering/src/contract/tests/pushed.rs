//! Pushes that are taken over, and what is told of them.

use serde_json::{Value, json};

use super::{keys, node, node_of, nodes, pushed, rig, service};
use crate::contract::wire::Timestamp;
use crate::tests::fixtures::Rig;

#[tokio::test]
async fn what_was_pushed_is_told_again() {
    let rig = rig().await;
    rig.push(pushed(nodes(), json!([service()]), keys()))
        .await
        .unwrap();

    let told = rig.told().await;
    for pushed in nodes().as_array().unwrap() {
        let told = node_of(&told, pushed["nodeCode"].as_str().unwrap());
        for field in [
            "nodeName",
            "nodeAddress",
            "workMode",
            "ISPs",
            "networkType",
            "cocoaManagedService",
        ] {
            assert_eq!(told[field], pushed[field], "{field} of {told}");
        }
        assert_eq!(told["cocoaSecret"], "***");
    }
    assert_eq!(told["cocoaManagedService"], json!([service()]));
    assert_eq!(
        told["cloudPlatformInfo"],
        json!([{"platformProvider": "Ali", "accessKey": "***", "accessSecret": "***"}])
    );
    let text = told.to_string();
    assert!(
        !text.contains("the-secret") && !text.contains("secret-of"),
        "{text}"
    );
}

#[tokio::test]
async fn an_answer_has_exactly_the_fields_of_the_contract() {
    let rig = rig().await;
    rig.push(pushed(nodes(), json!([service()]), keys()))
        .await
        .unwrap();
    let told = rig.told().await;
    let fields = |value: &Value| {
        let fields = value.as_object().unwrap().keys().cloned();
        let mut fields: Vec<String> = fields.collect();
        fields.sort();
        fields
    };
    assert_eq!(
        fields(&told),
        fields(&pushed(json!([]), json!([]), json!([])))
    );
    let example = node("x", json!([]), "");
    assert_eq!(fields(&told["otherCocoaSyncer"][0]), fields(&example));
    assert_eq!(fields(&told["cocoaManagedService"][0]), fields(&service()));
    assert_eq!(fields(&told["cloudPlatformInfo"][0]), fields(&keys()[0]));
    assert_eq!(told["apiPort"], 8420);
    assert_eq!(told["workMode"], "leader");
    assert_eq!(told["configImported"], true);
}

#[tokio::test]
async fn a_node_with_an_address_serves_its_lines_and_others_keep_theirs_to_themselves() {
    let rig = rig().await;
    rig.push(pushed(nodes(), json!([service()]), keys()))
        .await
        .unwrap();

    let shanghai = rig.site("SH").await;
    assert_eq!(shanghai["lines"], json!([{"line": "CT", "priority": 100}]));
    assert_eq!(shanghai["addresses"], json!({"ipv6": ["2400:3200::1"]}));
    let hong_kong = rig.site("HK").await;
    assert_eq!(
        hong_kong["lines"],
        json!([]),
        "nobody here knows its address"
    );
    assert_eq!(hong_kong["fallback"], Value::Null);
    let service = serde_json::to_value(rig.steering.service("测试").await.unwrap()).unwrap();
    assert_eq!(service["target"], json!({"sites": ["BJ", "HK", "SH"]}));
    assert_eq!(
        (&service["adopt"], &service["ttl"]),
        (&json!(true), &json!(600))
    );

    // Once it has an address, the next push gives it its lines.
    let addresses = json!({"addresses": {"ipv4": ["8.8.8.8"], "ipv6": ["2400:3200::2"]}});
    rig.steering
        .patch_site("HK", addresses, None)
        .await
        .unwrap();
    rig.push(pushed(nodes(), Value::Null, Value::Null))
        .await
        .unwrap();
    let hong_kong = rig.site("HK").await;
    assert_eq!(
        hong_kong["lines"][1],
        json!({"line": "OverSea", "priority": 100})
    );
    assert_eq!(hong_kong["fallback"], 100);
    assert_eq!(
        node_of(&rig.told().await, "HK")["ISPs"],
        json!(["default", "OverSea"])
    );
}

#[tokio::test]
async fn a_node_that_is_reached_where_a_member_is_stands_there_and_looks_for_its_addresses() {
    let rig = Rig::start().await;
    let mut own = node("GZ", json!(["None"]), "IPV6");
    own["nodeAddress"] = json!("http://127.0.0.1:8420");
    own["cocoaManagedService"] = Value::Null;
    rig.push(pushed(json!([own]), Value::Null, Value::Null))
        .await
        .unwrap();

    let site = rig.site("GZ").await;
    assert_eq!(site["member"], rig.member.id());
    assert_eq!(
        site["addresses"],
        json!({"ipv6": {"detect": [{"method": "sources"}]}})
    );
    assert_eq!(
        (&site["lines"], &site["fallback"]),
        (&json!([]), &Value::Null)
    );
    let told = rig.told().await;
    assert_eq!(told["nodeCode"], "GZ");
    let own = node_of(&told, "GZ");
    assert_eq!(
        (&own["ISPs"], &own["networkType"]),
        (&json!(["None"]), &json!("IPV6"))
    );
    assert_eq!(own["workMode"], "leader");
    let watch_dog: Timestamp = serde_json::from_value(own["watchDog"].clone()).unwrap();
    let pushed: Timestamp = serde_json::from_value(json!("2023-09-18T22:54:22+08:00")).unwrap();
    assert!(watch_dog > pushed, "its own dog is fed now: {watch_dog}");
}

#[tokio::test]
async fn what_is_only_known_here_survives_a_push() {
    let rig = rig().await;
    let site = json!({
        "lines": [{"line": "CT", "priority": 7}, "10=33"], "fallback": null,
        "addresses": {"ipv6": ["2400:3200::1"]}, "weight": 3,
    });
    rig.steering.put_site("SH", site, None).await.unwrap();
    rig.push(pushed(nodes(), json!([service()]), keys()))
        .await
        .unwrap();
    let patch = json!({"ttl": 30, "spread": true});
    rig.steering
        .patch_service("测试", patch, None)
        .await
        .unwrap();

    let mut more = nodes();
    more[1]["ISPs"] = json!(["CU", "CT"]);
    rig.push(pushed(more, json!([service()]), keys()))
        .await
        .unwrap();

    let site = rig.site("SH").await;
    assert_eq!(
        site["lines"],
        json!([
            {"line": "CU", "priority": 100}, {"line": "CT", "priority": 7},
            {"line": "10=33", "priority": 100},
        ])
    );
    assert_eq!(
        (&site["fallback"], &site["weight"]),
        (&Value::Null, &json!(3))
    );
    let service = serde_json::to_value(rig.steering.service("测试").await.unwrap()).unwrap();
    assert_eq!(
        (&service["ttl"], &service["spread"]),
        (&json!(30), &json!(true))
    );
}

#[tokio::test]
async fn the_same_push_again_changes_nothing() {
    let rig = rig().await;
    let push = pushed(nodes(), json!([service(), service()]), keys());
    rig.push(push.clone()).await.unwrap();
    let revision = |rig: &Rig| {
        let steering = std::sync::Arc::clone(&rig.steering);
        async move {
            steering
                .standing_contract(portolan_consensus::Consistency::Linearizable)
                .await
        }
    };
    let before = revision(&rig).await.unwrap();
    rig.push(push).await.unwrap();
    // What is told is sent back with its masks.
    let masked = rig.told().await;
    let lists = |name: &str| masked[name].clone();
    rig.push(pushed(
        Value::Null,
        lists("cocoaManagedService"),
        lists("cloudPlatformInfo"),
    ))
    .await
    .unwrap();
    let after = revision(&rig).await.unwrap();
    let kept =
        |standing: &crate::contract::standing::Standing| standing.kept.as_ref().unwrap().modified;
    assert_eq!(kept(&after), kept(&before));
    for (code, stored) in &before.sites {
        assert_eq!(after.sites[code].modified, stored.modified, "{code}");
    }
    for (name, stored) in &before.bindings {
        assert_eq!(after.bindings[name].modified, stored.modified, "{name}");
    }
}

#[tokio::test]
async fn a_push_removes_what_a_push_made_and_nothing_else() {
    let rig = rig().await;
    rig.push(pushed(nodes(), json!([service()]), keys()))
        .await
        .unwrap();

    // Null says nothing.
    rig.push(pushed(Value::Null, Value::Null, Value::Null))
        .await
        .unwrap();
    assert_eq!(
        rig.told().await["otherCocoaSyncer"]
            .as_array()
            .unwrap()
            .len(),
        3
    );

    // The deployment is one node now, and has no service.
    let mut last = node("BJ", json!(["None"]), "IPV4");
    last["cocoaManagedService"] = Value::Null;
    rig.push(pushed(json!([last]), json!([]), Value::Null))
        .await
        .unwrap();
    let told = rig.told().await;
    let codes = told["otherCocoaSyncer"].as_array().unwrap().iter();
    let codes: Vec<&Value> = codes.map(|node| &node["nodeCode"]).collect();
    assert_eq!(codes, ["BJ", "SH"], "SH was made by an operator");
    assert_eq!(told["cocoaManagedService"], json!([]));
    assert_eq!(told["cloudPlatformInfo"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_service_that_no_node_runs_is_kept_and_not_served() {
    let rig = rig().await;
    let mut idle = nodes();
    for node in idle.as_array_mut().unwrap() {
        node["cocoaManagedService"] = Value::Null;
    }
    rig.push(pushed(idle, json!([service()]), keys()))
        .await
        .unwrap();
    assert_eq!(rig.told().await["cocoaManagedService"], json!([service()]));
    assert!(rig.steering.services().await.unwrap().is_empty());
}
