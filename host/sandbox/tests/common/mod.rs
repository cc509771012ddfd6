//! What the sandbox's tests share: the guest, a stub server with and without TLS, a resolver that lies
//! on demand.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod dns;
pub mod tls;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    pin::Pin,
    process::Command,
    sync::{Arc, Mutex},
};

use portolan_sandbox::{
    CallError, DnsPlugin, Grants, Lookup, Plugin, ProviderError, Sandbox, SandboxOptions,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// A credential's value, as no plugin must ever see it.
pub const SECRET: &str = "s3cret+value/42";

/// Limits small enough for tests to reach.
pub fn options() -> SandboxOptions {
    SandboxOptions {
        deadline_ms: 3_000,
        compute_ms: 300,
        memory_bytes: 32 << 20,
        host_calls: 20_000,
        requests: 5,
        sent_bytes: 100_000,
        received_bytes: 1 << 20,
        request_ms: 1_000,
        connect_ms: 500,
        breaker_failures: 1_000,
        cache_dir: Some(target_tmp().join("sandbox-code")),
        ..SandboxOptions::default()
    }
}

pub fn sandbox(options: SandboxOptions) -> Arc<Sandbox> {
    Sandbox::new(options, &prometheus::Registry::new()).unwrap()
}

fn target_tmp() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// The guest as cargo built it, beside everything else that is built, because most of what it needs is
/// there already. Cargo's lock makes concurrent tests share one build.
pub fn guest() -> Vec<u8> {
    built("portolan-sandbox-guest", "dev")
}

/// The migration policy that misbehaves.
pub fn guest_policy() -> Vec<u8> {
    built("portolan-sandbox-guest-policy", "dev")
}

/// A plugin as it ships, with its manifest.
pub fn shipped(plugin: &str) -> Vec<u8> {
    built(&format!("portolan-{plugin}"), "plugin")
}

fn built(package: &str, profile: &str) -> Vec<u8> {
    let target = target_tmp().join("..");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", package])
        .args(["--target", "wasm32-wasip2", "--profile", profile])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .unwrap();
    assert!(status.success(), "{package} does not build");
    let directory = if profile == "dev" { "debug" } else { profile };
    let file = format!(
        "wasm32-wasip2/{directory}/{}.wasm",
        package.replace('-', "_")
    );
    std::fs::read(target.join(file)).unwrap()
}

pub fn manifest(name: &str) -> Value {
    json!({
        "manifest": 1,
        "name": name,
        "version": "0.1.0",
        "description": "for tests",
        "world": "portolan:dns/dns-provider@0.1.0",
        "hosts": ["api.example.com"],
        "credentials": [
            { "name": "key", "description": "the API key", "required": false },
            { "name": "spare", "required": false },
        ],
        "settings": {
            "type": "object",
            "properties": { "server": { "type": "string" } },
            "additionalProperties": false,
        },
    })
}

/// A component with this manifest.
pub fn component(manifest: &Value) -> Vec<u8> {
    with_manifest(&guest(), manifest)
}

/// Appends the manifest as a custom section.
pub fn with_manifest(component: &[u8], manifest: &Value) -> Vec<u8> {
    fn leb(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }
    let name = "portolan:manifest";
    let mut content = leb(name.len());
    content.extend(name.as_bytes());
    content.extend(manifest.to_string().as_bytes());
    let mut whole = component.to_vec();
    whole.push(0);
    whole.extend(leb(content.len()));
    whole.extend(content);
    whole
}

pub async fn load(sandbox: &Arc<Sandbox>, name: &str) -> Plugin {
    sandbox.load(component(&manifest(name))).await.unwrap()
}

/// Grants of these hosts, with the credential `key`.
pub fn grants(hosts: Value) -> Arc<Grants> {
    let grants = json!({ "binding": "lab", "hosts": hosts, "credentials": { "key": SECRET } });
    Arc::new(serde_json::from_value(grants).unwrap())
}

/// Gives the guest a command.
pub async fn tell(plugin: &DnsPlugin, command: &str) -> Result<(String, String), CallError> {
    let mut lines = plugin.lines(command).await?;
    let line = lines.remove(0);
    Ok((line.code, line.label))
}

/// The provider's error, or what came instead.
pub fn provider_error(result: Result<(String, String), CallError>) -> ProviderError {
    match result {
        Err(CallError::Provider { error, .. }) => error,
        other => panic!("not a provider's error: {other:?}"),
    }
}

/// A resolver with fixed answers.
pub struct FixedLookup(pub HashMap<&'static str, Vec<IpAddr>>);

impl Lookup for FixedLookup {
    fn lookup(
        &self,
        host: String,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        let answer = self.0.get(host.as_str()).cloned();
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
    }
}

/// A sandbox whose names lead where the test wants.
pub fn sandbox_resolving(
    options: SandboxOptions,
    names: &[(&'static str, &[&str])],
) -> Arc<Sandbox> {
    let names = names
        .iter()
        .map(|(name, ips)| (*name, ips.iter().map(|ip| ip.parse().unwrap()).collect()))
        .collect();
    let lookup = Arc::new(FixedLookup(names));
    Sandbox::with_lookup(options, &prometheus::Registry::new(), lookup).unwrap()
}

/// A small HTTP server on loopback that keeps what it received.
pub struct Stub {
    pub address: SocketAddr,
    pub received: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    pub async fn start() -> Self {
        let (stub, listener) = Self::bind().await;
        let received = stub.received.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, received.clone()));
            }
        });
        stub
    }

    /// The same behind TLS.
    pub async fn start_tls(acceptor: TlsAcceptor) -> Self {
        let (stub, listener) = Self::bind().await;
        let received = stub.received.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, received) = (acceptor.clone(), received.clone());
                tokio::spawn(async move {
                    // A client that does not trust us breaks the handshake off.
                    serve(acceptor.accept(stream).await.ok()?, received).await
                });
            }
        });
        stub
    }

    async fn bind() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stub = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
        };
        (stub, listener)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn grant(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

/// Answers one request by its path.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    received: Arc<Mutex<Vec<String>>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let length = head
        .lines()
        .filter_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        })
        .next()
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let request = format!("{head}{}", String::from_utf8_lossy(&body));
    received.lock().unwrap().push(request.clone());

    let target = head.split(' ').nth(1)?.to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let stream = stream.get_mut();
    match path {
        "/echo" => {
            // Once more in base64 and in a header, as sloppy servers do.
            use base64::{Engine, engine::general_purpose::STANDARD};
            let key = head
                .lines()
                .find_map(|line| line.strip_prefix("x-api-key: "))
                .unwrap_or("none");
            let body = format!(
                "{request}\nbase64: {}",
                STANDARD.encode(format!("user:{key}"))
            );
            reply(stream, "200 OK", &format!("x-echo: {key}\r\n"), &body).await
        }
        "/redirect" => {
            reply(
                stream,
                "307 Temporary",
                &format!("location: {query}\r\n"),
                "",
            )
            .await
        }
        "/see-other" => {
            reply(
                stream,
                "303 See Other",
                &format!("location: {query}\r\n"),
                "",
            )
            .await
        }
        "/circle" => reply(stream, "302 Found", "location: /circle\r\n", "").await,
        "/bomb" => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
                .await
                .ok()?;
            while stream.write_all(&[b'x'; 64 << 10]).await.is_ok() {}
            None
        }
        "/silent" => std::future::pending().await,
        "/hangup" => None,
        "/cut" => stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            .await
            .ok(),
        _ => reply(stream, "404 Not Found", "", "no such path").await,
    }
}

async fn reply(
    stream: &mut (impl AsyncWrite + Unpin),
    status: &str,
    headers: &str,
    body: &str,
) -> Option<()> {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

/// Waits until `condition` holds, and fails after a while.
pub async fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    for _ in 0..200 {
        if let Some(value) = condition() {
            return value;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it never came true: {what}");
}

/// Replaces a file as a careful installer does.
pub fn put(dir: &Path, name: &str, bytes: &[u8]) {
    let temporary = dir.join(".partial");
    std::fs::write(&temporary, bytes).unwrap();
    std::fs::rename(temporary, dir.join(name)).unwrap();
}
