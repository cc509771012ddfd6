//! Bindings generated from `wit/`. They stay inside this crate.

#![allow(missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: ["../../wit/plugin-0.1.0", "../../wit/dns-0.1.0"],
    world: "portolan:dns/dns-provider",
    imports: { "portolan:plugin/http.send": async },
    exports: { default: async },
});
