//! Portolan plugin for Tencent Cloud DNSPod (API 3.0, version 2021-03-23).
//!
//! The service knows records, each with an id, a line, a weight and a TTL of its own; the daemon knows
//! record sets. [`Dnspod`] reads and writes records, of which [`portolan_plugin::records`] makes sets.
//! `entry` is what replies hold and what records mean, `line` and `package` what the service calls
//! lines and allows, `client` makes calls, `refusal` knows what its errors mean, [`tc3`] is its
//! signature.

mod client;
mod dnspod;
mod entry;
mod line;
mod package;
mod refusal;
pub mod tc3;

pub use dnspod::{Dnspod, Settings};

portolan_plugin::manifest!("manifest.json");
portolan_plugin::export_provider!(Dnspod);
