//! The one unsafe step: turning bytes from our own cache into code that will be run.

#![allow(unsafe_code)]

use wasmtime::{Engine, component::Component};

use crate::cache::OwnCode;

/// Loads code that this daemon compiled itself.
pub(crate) fn load(engine: &Engine, code: &OwnCode) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` trusts its bytes to be what `Component::serialize` wrote. `OwnCode` is made
    // in one place only: from a file that lies in a directory which nobody but this daemon's user can
    // write to, whose content matches the digest stored with it, and whose name holds the digest of the
    // component it was compiled from and the compatibility hash of an engine set up like this one.
    // wasmtime itself checks its version and the engine's settings once more.
    unsafe { Component::deserialize(engine, code.as_bytes()) }
}
