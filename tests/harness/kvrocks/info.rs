//! INFO and ROLE.

use std::fmt::Write;

use tokio::time::Instant;

use super::{commands::Reply, process::Process, replication::Upstream, resp::Resp, world::World};

/// The version that the stand-in claims to be.
const SERVER: &str =
    "# Server\r\nversion:2.9.0\r\nkvrocks_version:2.9.0\r\nredis_version:4.0.0\r\n";

impl World {
    pub(super) fn info(&self, port: u16, sections: &[String]) -> Reply {
        let process = &self.nodes[&port];
        let wanted = |name: &str| {
            let named = |section: &String| {
                [name, "all", "default"].contains(&section.to_ascii_lowercase().as_str())
            };
            sections.is_empty() || sections.iter().any(named)
        };
        let mut parts = Vec::new();
        if wanted("server") {
            parts.push(format!("{SERVER}tcp_port:{port}\r\n"));
        }
        if wanted("replication") {
            parts.push(format!(
                "# Replication\r\n{}",
                match &process.memory.upstream {
                    Some(upstream) => replica_info(process, upstream),
                    None => self.master_info(process),
                }
            ));
        }
        if wanted("keyspace") {
            parts.push(format!(
                "# Keyspace\r\ndb0:keys={},expires=0,avg_ttl=0,expired=0\r\nsequence:{}\r\n",
                process.store.len(),
                process.store.sequence()
            ));
        }
        Ok(Resp::bulk(parts.join("\r\n")))
    }

    fn master_info(&self, process: &Process) -> String {
        let replicas = self.replicas_of(process.port);
        let sequence = process.store.sequence();
        let mut text = format!("role:master\r\nconnected_slaves:{}\r\n", replicas.len());
        for (index, (port, offset)) in replicas.iter().enumerate() {
            let lag = sequence.saturating_sub(*offset);
            let _ = write!(
                text,
                "slave{index}:ip=127.0.0.1,port={port},offset={offset},lag={lag}\r\n"
            );
        }
        let _ = write!(text, "master_repl_offset:{sequence}\r\n");
        text
    }

    pub(super) fn role(&self, port: u16) -> Reply {
        let process = &self.nodes[&port];
        let sequence = process.store.sequence().to_string();
        let texts =
            |texts: &[&str]| Resp::Array(texts.iter().map(|text| Resp::bulk(*text)).collect());
        let Some(upstream) = &process.memory.upstream else {
            let replicas = self.replicas_of(port).into_iter().map(|(port, offset)| {
                texts(&["127.0.0.1", &port.to_string(), &offset.to_string()])
            });
            return Ok(Resp::Array(vec![
                Resp::bulk("master"),
                Resp::bulk(sequence),
                Resp::Array(replicas.collect()),
            ]));
        };
        let state = if upstream.up {
            "connected"
        } else {
            "connecting"
        };
        let port = upstream.port.to_string();
        Ok(texts(&["slave", &upstream.host, &port, state, &sequence]))
    }
}

fn replica_info(process: &Process, upstream: &Upstream) -> String {
    let sequence = process.store.sequence();
    let status = if upstream.up { "up" } else { "down" };
    let silence = Instant::now().saturating_duration_since(upstream.last_io);
    format!(
        "role:slave\r\nmaster_host:{}\r\nmaster_port:{}\r\nmaster_link_status:{status}\r\n\
         master_sync_unrecoverable_error:no\r\nmaster_sync_in_progress:0\r\n\
         master_last_io_seconds_ago:{}\r\nslave_repl_offset:{sequence}\r\nslave_priority:100\r\n\
         connected_slaves:0\r\nmaster_repl_offset:{sequence}\r\n",
        upstream.host,
        upstream.port,
        silence.as_secs(),
    )
}
