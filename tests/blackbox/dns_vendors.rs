//! The story of DNS steering through every provider: a site dies, its line moves; it returns, and the line
//! comes back. The daemon and the components are the ones that ship; what stands in the zone is read past
//! the plugin.

use std::net::Ipv4Addr;

use portolan_tests::{Client, FrontedPowerDns, NameServer, Port, built_plugins, eventually};
use portolan_vendors::{
    AliStub, Binding, CloudflareStub, DigitalOcean, DnspodStub, Front, Hetzner, Huawei, Moto,
    Vendor,
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::dns::{bind, cluster_with_plugins};

/// What the sites' records hold.
const HOME: &str = "203.0.113.1";
const OTHER: &str = "203.0.113.2";

/// A server at a site: it takes connections for as long as it lives.
struct Server(JoinHandle<()>);

impl Server {
    async fn start(address: Ipv4Addr, port: u16) -> Self {
        let listener = TcpListener::bind((address, port)).await.unwrap();
        Self(tokio::spawn(async move {
            while let Ok(connection) = listener.accept().await {
                drop(connection);
            }
        }))
    }

    async fn kill(self) {
        self.0.abort();
        let _ = self.0.await;
    }
}

async fn steer(client: &Client, vendor: &dyn Vendor, line: &str, port: u16) {
    let Binding {
        plugin,
        settings,
        credentials,
        hosts,
    } = vendor.binding();
    let binding = json!({
        "plugin": plugin, "settings": settings, "credentials": credentials, "hosts": hosts,
        "zones": [vendor.zone()],
    });
    bind(client, "vendor", &binding).await;
    // The other site has the line `default`; where that is the line in question, it comes second.
    for (code, line, address, check_address) in [
        ("home", line, HOME, "127.0.0.2"),
        ("other", "default", OTHER, "127.0.0.3"),
    ] {
        let priority = u32::from(code == "other");
        let site = json!({
            "lines": [{"line": line, "priority": priority}],
            "addresses": {"ipv4": [address]},
            "check_address": check_address,
        });
        let reply = client
            .put(&format!("/api/v1/dns/sites/{code}"), &site)
            .await;
        assert_eq!(reply.status, 200, "{}", reply.complaint());
    }
    let service = json!({
        "zone": vendor.zone(), "record": "www", "types": ["A"], "ttl": 600,
        "check": {"type": "tcp", "port": port, "stable_ms": 1_000, "up_after": 2, "down_after": 2},
    });
    let reply = client.put("/api/v1/dns/services/www", &service).await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
}

async fn a_line_follows_its_sites(vendor: &dyn Vendor) {
    let line = vendor.line().unwrap_or("default");
    let port = Port::reserve();
    let (home, other) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let at_home = Server::start(home, port.number()).await;
    let _elsewhere = Server::start(other, port.number()).await;
    let cluster = cluster_with_plugins(&built_plugins()).await;
    steer(&cluster.client(0), vendor, line, port.number()).await;

    let name = format!("www.{}", vendor.zone());
    let holds = async |address: &str| {
        eventually(&format!("{line} is at {address}"), async || {
            match vendor.addresses(&name, line).await {
                found if found == [address] => Ok(()),
                found => Err(format!("{found:?}")),
            }
        })
        .await;
    };
    holds(HOME).await;
    at_home.kill().await;
    holds(OTHER).await;
    let _again = Server::start(home, port.number()).await;
    holds(HOME).await;
}

/// One test for each vendor.
macro_rules! stories {
    ($($provider:ident: $vendor:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $provider() {
            a_line_follows_its_sites(&$vendor).await;
        }
    )*};
}

stories! {
    powerdns: FrontedPowerDns::start().await;
    powerdns_lines: FrontedPowerDns::with_lines().await;
    alidns: AliStub::start("LTAI-test", "secret", &["example.com"]).await;
    cloudflare: CloudflareStub::start("cf-token", &["example.com"]).await;
    digitalocean: Front::start(DigitalOcean::new()).await;
    hetzner: Front::start(Hetzner::new()).await;
    dnspod: DnspodStub::start("AKIDz8krbsJ5yKBZQpn74WFkmLPx3", "secret", &["example.com"]).await;
    huaweicloud: Front::start(Huawei::new()).await;
    route53: Moto::start().await;
    rfc2136_bind: NameServer::bind().await;
    rfc2136_knot: NameServer::knot().await;
    rfc2136_powerdns: NameServer::powerdns().await;
}
