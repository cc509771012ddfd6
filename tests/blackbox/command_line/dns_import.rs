//! A deployment of CocoaSyncer is taken over from the command line.

use std::fs;

use portolan_tests::CocoaStub;
use serde_json::{Value, json};

use super::dns::Scene;

const COCOA_SECRET: &str = "the-secret-of-cocoa";
const ACCESS_SECRET: &str = "the-secret-of-her-account";

/// Two nodes and two services, as such a node tells them.
fn deployment() -> Value {
    let service = |name: &str, record: &str| {
        json!({"serviceName": name, "domain": "luckykeeper.site", "record": record,
               "platformProvider": "Ali"})
    };
    let both = json!([service("测试", "test"), service("测试2", "test2")]);
    let node = |code: &str, address: &str, mode: &str, lines: &[&str]| {
        json!({"nodeName": format!("node {code}"), "nodeCode": code, "nodeAddress": address,
               "workMode": mode, "cocoaSecret": COCOA_SECRET, "ISPs": lines,
               "networkType": "IPV4", "statusCode": 200, "cocoaManagedService": both})
    };
    json!({
        "apiPort": 44443, "nodeName": "node sh", "nodeCode": "sh",
        "nodeAddress": "http://8.8.4.4:44443", "workMode": "leader",
        "cocoaSecret": COCOA_SECRET, "reverseProxy": true,
        "otherCocoaSyncer": [
            node("sh", "http://8.8.4.4:44443", "leader", &["default", "CT"]),
            node("bj", "http://8.8.8.8:44444", "follower", &["CU", "CMCC"]),
        ],
        "cocoaManagedService": both,
        "cloudPlatformInfo": [
            {"platformProvider": "Ali", "accessKey": "her-key", "accessSecret": ACCESS_SECRET}
        ],
        "DataBaseType": "mysql", "Dsn": format!("root:{COCOA_SECRET}@tcp(127.0.0.1:3306)/cocoa"),
    })
}

#[tokio::test]
async fn a_deployment_is_shown_taken_over_and_not_taken_over_twice() {
    let cocoa = CocoaStub::start(COCOA_SECRET, deployment()).await;
    // The account stands already, so that nothing asks the real service.
    let scene = Scene::new(&["first.example", "luckykeeper.site"]).await;
    let secret = scene.home.path().join("cocoa-secret");
    fs::write(&secret, format!("{COCOA_SECRET}\n")).unwrap();
    let import = format!(
        "dns import --from {} --secret-file {}",
        cocoa.url(),
        secret.display()
    );
    let told = async |line: &str| {
        let told = scene.portolan(line).await;
        let all = format!("{}{}", told.stdout, told.stderr);
        for hidden in [COCOA_SECRET, ACCESS_SECRET, "her-key"] {
            assert!(!all.contains(hidden), "{line} tells {hidden}: {all}");
        }
        told.done()
    };

    let shown = told(&format!("{import} --dry-run")).await;
    let begins = [
        "~ provider ali: zones [\"first.example\"] -> [\"first.example\",\"luckykeeper.site\"]",
        "+ site bj: ",
        "+ site sh: ",
        "+ service 测试: ",
        "+ service 测试2: ",
        "nothing was changed",
    ];
    assert_eq!(shown.lines().count(), begins.len(), "{shown}");
    for (line, begin) in shown.lines().zip(begins) {
        assert!(
            line.starts_with(begin),
            "{line:?} does not begin with {begin:?}"
        );
    }
    let sites = scene.portolan("dns sites list --json").await.json();
    assert_eq!(sites, json!({"sites": []}));

    let nothing = told(&format!("{import} --zone elsewhere.example --dry-run")).await;
    assert!(!nothing.contains("service"), "{nothing}");

    let taken = told(&import).await;
    assert!(taken.ends_with("5 things made or changed\n"), "{taken}");
    let sh = scene.portolan("dns sites show sh --json").await.json();
    assert_eq!(sh["addresses"], json!({"ipv4": ["8.8.4.4"]}));
    assert_eq!(sh["lines"][1]["line"], "CT");
    let service = scene
        .portolan("dns services show 测试2 --json")
        .await
        .json();
    let found = json!([
        service["domain"],
        service["types"],
        service["adopt"],
        service["provider"]
    ]);
    assert_eq!(found, json!(["test2.luckykeeper.site", ["A"], true, "ali"]));

    // What an operator changed since stays changed.
    scene
        .portolan("dns sites set sh --line default --line CT:10")
        .await
        .done();
    scene
        .portolan("dns services set 测试2 --ttl 900")
        .await
        .done();
    let again = told(&import).await;
    assert_eq!(again.matches(": stays as it is\n").count(), 5, "{again}");
    assert!(again.ends_with("0 things made or changed\n"), "{again}");
    let service = scene
        .portolan("dns services show 测试2 --json")
        .await
        .json();
    assert_eq!(service["ttl"], 900);
}

#[tokio::test]
async fn a_deployment_that_does_not_answer_is_told_apart_from_one_that_refuses() {
    let cocoa = CocoaStub::start(COCOA_SECRET, deployment()).await;
    let scene = Scene::new(&["first.example"]).await;
    let secret = scene.home.path().join("cocoa-secret");
    fs::write(&secret, "a-wrong-secret").unwrap();
    let file = secret.display().to_string();
    let line = format!("dns import --from {} --secret-file {file}", cocoa.url());
    let refused = scene.portolan(&line).await.failed(1);
    assert!(refused.contains("refuses the secret (401)"), "{refused}");
    assert!(!refused.contains("a-wrong-secret"), "{refused}");

    let line = format!("dns import --from {} --secret-file /nowhere", cocoa.url());
    let unread = scene.portolan(&line).await.failed(2);
    assert!(unread.contains("/nowhere"), "{unread}");
    let url = cocoa.url();
    drop(cocoa);
    let line = format!("dns import --from {url} --secret-file {file}");
    let gone = scene.portolan(&line).await.failed(5);
    assert!(gone.contains(&url), "{gone}");
}
