//! A real DNS server on loopback that takes dynamic updates, and Debian's tools to look past the plugin:
//! `dig` and `nsupdate`.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use portolan_vendors::{Binding, Seen, Trouble, Vendor, When};
use serde_json::json;
use tempfile::TempDir;

use crate::dns_front::{DnsFault, DnsFront};
use crate::ports::Port;
use crate::process::Process;
use crate::wait::eventually;

/// The zone that vendors have in tests.
const ZONE: &str = "example.com";
/// One more, of no interest.
const OTHER_ZONE: &str = "example.org";
/// A name of the first zone that BIND lets no key change.
const LOCKED: &str = "locked.example.com";

/// A key, in the server's configuration and in a binding.
pub(crate) struct Key {
    /// The line of the view that it chooses.
    pub(crate) line: &'static str,
    pub(crate) name: &'static str,
    pub(crate) algorithm: &'static str,
    pub(crate) secret: String,
    credential: &'static str,
}

impl Key {
    pub(crate) fn new(
        line: &'static str,
        name: &'static str,
        algorithm: &'static str,
        credential: &'static str,
    ) -> Self {
        // Another server that took our port meanwhile does not know it.
        let secret: [u8; 32] = rand::random();
        Self {
            line,
            name,
            algorithm,
            secret: STANDARD.encode(secret),
            credential,
        }
    }

    /// As `dig` and `nsupdate` take it.
    fn argument(&self) -> String {
        format!("{}:{}:{}", self.algorithm, self.name, self.secret)
    }
}

/// What a configuration is made of.
pub(crate) struct Setup<'a> {
    pub(crate) home: &'a Path,
    pub(crate) port: u16,
    pub(crate) keys: &'a [Key],
    pub(crate) zones: [&'static str; 2],
    pub(crate) locked: &'static str,
}

/// A record as `dig` shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShownRecord {
    /// Without the trailing dot.
    pub name: String,
    /// In upper case.
    pub rtype: String,
    /// Seconds.
    pub ttl: u32,
    /// Without the trailing dot of host names.
    pub content: String,
}

/// A running server with temporary data, two zones, and a front that makes it fail. Dropping it ends it
/// and removes the data.
pub struct NameServer {
    process: Process,
    front: DnsFront,
    address: SocketAddr,
    keys: Vec<Key>,
    // After the process: it ends before its files and its port go.
    _home: TempDir,
    _port: Port,
}

impl NameServer {
    /// Starts what `command` makes of the setup.
    pub(crate) async fn start(
        package: &str,
        keys: Vec<Key>,
        command: impl FnOnce(&Setup) -> Command,
    ) -> Self {
        let home = TempDir::new().expect("create a temporary directory");
        let port = Port::reserve();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        for key in &keys {
            let directory = home.path().join(key.line);
            fs::create_dir(&directory).expect("create a view's directory");
            for zone in [ZONE, OTHER_ZONE] {
                fs::write(directory.join(zone), zone_file(key.line)).expect("write a zone");
            }
        }
        let command = command(&Setup {
            home: home.path(),
            port: port.number(),
            keys: &keys,
            zones: [ZONE, OTHER_ZONE],
            locked: LOCKED,
        });
        let process = Process::start(package, command, &home.path().join("log"));
        let mut server = Self {
            process,
            front: DnsFront::before(address).await,
            address,
            keys,
            _home: home,
            _port: port,
        };
        server.answering().await;
        server
    }

    async fn answering(&mut self) {
        eventually("the server answers", async || {
            if let Some(status) = self.process.ended() {
                panic!("the server ended with {status}: {}", self.process.log());
            }
            self.transferred(ZONE, "default").ok_or("dig shows no zone")
        })
        .await;
    }

    /// Where clients find it: its front.
    pub fn address(&self) -> SocketAddr {
        self.front.address()
    }

    /// The secret of the key of a line, in base64.
    pub fn secret(&self, line: &str) -> &str {
        &self.key(line).secret
    }

    /// The name that no key may change, at a BIND.
    pub fn locked(&self) -> &'static str {
        LOCKED
    }

    fn key(&self, line: &str) -> &Key {
        let key = self.keys.iter().find(|key| key.line == line);
        key.unwrap_or_else(|| panic!("the server has no view for the line {line}"))
    }

    /// All records of the zone in a line's view, past the front, in order.
    pub fn records(&self, line: &str) -> Vec<ShownRecord> {
        let records = self.transferred(ZONE, line);
        records.unwrap_or_else(|| panic!("dig shows no zone: {}", self.process.log()))
    }

    fn transferred(&self, zone: &str, line: &str) -> Option<Vec<ShownRecord>> {
        let shown = self.dig(&["-y", &self.key(line).argument(), zone, "AXFR"]);
        let mut records: Vec<ShownRecord> = shown.lines().filter_map(shown_record).collect();
        records.sort();
        (!records.is_empty()).then_some(records)
    }

    /// The answers that a client at this address of loopback gets, in order.
    pub fn answers_to(&self, client: Ipv4Addr, name: &str, rtype: &str) -> Vec<String> {
        let shown = self.dig(&["-b", &client.to_string(), name, rtype]);
        let records = shown.lines().filter_map(shown_record);
        let mut contents: Vec<String> = records.map(|record| record.content).collect();
        contents.sort();
        contents
    }

    fn dig(&self, arguments: &[&str]) -> String {
        let output = Command::new("dig")
            .args(["+tcp", "+tries=1", "+time=5", "+noall", "+answer"])
            .args(["+onesoa", &format!("@{}", self.address.ip()), "-p"])
            .arg(self.address.port().to_string())
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("cannot run dig (package bind9-dnsutils): {error}"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Changes the zone past the plugin: lines of `nsupdate`, such as `update add NAME TTL TYPE DATA`.
    pub fn nsupdate(&self, line: &str, updates: &str) {
        let script = format!(
            "server {} {}\nzone {ZONE}\n{updates}\nsend\n",
            self.address.ip(),
            self.address.port()
        );
        let mut child = Command::new("nsupdate")
            .args(["-v", "-y", &self.key(line).argument()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run nsupdate (bind9-dnsutils): {error}"));
        let mut input = child.stdin.take().expect("its input");
        input
            .write_all(script.as_bytes())
            .expect("write the script");
        drop(input);
        let output = child.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "nsupdate of `{updates}`: {said}");
    }

    /// What the server has written to its log.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn zone_file(line: &str) -> String {
    format!(
        "$TTL 3600\n\
         @ SOA ns1 hostmaster 1 3600 600 86400 60\n\
         @ NS ns1\n\
         ns1 A 192.0.2.53\n\
         view TXT \"{line}\"\n"
    )
}

/// A line of `dig +answer`.
fn shown_record(line: &str) -> Option<ShownRecord> {
    let mut rest = line;
    let mut next = || {
        let (field, after) = rest.split_once([' ', '\t'])?;
        rest = after.trim_start();
        Some(field)
    };
    let (name, ttl, _class, rtype) = (next()?, next()?, next()?, next()?);
    let content = match rtype {
        "CNAME" | "MX" | "NS" | "PTR" | "SRV" if rest != "." && !rest.ends_with(" .") => {
            rest.trim_end_matches('.')
        }
        _ => rest,
    };
    Some(ShownRecord {
        name: name.trim_end_matches('.').to_owned(),
        rtype: rtype.to_owned(),
        ttl: ttl.parse().ok()?,
        content: content.to_owned(),
    })
}

#[async_trait]
impl Vendor for NameServer {
    fn binding(&self) -> Binding {
        let default = self.key("default");
        let others = self.keys.iter().filter(|key| key.line != "default");
        let views = others.map(|key| {
            let view = json!({ "key-name": key.name, "algorithm": key.algorithm });
            (key.line.to_owned(), view)
        });
        let views: serde_json::Map<_, _> = views.collect();
        let credentials = self.keys.iter();
        Binding {
            plugin: "rfc2136",
            settings: json!({
                "server": self.address().to_string(),
                "key-name": default.name,
                "algorithm": default.algorithm,
                "zones": [ZONE, OTHER_ZONE],
                "views": views,
            }),
            credentials: credentials
                .map(|key| (key.credential.to_owned(), key.secret.clone()))
                .collect(),
            hosts: vec![format!("dns://{}", self.address())],
        }
    }

    fn wrong_binding(&self) -> Binding {
        let other = STANDARD.encode([7; 32]);
        self.binding()
            .with_credential(self.key("default").credential, &other)
    }

    fn zone(&self) -> &str {
        ZONE
    }

    fn trouble(&self, when: When, trouble: Trouble) -> bool {
        let fault = match trouble {
            // DNS knows no such answer.
            Trouble::Throttled(_) => return false,
            Trouble::Silence => DnsFault::Silence,
            Trouble::Cut => DnsFault::Cut,
            Trouble::Nonsense => DnsFault::Nonsense,
        };
        self.front.next(when, fault);
        true
    }

    fn clear_troubles(&self) -> usize {
        self.front.clear_faults()
    }

    fn seen(&self) -> Vec<Seen> {
        self.front.seen()
    }

    async fn insert_with_extras(&self, _: &str, _: &str) -> bool {
        // A zone has nothing beside its records.
        false
    }

    async fn extras(&self, _: &str) -> String {
        String::new()
    }

    async fn addresses(&self, name: &str, line: &str) -> Vec<String> {
        let records = self.records(line).into_iter();
        let ours = records.filter(|record| record.name == name && record.rtype == "A");
        ours.map(|record| record.content).collect()
    }

    fn line(&self) -> Option<&'static str> {
        let mut lines = self.keys.iter().map(|key| key.line);
        lines.find(|line| *line != "default")
    }

    async fn meddle(&self, name: &str, rtype: &str, content: &str) {
        let data = match rtype {
            "CNAME" | "MX" | "NS" | "PTR" | "SRV" => format!("{content}."),
            _ => content.to_owned(),
        };
        let updates =
            format!("update delete {name}. {rtype}\nupdate add {name}. 600 {rtype} {data}");
        self.nsupdate("default", &updates);
    }
}
