//! Portolan plugin for DNS servers that take dynamic updates (RFC 2136), such as BIND and Knot.
//!
//! [`Rfc2136`] is the provider. A `view` is a server as it answers one key: it reads a zone by AXFR or a
//! name by queries, and sends updates. `update` says which message makes which changes, with
//! prerequisites that make it a true compare-and-set, and `apply` sends such messages, first many
//! changes in one, then fewer where the server refuses. `message`, `name` and `rdata` are the wire
//! format, `rcode` what a server's no means.

mod apply;
mod message;
mod name;
mod provider;
mod rcode;
mod rdata;
mod settings;
mod update;
mod view;
#[cfg(test)]
mod wire_tests;

pub use provider::Rfc2136;
pub use settings::Settings;

portolan_plugin::manifest!("manifest.json");
portolan_plugin::export_provider!(Rfc2136);
