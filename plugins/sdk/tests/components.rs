//! The components that ship: built as they ship, then looked at without running them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use wasmparser::{ComponentExternalKind, Parser, Payload};

/// The largest component that ships, in bytes.
const MAX_BYTES: usize = 300_000;
/// What every plugin may import: what Rust's standard library asks of WASI. The daemon answers it
/// emptily.
const STANDARD_LIBRARY: [&str; 2] = ["wasi:cli/", "wasi:io/"];

/// What a kind of plugin has in common.
struct Kind {
    world: &'static str,
    interface: &'static str,
    imports: &'static [&'static str],
}

const PROVIDER: Kind = Kind {
    world: "portolan:dns/dns-provider@0.1.0",
    interface: "portolan:dns/provider@0.1.0",
    imports: &["portolan:plugin/"],
};

const POLICY: Kind = Kind {
    world: "portolan:migration/migration-policy@0.1.0",
    interface: "portolan:migration/policy@0.1.0",
    imports: &["portolan:plugin/log@"],
};

/// The components that ship, with the hosts that they ask for.
const SHIPPED: &[(&str, &Kind, &[&str])] = &[
    ("powerdns", &PROVIDER, &[]),
    ("alidns", &PROVIDER, &["alidns.aliyuncs.com"]),
    ("cloudflare", &PROVIDER, &["api.cloudflare.com"]),
    ("digitalocean", &PROVIDER, &["api.digitalocean.com"]),
    ("dnspod", &PROVIDER, &["dnspod.tencentcloudapi.com"]),
    ("hetzner", &PROVIDER, &["api.hetzner.cloud"]),
    (
        "huaweicloud",
        &PROVIDER,
        &["dns.cn-north-4.myhuaweicloud.com"],
    ),
    ("rfc2136", &PROVIDER, &[]),
    ("route53", &PROVIDER, &["route53.amazonaws.com"]),
    ("even-slots", &POLICY, &[]),
    ("drain", &POLICY, &[]),
    ("hot-slots", &POLICY, &[]),
];

/// What can be seen of a component from outside.
struct Component {
    bytes: usize,
    imports: Vec<String>,
    exports: Vec<String>,
    manifests: Vec<Value>,
}

#[test]
fn every_component_is_small_modest_and_carries_its_manifest() {
    let directory = build();
    for &(name, kind, hosts) in SHIPPED {
        let file = format!("portolan_{}.wasm", name.replace('-', "_"));
        let component = inspect(&directory.join(file));

        assert!(
            component.bytes < MAX_BYTES,
            "{name} has {} bytes",
            component.bytes
        );
        assert_eq!(component.exports, [kind.interface], "{name}");
        for import in &component.imports {
            let mut packages = STANDARD_LIBRARY.iter().chain(kind.imports);
            let allowed = packages.any(|package| import.starts_with(package));
            assert!(allowed, "{name} imports {import}");
        }
        let [manifest] = component.manifests.as_slice() else {
            panic!("{name} has {} manifests", component.manifests.len());
        };
        assert_eq!(manifest["manifest"], 1);
        assert_eq!(manifest["name"], name);
        assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(manifest["world"], kind.world);
        let asked = manifest["hosts"].as_array().cloned().unwrap_or_default();
        assert_eq!(asked, hosts, "{name}");
    }
}

/// Builds the components; nothing to do where they are up to date.
fn build() -> PathBuf {
    let packages = SHIPPED
        .iter()
        .map(|(name, ..)| format!("--package=portolan-{name}"));
    let output = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--target=wasm32-wasip2",
            "--profile=plugin",
        ])
        .args(packages)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Cargo gives tests `<target>/tmp`.
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("wasm32-wasip2/plugin")
}

fn inspect(file: &Path) -> Component {
    let wasm = fs::read(file).unwrap();
    let mut component = Component {
        bytes: wasm.len(),
        imports: Vec::new(),
        exports: Vec::new(),
        manifests: Vec::new(),
    };
    // The component itself is at depth 1; what is nested in it has imports and exports of its own.
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(&wasm) {
        match payload.unwrap() {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                let names = section
                    .into_iter()
                    .map(|import| import.unwrap().name.name.to_owned());
                component.imports.extend(names);
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                let exports = section.into_iter().map(Result::unwrap);
                let instances =
                    exports.filter(|export| export.kind == ComponentExternalKind::Instance);
                component
                    .exports
                    .extend(instances.map(|export| export.name.name.to_owned()));
            }
            Payload::CustomSection(section) if section.name() == "portolan:manifest" => {
                component
                    .manifests
                    .push(serde_json::from_slice(section.data()).unwrap());
            }
            _ => {}
        }
    }
    component
}
