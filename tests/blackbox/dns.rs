//! What the stories about DNS have in common: a group with plugins, and its DNS API.

use std::path::Path;

use portolan_tests::{Client, Cluster, Reply, Setup, eventually};
use serde_json::{Value, json};

/// Zones are compared often, so that drift does not have to be waited for; and everything that the
/// daemon could say about a request is logged, so that a secret in it would show.
const CONFIG: &str = r#"
    [steering]
    interval_ms = 500
    backoff_min_ms = 100
    backoff_max_ms = 1000

    [log]
    level = "info,portolan=trace,portolan_api=trace,portolan_sandbox=trace,portolan_steering=trace"
"#;

/// Three members with the plugins of a directory.
pub(crate) async fn cluster_with_plugins(directory: &Path) -> Cluster {
    let plugins = Some(directory.to_owned());
    let mut cluster = Cluster::start_with(Setup {
        config: CONFIG.into(),
        plugins,
        ..Setup::default()
    })
    .await;
    cluster.all_ready().await;
    cluster
}

/// Sets a binding; panics unless it is accepted.
pub(crate) async fn bind(client: &Client, name: &str, binding: &Value) {
    let reply = client
        .put(&format!("/api/v1/dns/providers/{name}"), binding)
        .await;
    assert!(
        (200..300).contains(&reply.status),
        "{} {}",
        reply.status,
        reply.body
    );
}

/// Sets what a zone shall hold.
pub(crate) async fn want(client: &Client, zone: &str, records: Value) -> Reply {
    client
        .put(
            &format!("/api/v1/dns/zones/{zone}/records"),
            &json!({"records": records}),
        )
        .await
}

/// [`want`], accepted.
pub(crate) async fn want_accepted(client: &Client, zone: &str, records: Value) {
    let reply = want(client, zone, records).await;
    assert!(
        (200..300).contains(&reply.status),
        "{} {}",
        reply.status,
        reply.body
    );
}

/// Sets that a zone shall hold nothing of ours any more.
pub(crate) async fn want_nothing(client: &Client, zone: &str) {
    let path = format!("/api/v1/dns/zones/{zone}/records?allow_empty=true");
    let reply = client.put(&path, &json!({"records": []})).await;
    assert!(
        (200..300).contains(&reply.status),
        "{} {}",
        reply.status,
        reply.body
    );
}

/// How it stands with a zone, as this member tells it.
pub(crate) async fn zone_status(client: &Client, zone: &str) -> Result<Value, String> {
    let reply = client.send("GET", "/api/v1/dns/status", &[], "").await?;
    let status = reply.json();
    let zones = status["zones"].as_array().filter(|_| reply.status == 200);
    zones
        .and_then(|zones| zones.iter().find(|status| status["zone"] == zone))
        .cloned()
        .ok_or_else(|| format!("no status of {zone}: {} {}", reply.status, reply.body))
}

/// Waits until a member says that nothing is left to be done in a zone, and nothing is refused.
pub(crate) async fn in_sync(client: &Client, zone: &str) {
    eventually(&format!("{zone} is in sync"), async || {
        let status = zone_status(client, zone).await?;
        let settled = status["state"] == "in-sync" && status["refused"] == 0;
        if settled {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
}

/// Waits until a zone's status contains all of these words; returns it as text.
pub(crate) async fn status_says(client: &Client, zone: &str, words: &[&str]) -> Value {
    eventually(
        &format!("the status of {zone} says {words:?}"),
        async || {
            let status = zone_status(client, zone).await?;
            let text = status.to_string();
            if words.iter().all(|word| text.contains(word)) {
                Ok(status)
            } else {
                Err(text)
            }
        },
    )
    .await
}

/// What would be done in a zone now: the actions that change something, as `kind name type`.
pub(crate) async fn planned(client: &Client, zone: &str) -> Vec<String> {
    let reply = client.get(&format!("/api/v1/dns/plan?zone={zone}")).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let plan = reply.json();
    let zones = plan["zones"]
        .as_array()
        .unwrap_or_else(|| panic!("no zones in {plan}"));
    let plan = zones
        .iter()
        .find(|plan| plan["zone"] == zone)
        .expect("the zone's plan");
    let actions = plan["actions"]
        .as_array()
        .unwrap_or_else(|| panic!("no actions in {plan}"));
    let text = |action: &Value, field: &str| action[field].as_str().unwrap_or("?").to_owned();
    actions
        .iter()
        .filter(|action| action["action"] != "none")
        .map(|action| {
            let key = &action["key"];
            format!(
                "{} {} {}",
                text(action, "action"),
                text(key, "name"),
                text(key, "type")
            )
        })
        .collect()
}
