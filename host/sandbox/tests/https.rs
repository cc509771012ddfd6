//! TLS: whom the guard's client trusts, and what then passes.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails says so"
)]

mod common;

use std::path::Path;

use common::{
    SECRET, Stub, grants, load, options, provider_error, sandbox_resolving, tell, tls::Authority,
};
use portolan_sandbox::{DnsPlugin, ProviderError, Sandbox, SandboxOptions};
use serde_json::json;

/// The name in the server's certificate, and another one that leads to the same server.
const NAME: &str = "api.test";
const OTHER_NAME: &str = "other.test";

fn trusting(ca_file: &Path) -> SandboxOptions {
    SandboxOptions {
        extra_ca_file: Some(ca_file.to_owned()),
        ..options()
    }
}

/// A plugin that may call `stub` by both names.
async fn caller(options: SandboxOptions, stub: &Stub) -> DnsPlugin {
    let here: &[&str] = &["127.0.0.1"];
    let sandbox = sandbox_resolving(options, &[(NAME, here), (OTHER_NAME, here)]);
    let port = stub.port();
    let hosts = [NAME, OTHER_NAME]
        .map(|name| json!({ "url": format!("https://{name}:{port}"), "private": true }));
    load(&sandbox, "caller").await.dns(grants(json!(hosts)))
}

fn send(name: &str, stub: &Stub) -> String {
    let port = stub.port();
    format!("send POST https://{name}:{port}/echo\nx-api-key: {{{{key}}}}\n\nthe body")
}

fn handshake_error(result: Result<(String, String), portolan_sandbox::CallError>) -> String {
    match provider_error(result) {
        // Certainly not sent, so it may be tried again.
        ProviderError::Transient(text) => text,
        other => panic!("not a failed handshake: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_reaches_a_server_whose_authority_is_trusted_under_its_own_name_only() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let ca_file = dir.path().join("ca.pem");
    authority.publish(&ca_file);
    let stub = Stub::start_tls(authority.server(NAME)).await;
    let plugin = caller(trusting(&ca_file), &stub).await;

    let (status, reply) = tell(&plugin, &send(NAME, &stub)).await.unwrap();
    assert_eq!(status, "200");
    let request = stub.received().pop().unwrap();
    assert!(
        request.starts_with("POST /echo HTTP/1.1\r\n") && request.ends_with("the body"),
        "{request}"
    );
    assert!(
        request.contains(&format!("x-api-key: {SECRET}\r\n")),
        "{request}"
    );
    assert!(
        reply.contains("x-api-key: [masked]") && !reply.contains(SECRET),
        "{reply}"
    );

    let text = handshake_error(tell(&plugin, &send(OTHER_NAME, &stub)).await);
    assert!(text.contains("not valid for name"), "{text}");
    assert_eq!(stub.received().len(), 1, "nothing was said to it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_nobody_named_is_not_trusted() {
    let stub = Stub::start_tls(Authority::new().server(NAME)).await;
    let plugin = caller(options(), &stub).await;
    let text = handshake_error(tell(&plugin, &send(NAME, &stub)).await);
    assert!(text.contains("UnknownIssuer"), "{text}");
    assert!(stub.received().is_empty());
}

#[test]
fn a_file_without_certificates_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (missing, empty) = (dir.path().join("missing.pem"), dir.path().join("empty.pem"));
    std::fs::write(&empty, "no certificate").unwrap();
    for (file, reason) in [(missing, "No such file"), (empty, "no certificate in PEM")] {
        let setup = Sandbox::new(trusting(&file), &prometheus::Registry::new());
        let error = setup.err().expect("must be refused").to_string();
        let expected = format!("sandbox option `extra_ca_file`: {}: ", file.display());
        assert!(
            error.starts_with(&expected) && error.contains(reason),
            "{error}"
        );
    }
}
