//! Knot DNS (Debian's `knot`). It has no views.

use std::fs;
use std::process::Command;

use crate::nameserver::{Key, NameServer, Setup};

impl NameServer {
    /// Starts a Knot.
    pub async fn knot() -> Self {
        let keys = vec![Key::new(
            "default",
            "default-key",
            "hmac-sha384",
            "tsig-key",
        )];
        Self::start("knot", keys, |setup| {
            let file = setup.home.join("knot.conf");
            fs::write(&file, configuration(setup)).expect("write knot.conf");
            let mut command = Command::new("knotd");
            command.arg("-c").arg(file);
            command
        })
        .await
    }
}

fn configuration(setup: &Setup) -> String {
    let (home, port) = (setup.home.display(), setup.port);
    let key = &setup.keys[0];
    let mut text = format!(
        "server:\n  \
           rundir: \"{home}\"\n  \
           listen: 127.0.0.1@{port}\n  \
           udp-workers: 1\n  \
           tcp-workers: 1\n  \
           background-workers: 1\n\
         log:\n  \
         - target: stderr\n    \
           any: info\n\
         database:\n  \
           storage: \"{home}\"\n\
         key:\n  \
         - id: {}\n    \
           algorithm: {}\n    \
           secret: {}\n\
         acl:\n  \
         - id: ours\n    \
           key: {}\n    \
           action: [transfer, update]\n\
         zone:\n",
        key.name, key.algorithm, key.secret, key.name
    );
    for zone in setup.zones {
        text.push_str(&format!(
            "  - domain: {zone}\n    \
               storage: \"{home}/{}\"\n    \
               file: {zone}\n    \
               zonefile-sync: -1\n    \
               acl: ours\n",
            key.line
        ));
    }
    text
}
