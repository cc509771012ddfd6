//! Portolan plugin for Amazon Route 53 (API version 2013-04-01).
//!
//! The service knows record sets with a routing policy. Simple ones are sets on the line `default`;
//! those by geolocation are sets on a line each (`line`). [`Route53`] reads them (`list`, `rrset`, `xml`),
//! plans what to write for changed ones (`plan`), and has the service make it in transactions (`apply`).
//! `client` is the API's language and the meaning of its errors, [`sigv4`] its signature, `escape` its
//! spelling of odd characters.

mod apply;
mod client;
mod escape;
mod line;
mod list;
mod plan;
mod route53;
mod rrset;
pub mod sigv4;
mod xml;

pub use route53::{Route53, Settings};

portolan_plugin::manifest!("manifest.json");
portolan_plugin::export_provider!(Route53);
