//! Loading: what is refused, what is kept, and a directory that changes.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails says so"
)]

mod common;

use std::{fs, sync::Arc};

use common::{
    component, eventually, grants, guest, manifest, options, put, sandbox, tell, with_manifest,
};
use portolan_sandbox::{LoadError, PluginState, PluginStatus, Plugins, Sandbox};
use serde_json::json;

async fn refused(sandbox: &Arc<Sandbox>, bytes: Vec<u8>) -> LoadError {
    sandbox.load(bytes).await.err().expect("it loads")
}

/// A component that imports and exports these instances, and does nothing.
fn shape(imports: &[&str], exports: &[&str]) -> Vec<u8> {
    let mut text = "(component".to_owned();
    for import in imports {
        text += &format!(r#"(import "{import}" (instance))"#);
    }
    text += "(instance $empty)";
    for export in exports {
        text += &format!(r#"(export "{export}" (instance $empty))"#);
    }
    wat::parse_str(text + ")").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_plugin_is_refused_with_its_reason() {
    let mut options = options();
    options.component_bytes = 8 << 20;
    let sandbox = sandbox(options);
    let provider = "portolan:dns/provider@0.1.0";
    let good = manifest("good");

    let unknown = shape(&["portolan:plugin/htpp@0.1.0"], &[provider]);
    let error = refused(&sandbox, with_manifest(&unknown, &good)).await;
    assert_eq!(
        error,
        LoadError::UnknownImport {
            import: "portolan:plugin/htpp@0.1.0".into(),
            nearest: "portolan:plugin/http@0.1.0".into()
        }
    );
    let newer = shape(&["portolan:plugin/http@0.2.0"], &[provider]);
    assert!(matches!(
        refused(&sandbox, newer).await,
        LoadError::UnknownImport { .. }
    ));

    let module = wat::parse_str("(module)").unwrap();
    let mut future = good.clone();
    future["manifest"] = json!(2);
    let mut looping = good.clone();
    looping["settings"] = json!("not a schema");
    let mut other_world = good.clone();
    other_world["world"] = json!("portolan:migration/migration-policy@0.1.0");
    let whole = guest();
    for (bytes, expected) in [
        (b"#!/bin/sh".to_vec(), "not a WebAssembly component"),
        (module, "target wasm32-wasip2"),
        (vec![0; (8 << 20) + 1], "more than the limit of 8388608"),
        (
            shape(&[], &["portolan:dns/policy@0.1.0"]),
            "it exports portolan:dns/policy@0.1.0",
        ),
        (shape(&[], &[]), "it exports nothing"),
        (whole.clone(), "it has no manifest"),
        (
            with_manifest(&whole, &future),
            "version 2, and this daemon reads version 1",
        ),
        (
            with_manifest(&whole, &looping),
            "`settings` is no JSON Schema",
        ),
        (
            with_manifest(&whole, &other_world),
            "`world` is `portolan:migration/migration-policy@0.1.0`, but it exports portolan:dns",
        ),
        (
            with_manifest(&with_manifest(&whole, &good), &good),
            "there are 2 of them",
        ),
        (
            with_manifest(&shape(&[], &[provider]), &good),
            "it cannot be compiled",
        ),
        (
            whole[..whole.len() / 2].to_vec(),
            "not a WebAssembly component",
        ),
    ] {
        let error = refused(&sandbox, bytes).await.to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_is_found_in_a_nested_module_and_a_huge_memory_is_refused() {
    let sandbox = sandbox(options());
    let manifest = manifest("nested").to_string().replace('"', "\\\"");
    let text = format!(
        r#"(component
            (core module $m (@custom "portolan:manifest" "{manifest}") (memory 40000))
            (core instance (instantiate $m))
            (instance $empty)
            (export "portolan:dns/provider@0.1.0" (instance $empty)))"#
    );
    let error = refused(&sandbox, wat::parse_str(text).unwrap())
        .await
        .to_string();
    assert!(
        error.contains("minimum byte size of 2621440000 which exceeds the limit"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn compiled_code_is_kept_and_damage_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options();
    options.cache_dir = Some(dir.path().join("code"));
    let bytes = component(&manifest("kept"));
    let files = || -> Vec<_> {
        fs::read_dir(dir.path().join("code"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    };
    sandbox(options.clone()).load(bytes.clone()).await.unwrap();
    let kept = files();
    assert_eq!(kept.len(), 1);
    let written = fs::read(&kept[0]).unwrap();

    let mut damaged = written.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    fs::write(&kept[0], damaged).unwrap();
    let plugin = sandbox(options)
        .load(bytes)
        .await
        .unwrap()
        .dns(grants(json!([])));
    assert_eq!(tell(&plugin, "hello you").await.unwrap().1, "you");
    assert_eq!(fs::read(&kept[0]).unwrap(), written, "compiled again");
}

fn status(plugins: &Plugins, file: &str) -> Option<PluginStatus> {
    plugins
        .list()
        .into_iter()
        .find(|status| status.file == file)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let guest = guest();
    let version = |name: &str, version: &str| {
        let mut manifest = manifest(name);
        manifest["version"] = json!(version);
        with_manifest(&guest, &manifest)
    };
    put(dir, "a.wasm", &version("alpha", "1.0.0"));
    put(dir, "broken.wasm", b"nonsense");
    put(dir, "notes.txt", b"no plugin");
    let registry = prometheus::Registry::new();
    let sandbox = Sandbox::new(options(), &registry).unwrap();
    let plugins = Plugins::open(sandbox, Some(dir.to_owned())).await.unwrap();
    let mut changes = plugins.changes();

    // Given: one good file and a broken one, which disturbs nothing.
    let first = plugins.get("alpha").unwrap();
    let list = plugins.list();
    assert_eq!(
        list.iter().map(|s| s.file.as_str()).collect::<Vec<_>>(),
        ["a.wasm", "broken.wasm"]
    );
    assert_eq!(
        (list[0].state, list[1].state),
        (PluginState::Ready, PluginState::Failed)
    );
    assert_eq!(
        (list[1].name.as_str(), list[1].version.as_deref()),
        ("broken", None)
    );
    assert!(
        list[1]
            .error
            .as_ref()
            .unwrap()
            .contains("not a WebAssembly component")
    );
    let shown = serde_json::to_value(&list[0]).unwrap();
    assert_eq!(shown["state"], "ready");
    assert_eq!(shown["kind"], "dns-provider");
    assert_eq!(shown["asks"]["hosts"], json!(["api.example.com"]));
    assert_eq!(shown["limits"]["memory_bytes"], 32 << 20);
    assert_eq!(shown["digest"].as_str().unwrap().len(), 64);
    let imports = shown["imports"].as_array().unwrap();
    assert!(
        imports.contains(&json!("portolan:plugin/http@0.1.0")),
        "{imports:?}"
    );

    // A file that appears.
    put(dir, "b.wasm", &version("beta", "1.0.0"));
    changes.changed().await.unwrap();
    eventually("beta appears", || plugins.get("beta")).await;

    // A running call finishes on the old version while the file is swapped.
    let running = tokio::spawn({
        let bound = first.dns(grants(json!([])));
        async move { tell(&bound, "loop").await.unwrap_err().kind() }
    });
    put(dir, "a.wasm", &version("alpha", "2.0.0"));
    eventually("alpha 2", || {
        plugins
            .get("alpha")
            .filter(|plugin| plugin.manifest().version == "2.0.0")
    })
    .await;
    assert_eq!(running.await.unwrap(), "compute");
    assert_eq!(first.manifest().version, "1.0.0");

    // A broken new version leaves the one before it running.
    let half = version("alpha", "3.0.0");
    fs::write(dir.join("a.wasm"), &half[..half.len() / 2]).unwrap();
    let outdated = eventually("alpha 3 is broken", || {
        status(&plugins, "a.wasm").filter(|status| status.state == PluginState::Outdated)
    })
    .await;
    assert!(
        outdated
            .error
            .unwrap()
            .contains("not a WebAssembly component")
    );
    assert_eq!(plugins.get("alpha").unwrap().manifest().version, "2.0.0");
    // Then the rest of the file arrives.
    fs::write(dir.join("a.wasm"), &half).unwrap();
    eventually("alpha 3", || {
        status(&plugins, "a.wasm")
            .filter(|s| s.version.as_deref() == Some("3.0.0") && s.error.is_none())
    })
    .await;

    // Two files of one name: the one that came first keeps it, until it goes.
    put(dir, "a2.wasm", &version("alpha", "9.0.0"));
    let second = eventually("a2 is listed", || status(&plugins, "a2.wasm")).await;
    assert_eq!(second.state, PluginState::Failed);
    let error = second.error.unwrap();
    assert_eq!(
        error,
        "a.wasm already provides a plugin named `alpha`; remove one of the two"
    );
    assert_eq!(plugins.get("alpha").unwrap().manifest().version, "3.0.0");
    fs::remove_file(dir.join("a.wasm")).unwrap();
    eventually("alpha 9", || {
        plugins
            .get("alpha")
            .filter(|plugin| plugin.manifest().version == "9.0.0")
    })
    .await;

    // A file that goes.
    fs::remove_file(dir.join("b.wasm")).unwrap();
    eventually("beta goes", || plugins.get("beta").is_none().then_some(())).await;
    let metrics = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    assert!(
        metrics.contains(r#"portolan_plugin_loaded{plugin="alpha",version="9.0.0"} 1"#),
        "{metrics}"
    );
    assert!(!metrics.contains("beta"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_directory_means_no_plugins_and_a_missing_one_is_an_error() {
    let plugins = Plugins::open(sandbox(options()), None).await.unwrap();
    assert!(plugins.list().is_empty());
    let error = Plugins::open(sandbox(options()), Some("/nowhere/at/all".into()))
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
}
