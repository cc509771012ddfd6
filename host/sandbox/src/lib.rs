//! The plugin host: loads, checks, grants, limits and calls WebAssembly components.
//!
//! A component is data. [`Sandbox::load`] reads what it imports and what its manifest asks for, compiles
//! it, and gives a [`Plugin`]; nothing runs until it is called. [`Plugin::dns`] binds it to what an
//! operator granted ([`Grants`]), and each method of the [`DnsPlugin`] is one call: a fresh instance with
//! a deadline, a memory cap, budgets for computing, host calls, requests, bytes and log lines. Whatever
//! a plugin does ends its own call, with its own [`CallError`]. [`Plugins::policy`] gives a
//! [`MigrationPolicy`], which is called in the same way, but is linked to nothing that could make two
//! answers to one question differ.
//!
//! Every HTTP request and every DNS message of every plugin goes through one guard, which checks grants
//! and addresses, puts credentials in or signs with them, and masks them in what comes back: they never
//! enter the sandbox.
//!
//! [`Plugins`] follows a directory of plugin files. Nobody else in the daemon knows wasmtime.

mod binding;
mod breaker;
mod cache;
mod call;
mod dns;
mod error;
mod grants;
mod guard;
mod inspect;
mod kind;
mod log;
mod manifest;
mod metrics;
pub mod migration;
mod native;
mod options;
mod plugin;
mod registry;
mod sandbox;
mod schema;
mod server;
mod state;
mod wit;

pub use dns::{
    Capabilities, Change, DnsPlugin, Features, Line, Outcome, RecordKey, RecordPage, RecordSet,
    RecordValue, Zone, ZonePage,
};
pub use error::{
    BindingError, CallError, CallSite, LoadError, PolicyError, ProviderError, SetupError,
};
pub use grants::{Grants, HostGrant, HostGrantError};
pub use guard::Lookup;
pub use kind::PluginKind;
pub use manifest::{CredentialAsk, LimitAsks, Manifest, Rate};
pub use migration::MigrationPolicy;
pub use options::{Limits, SandboxOptions};
pub use plugin::Plugin;
pub use registry::{Asks, BreakerStatus, PluginState, PluginStatus, Plugins};
pub use sandbox::Sandbox;
