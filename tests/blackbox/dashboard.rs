//! The dashboard shows what the daemon really exports.

use std::collections::BTreeSet;

use portolan_tests::{AliRecord, AliStub, Client, built_plugins, eventually};
use serde_json::{Value, json};

use crate::dns::{bind, cluster_with_plugins, in_sync};

const DASHBOARD: &str = include_str!("../../examples/grafana/portolan-dns.json");
const ZONE: &str = "example.com";

/// The metrics that any text of the dashboard names: in expressions, and where variables come from.
fn metrics(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
            found.extend(
                words
                    .filter(|it| it.starts_with("portolan_"))
                    .map(str::to_owned),
            );
        }
        Value::Array(items) => items.iter().for_each(|item| metrics(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| metrics(field, found)),
        _ => {}
    }
}

/// Every expression with the panel that it is in.
fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let drawn = panels.filter(|panel| panel["type"] != "row");
    drawn
        .flat_map(|panel| {
            let title = panel["title"].as_str().unwrap().to_owned();
            let targets = panel["targets"].as_array().unwrap().iter();
            targets.map(move |target| {
                let expression = target["expr"].as_str().unwrap().to_owned();
                (title.clone(), expression)
            })
        })
        .collect()
}

async fn exported(client: &Client) -> Result<BTreeSet<String>, String> {
    let reply = client.send("GET", "/metrics", &[], "").await?;
    let samples = reply.body.lines().filter(|line| !line.starts_with('#'));
    let name = |line: &str| line.split(['{', ' ']).next().map(str::to_owned);
    Ok(samples.filter_map(name).collect())
}

#[test]
fn the_dashboard_can_be_imported_anywhere() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39);
    assert_eq!(
        dashboard["uid"],
        Value::Null,
        "a fixed uid would replace another's"
    );
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(
        variables
            .iter()
            .any(|it| it["name"] == "datasource" && it["type"] == "datasource")
    );
    let expressions = expressions(&dashboard);
    assert!(expressions.len() >= 10, "{expressions:?}");
    for (title, expression) in expressions {
        let (mut open, mut named) = (0, BTreeSet::new());
        for c in expression.chars() {
            open += i32::from(c == '(') - i32::from(c == ')');
            assert!(open >= 0, "{title}: {expression}");
        }
        assert_eq!(open, 0, "{title}: {expression}");
        metrics(&json!(expression), &mut named);
        assert!(
            !named.is_empty(),
            "{title} shows nothing of ours: {expression}"
        );
    }
    // No panel is bound to the data source that it was drawn with.
    let sources = DASHBOARD.matches("\"type\": \"prometheus\"").count();
    assert_eq!(
        sources,
        DASHBOARD.matches("\"uid\": \"${datasource}\"").count()
    );
}

#[tokio::test]
async fn every_metric_of_the_dashboard_is_exported() {
    let ali = AliStub::start("id", "secret", &[ZONE]).await;
    let cluster = cluster_with_plugins(&built_plugins()).await;
    let client = cluster.client(cluster.leader().await);
    let binding = json!({
        "plugin": "alidns", "settings": {"endpoint": ali.url()}, "hosts": [ali.url()],
        "credentials": {"access-key-id": "id", "access-key-secret": "secret"}, "zones": [ZONE],
    });
    bind(&client, "ali", &binding).await;
    for (code, line, address) in [("sh", "default", "192.0.2.1"), ("bj", "CT", "192.0.2.2")] {
        let site = json!({"lines": [line], "addresses": {"ipv4": [address]}});
        let reply = client
            .put(&format!("/api/v1/dns/sites/{code}"), &site)
            .await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    let service = json!({"zone": ZONE, "record": "www", "types": ["A"], "ttl": 600});
    let reply = client.put("/api/v1/dns/services/shop", &service).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    in_sync(&client, ZONE).await;
    eventually("the records stand", async || match ali.records().len() {
        2 => Ok(()),
        _ => Err(format!("{:?}", ali.records())),
    })
    .await;

    // Somebody changes a record by hand, and a line goes to another site.
    let first: AliRecord = ali.records().remove(0);
    ali.edit(&first.id, |record| record.value = "192.0.2.99".into());
    let reply = client
        .post("/api/v1/dns/sites/bj/drain", &json!(null))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);

    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut named = BTreeSet::new();
    metrics(&dashboard, &mut named);
    assert!(named.len() >= 10, "{named:?}");
    eventually("all metrics are exported", async || {
        let exported = exported(&client).await?;
        let missing: Vec<&String> = named.difference(&exported).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(format!("not exported: {missing:?}")),
        }
    })
    .await;
}
