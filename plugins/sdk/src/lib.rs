//! What a Portolan plugin written in Rust depends on.
//!
//! A DNS provider plugin is a `cdylib` crate for `wasm32-wasip2` with three things in it:
//! a type that implements [`Provider`], the line [`export_provider!`], and the line [`manifest!`] that
//! puts `manifest.json` where the daemon reads it without running the plugin.
//! `examples/minimal.rs` is a whole one.
//!
//! A migration policy has the same three things: a type that implements [`Policy`], the line
//! [`export_policy!`], and the manifest. It is a pure function, so it has no host to ask.
//!
//! Everything that a DNS provider may ask of the outside comes from a [`Host`]. In the daemon that is
//! [`Daemon`]; in the plugin's own tests, which run natively, it is `testing::TestHost` (feature
//! `testing`). The sandbox has no files, environment, sockets or threads.
//!
//! | module | what for |
//! |---|---|
//! | [`dns`] | the types of the provider interface |
//! | [`http`] | requests, and what their failures mean to the daemon |
//! | [`message`] | the same for DNS messages to a server |
//! | [`Endpoint`] | where an API listens |
//! | [`signing`] | hashes and moments, for signatures of requests |
//! | [`names`] | zone-relative and absolute names |
//! | [`content`] | one spelling for record contents |
//! | [`sets`] | checking, comparing and judging record sets |
//! | [`records`] | the whole of `read` and `apply` for services that keep single records |
//! | [`migration`] | the types of the policy interface, and what most policies need to plan |

#[doc(hidden)]
pub mod bindings;
pub mod content;
mod endpoint;
mod host;
pub mod http;
mod manifest;
pub mod message;
pub mod migration;
pub mod names;
mod policy;
mod provider;
pub mod records;
pub mod sets;
pub mod signing;
#[cfg(feature = "testing")]
pub mod testing;

pub use bindings::exports::portolan::dns::provider as dns;
pub use endpoint::Endpoint;
pub use host::{Algorithm, Clock, CredentialError, Daemon, HmacChain, Host, Level};
pub use policy::Policy;
#[doc(hidden)]
pub use policy::{ExportedPolicy, policy};
#[doc(hidden)]
pub use provider::Exported;
pub use provider::{Provider, settings};
