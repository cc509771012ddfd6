//! Plugins are files: dropped in, swapped and broken while the daemon runs.

use std::fs;

use portolan_tests::{Client, Daemon, built_plugins, eventually};
use serde_json::Value;
use tempfile::TempDir;

async fn plugins(client: &Client) -> Result<Vec<Value>, String> {
    let reply = client.send("GET", "/api/v1/plugins", &[], "").await?;
    let list = reply.json()["plugins"].as_array().cloned();
    list.ok_or_else(|| format!("no list: {} {}", reply.status, reply.body))
}

/// Waits until the plugin of this file is in this state; returns it.
async fn in_state(client: &Client, file: &str, state: &str) -> Value {
    eventually(&format!("{file} is {state}"), async || {
        let all = plugins(client).await?;
        let found = all
            .iter()
            .find(|plugin| plugin["file"] == file && plugin["state"] == state);
        found.cloned().ok_or_else(|| format!("{all:?}"))
    })
    .await
}

#[tokio::test]
async fn the_directory_is_followed_and_a_broken_file_disturbs_nothing() {
    let home = TempDir::new().unwrap();
    let directory = home.path().join("plugins");
    fs::create_dir(&directory).unwrap();
    let built = built_plugins();
    fs::copy(built.join("powerdns.wasm"), directory.join("powerdns.wasm")).unwrap();
    fs::write(directory.join("broken.wasm"), "this is no component").unwrap();
    let mut member = Daemon::new(home.path(), 1).plugins(&directory);
    member.start_ready().await;
    let client = member.client();

    let powerdns = in_state(&client, "powerdns.wasm", "ready").await;
    assert_eq!(powerdns["name"], "powerdns");
    assert_eq!(powerdns["digest"].as_str().unwrap().len(), 64);
    assert!(powerdns["error"].is_null());
    let broken = in_state(&client, "broken.wasm", "failed").await;
    assert!(
        broken["error"].as_str().unwrap().contains("component"),
        "{broken}"
    );

    // One is dropped in, under a temporary name first as careful copies do it.
    fs::copy(built.join("alidns.wasm"), directory.join(".alidns.part")).unwrap();
    fs::rename(
        directory.join(".alidns.part"),
        directory.join("alidns.wasm"),
    )
    .unwrap();
    assert_eq!(
        in_state(&client, "alidns.wasm", "ready").await["name"],
        "alidns"
    );

    // A replacement that is broken leaves the version before it running.
    fs::write(directory.join("powerdns.wasm"), "no component either").unwrap();
    let outdated = in_state(&client, "powerdns.wasm", "outdated").await;
    assert_eq!(outdated["digest"], powerdns["digest"]);
    assert!(outdated["error"].is_string(), "{outdated}");
    fs::copy(built.join("powerdns.wasm"), directory.join("powerdns.wasm")).unwrap();
    in_state(&client, "powerdns.wasm", "ready").await;

    // What is mended is loaded, what is removed is gone.
    fs::copy(built.join("alidns.wasm"), directory.join("broken.wasm")).unwrap();
    eventually("the second of one name is refused", async || {
        let twin = in_state(&client, "broken.wasm", "failed").await;
        let reason = twin["error"].as_str().unwrap_or_default().to_owned();
        if reason.contains("alidns") {
            Ok(())
        } else {
            Err(reason)
        }
    })
    .await;
    fs::remove_file(directory.join("broken.wasm")).unwrap();
    fs::remove_file(directory.join("alidns.wasm")).unwrap();
    eventually("one plugin is left", async || {
        let all = plugins(&client).await?;
        if all.len() == 1 {
            Ok(())
        } else {
            Err(format!("{all:?}"))
        }
    })
    .await;
    client
        .write("the member", "was not disturbed")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_plugin_directory_that_does_not_exist_is_an_error_that_names_it() {
    let home = TempDir::new().unwrap();
    let missing = home.path().join("nowhere");
    let mut member = Daemon::new(home.path(), 1).plugins(&missing);
    let (status, said) = member.start_and_fail().await;
    assert!(!status.success());
    assert!(said.contains(missing.to_str().unwrap()), "{said}");
}
