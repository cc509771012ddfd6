//! The contract's own example, and what is odd about deployments.

use serde_json::from_value;

use super::*;

/// As the contract shows it, with codes and addresses filled in.
fn example() -> Value {
    let service = |name: &str, record: &str| {
        json!({"serviceName": name, "domain": "luckykeeper.site", "record": record,
               "platformProvider": "Ali"})
    };
    let both = json!([service("测试", "test"), service("测试2", "test2")]);
    let node = |code: &str, address: &str, lines: &[&str], services: &Value| {
        json!({"nodeName": format!("node {code}"), "nodeCode": code, "nodeAddress": address,
               "cocoaSecret": "s3cret", "ISPs": lines, "networkType": "IPV4",
               "cocoaManagedService": services})
    };
    let only_one = json!([service("测试", "test")]);
    json!({
        "nodeName": "node sh", "nodeCode": "sh", "nodeAddress": "http://8.8.4.4:44443",
        "otherCocoaSyncer": [
            node("sh", "http://8.8.4.4:44443", &["default", "CT", "OverSea"], &both),
            node("bj", "http://127.0.0.1:44444", &["CU", "CMCC", "CNEdu"], &only_one),
        ],
        "cocoaManagedService": both,
        "cloudPlatformInfo": [
            {"platformProvider": "Ali", "accessKey": "the-key", "accessSecret": "the-secret"}
        ]
    })
}

fn converted(deployment: Value, only: &[&str]) -> Wanted {
    let only: Vec<ZoneName> = only
        .iter()
        .map(|zone| ZoneName::parse(zone).unwrap())
        .collect();
    convert(from_value(deployment).unwrap(), &only)
}

fn names(wanted: &Wanted) -> Vec<String> {
    let things = wanted.things.iter();
    things
        .map(|thing| format!("{} {}", thing.kind.word(), thing.name))
        .collect()
}

#[test]
fn the_contracts_example_becomes_an_account_sites_and_services() {
    let wanted = converted(example(), &[]);
    let expected = [
        "provider ali",
        "site bj",
        "site sh",
        "service 测试",
        "service 测试2",
    ];
    assert_eq!(names(&wanted), expected);
    let [ali, bj, sh, one, two] = &wanted.things[..] else {
        panic!("{wanted:?}");
    };
    assert_eq!(ali.path(), "/api/v1/dns/providers/ali");
    assert_eq!(ali.fields["zones"], json!(["luckykeeper.site"]));
    assert_eq!(ali.first["plugin"], "alidns");
    let secrets = json!({"access-key-id": "the-key", "access-key-secret": "the-secret"});
    assert_eq!(Value::from(ali.secrets.clone()), secrets);
    let lines = json!({"name": "node bj", "lines": ["CU", "CMCC", "CNEdu"]});
    assert_eq!(Value::from(bj.fields.clone()), lines);
    assert!(bj.first.is_empty(), "a loopback address is nobody's record");
    assert_eq!(sh.first["addresses"], json!({"ipv4": ["8.8.4.4"]}));
    let everywhere = json!({"zone": "luckykeeper.site", "record": "test",
                            "target": {"sites": "all"}});
    assert_eq!(Value::from(one.fields.clone()), everywhere);
    assert_eq!(two.fields["target"], json!({"sites": ["sh"]}));
    let first = json!({"types": ["A"], "ttl": 600, "adopt": true});
    assert_eq!(Value::from(two.first.clone()), first);
    assert_eq!(wanted.notes.len(), 1, "{:?}", wanted.notes);
    assert!(wanted.notes[0].contains("dns sites set bj --ipv4"));
}

#[test]
fn only_the_zones_that_were_named_are_taken_over() {
    let mut deployment = example();
    let services = deployment["cocoaManagedService"].as_array_mut().unwrap();
    services.push(
        json!({"serviceName": "other", "domain": "other.example", "record": "@",
                         "platformProvider": "Ali"}),
    );
    let wanted = converted(deployment, &["other.example"]);
    let expected = ["provider ali", "site bj", "site sh", "service other"];
    assert_eq!(names(&wanted), expected);
    assert_eq!(wanted.things[0].fields["zones"], json!(["other.example"]));
    assert_eq!(
        wanted.things[3].fields["target"],
        json!({"sites": "all"}),
        "a service that no node names is everywhere"
    );
}

#[test]
fn what_cannot_be_taken_over_is_told_without_secrets() {
    let mut deployment = example();
    deployment["cloudPlatformInfo"][0]["platformProvider"] = json!("Huawei");
    deployment["otherCocoaSyncer"][1]["nodeCode"] = json!("北京");
    for path in [
        "/cocoaManagedService/0",
        "/otherCocoaSyncer/0/cocoaManagedService/0",
        "/otherCocoaSyncer/1/cocoaManagedService/0",
    ] {
        deployment.pointer_mut(path).unwrap()["platformProvider"] = json!("Huawei");
    }
    let wanted = converted(deployment, &[]);
    assert_eq!(names(&wanted), ["site sh", "service 测试2"]);
    let notes = wanted.notes.join("\n");
    for part in [
        "account at Huawei",
        "service 测试 is left out",
        "node bj is left out",
    ] {
        assert!(notes.contains(part), "no {part:?} in {notes}");
    }
    assert!(!notes.contains("the-secret") && !notes.contains("s3cret"));
}

#[test]
fn the_network_type_says_which_records_there_are() {
    let node = |network_type: &str| NodeInfo {
        network_type: network_type.to_owned(),
        ..NodeInfo::default()
    };
    let (four, six, odd) = (node("IPV4"), node("IPV6"), node(""));
    assert_eq!(types(&[&four]), ["A"]);
    assert_eq!(types(&[&four, &six]), ["A", "AAAA"]);
    assert_eq!(types(&[&odd]), ["A", "AAAA"]);
}

#[test]
fn a_node_without_lines_never_takes_one_over() {
    let mut deployment = example();
    deployment["otherCocoaSyncer"][1]["ISPs"] = json!(["None"]);
    let wanted = converted(deployment, &[]);
    let bj = &wanted.things[1].fields;
    assert_eq!((&bj["lines"], &bj["fallback"]), (&json!([]), &Value::Null));
    assert!(!wanted.things[2].fields.contains_key("fallback"));
    let notes = wanted.notes.join("\n");
    assert!(notes.contains("bj serves no line of its own"), "{notes}");
}
