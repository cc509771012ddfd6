//! Portolan plugin for Huawei Cloud DNS (API version 2.1, record sets with lines).
//!
//! The service knows record sets, as the daemon does, each with an id, a line and a state. [`HuaweiCloud`]
//! reads them (`set`), decides on each change (`plan`) and makes it (`apply`). `account` has the API's calls,
//! `client` its language and the meaning of its errors, [`sdk_hmac`] its signature.

mod account;
mod apply;
mod client;
mod huaweicloud;
mod line;
mod plan;
pub mod sdk_hmac;
mod set;

pub use huaweicloud::{HuaweiCloud, Settings};

portolan_plugin::manifest!("manifest.json");
portolan_plugin::export_provider!(HuaweiCloud);
