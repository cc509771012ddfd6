//! Stand-ins for the APIs of DNS vendors that no package ships as a server, real servers where one does
//! ([`Moto`]), and a front that makes any HTTP server fail on demand.
//!
//! A stand-in is written from the vendor's documentation and without the plugin's code, so that the two
//! can disagree: it checks signatures with an implementation of its own, keeps records as the service
//! does, and enforces the documented limits with the documented errors. Each is a [`Service`] behind a
//! [`Front`], which listens on loopback, keeps a list of the requests, and loses, cuts or replaces
//! answers as a test asks.

#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a stand-in reports a broken test by panicking"
)]

mod ali;
mod cloudflare;
mod digitalocean;
mod dnspod;
mod front;
mod hetzner;
mod huaweicloud;
mod moto;
pub mod oracle;
mod text;
mod vendor;

pub use ali::{AliRecord, AliStub};
pub use cloudflare::{CloudflareRecord, CloudflareStub};
pub use digitalocean::{DigitalOcean, DoRecord};
pub use dnspod::{DnspodRecord, DnspodStub};
pub use front::{Answer, Call, Fault, Front, Relay, Seen, Service, When};
pub use hetzner::{Hetzner, HetznerRecord, HetznerRrSet};
pub use huaweicloud::{Huawei, HuaweiSet};
pub use moto::Moto;
pub use vendor::{Binding, Trouble, Vendor};
