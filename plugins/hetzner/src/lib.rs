//! Portolan plugin for Hetzner DNS, which is a part of the Hetzner Cloud API.
//!
//! The service knows true record sets, so each of ours is one of theirs. [`Hetzner`] reads them
//! (`rrset` translates), judges the changes and makes them one after the other (`apply`, in the `order`
//! that CNAMEs need). Every change is an action that ends some time after its request was answered:
//! `api` is the service's language, waits for actions, and knows what its errors mean.

mod api;
mod apply;
mod failure;
mod hetzner;
mod order;
mod rrset;

pub use hetzner::{Hetzner, Settings};

portolan_plugin::manifest!("manifest.json");
portolan_plugin::export_provider!(Hetzner);
