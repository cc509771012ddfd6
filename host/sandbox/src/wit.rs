//! Bindings generated from `wit/`. They stay inside this crate, save the data types of
//! [`crate::migration`].

#![allow(missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: ["../../wit/plugin-0.1.0", "../../wit/dns-0.1.0"],
    world: "portolan:dns/dns-provider",
    imports: {
        "portolan:plugin/http.send": async,
        "portolan:plugin/dns-message.exchange": async,
        "portolan:plugin/dns-message.transfer": async,
        "portolan:plugin/clock.sleep": async,
    },
    exports: { default: async },
});

/// The world of migration policies.
pub mod migration {
    wasmtime::component::bindgen!({
        path: ["../../wit/plugin-0.1.0", "../../wit/migration-0.1.0"],
        world: "portolan:migration/migration-policy",
        exports: { default: async },
        with: { "portolan:plugin/log": super::portolan::plugin::log },
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}
