//! BIND (Debian's `bind9`) with two views: `CT` for one key and clients at 127.0.0.2, and the rest.

use std::fs;
use std::process::Command;

use crate::nameserver::{Key, NameServer, Setup};

impl NameServer {
    /// Starts a BIND.
    pub async fn bind() -> Self {
        let keys = vec![
            Key::new("CT", "telecom-key", "hmac-sha512", "tsig-key-CT"),
            Key::new("default", "default-key", "hmac-sha256", "tsig-key"),
        ];
        Self::start("bind9", keys, |setup| {
            let file = setup.home.join("named.conf");
            fs::write(&file, configuration(setup)).expect("write named.conf");
            let mut command = Command::new("named");
            // In the foreground, its log on stderr; one thread is enough.
            command.args(["-g", "-n", "1", "-c"]).arg(file);
            command
        })
        .await
    }
}

fn configuration(setup: &Setup) -> String {
    let (home, port) = (setup.home.display(), setup.port);
    let mut text = format!(
        "options {{\n\
           directory \"{home}\"; pid-file \"{home}/named.pid\";\n\
           session-keyfile \"{home}/session.key\"; lock-file none;\n\
           listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
           recursion no; dnssec-validation no; notify no; empty-zones-enable no;\n\
           allow-transfer {{ none; }};\n\
         }};\n\
         controls {{ }};\n"
    );
    for key in setup.keys {
        text.push_str(&format!(
            "key \"{}\" {{ algorithm {}; secret \"{}\"; }};\n",
            key.name, key.algorithm, key.secret
        ));
    }
    for key in setup.keys {
        // A key decides before an address does.
        let clients = match key.line {
            "default" => "any;".to_owned(),
            _ => format!("key {}; !key default-key; 127.0.0.2;", key.name),
        };
        text.push_str(&format!(
            "view \"{}\" {{\n  match-clients {{ {clients} }};\n",
            key.line
        ));
        for zone in setup.zones {
            text.push_str(&format!(
                "  zone \"{zone}\" {{\n\
                     type primary; file \"{home}/{}/{zone}\";\n\
                     allow-transfer {{ key {}; }};\n\
                     update-policy {{ deny * name {}; grant {} zonesub ANY; }};\n\
                   }};\n",
                key.line, key.name, setup.locked, key.name
            ));
        }
        text.push_str("};\n");
    }
    text
}
