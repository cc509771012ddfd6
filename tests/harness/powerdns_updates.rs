//! A PowerDNS (Debian's `pdns-server`) that takes dynamic updates. It has no views.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use crate::nameserver::{Key, NameServer, Setup};
use crate::powerdns;

impl NameServer {
    /// Starts a PowerDNS.
    pub async fn powerdns() -> Self {
        let keys = vec![Key::new(
            "default",
            "default-key",
            "hmac-sha256",
            "tsig-key",
        )];
        Self::start("PowerDNS", keys, |setup| {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, setup.port));
            let updates = "dnsupdate=yes\nallow-dnsupdate-from=127.0.0.0/8\n";
            let configuration = powerdns::configuration(setup.home, address) + updates;
            fs::write(setup.home.join("pdns.conf"), configuration).expect("write pdns.conf");
            powerdns::create_database(setup.home);
            create_zones(setup);
            let mut command = Command::new("pdns_server");
            command.arg(format!("--config-dir={}", setup.home.display()));
            command
        })
        .await
    }
}

fn create_zones(setup: &Setup) {
    let key = &setup.keys[0];
    let pdnsutil = |arguments: &[&str]| {
        let output = Command::new("pdnsutil")
            .arg(format!("--config-dir={}", setup.home.display()))
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("cannot run pdnsutil (package pdns-server): {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pdnsutil {}: {said}", arguments[0]);
    };
    pdnsutil(&["import-tsig-key", key.name, key.algorithm, &key.secret]);
    for zone in setup.zones {
        let file = setup.home.join(key.line).join(zone);
        pdnsutil(&["load-zone", zone, file.to_str().expect("a path in UTF-8")]);
        for permission in ["TSIG-ALLOW-AXFR", "TSIG-ALLOW-DNSUPDATE"] {
            pdnsutil(&["set-meta", zone, permission, key.name]);
        }
        // Serials by one, as the others count; the date otherwise.
        pdnsutil(&["set-meta", zone, "SOA-EDIT-DNSUPDATE", "INCREASE"]);
    }
}
