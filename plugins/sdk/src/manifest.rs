//! The manifest: what the daemon reads without running the plugin.

/// Embeds the manifest, a JSON file beside the calling source file, in the custom section
/// `portolan:manifest`, and makes its text available as `MANIFEST`.
///
/// ```json
/// {
///   "manifest": 1,
///   "name": "acme-dns",
///   "version": "0.1.0",
///   "description": "ACME DNS, one zone per account",
///   "world": "portolan:dns/dns-provider@0.1.0",
///   "hosts": ["api.acme.example"],
///   "credentials": [{ "name": "token", "description": "API token", "required": true }],
///   "settings": { "type": "object", "additionalProperties": false },
///   "limits": { "deadline_ms": 20000, "memory_bytes": 16777216, "requests": 100 }
/// }
/// ```
///
/// `hosts`, `credentials` and `limits` only ask: the operator grants. `settings` is a JSON Schema that
/// the daemon checks before the plugin sees them.
#[macro_export]
macro_rules! manifest {
    ($path:literal) => {
        /// The plugin's manifest.
        pub const MANIFEST: &str = include_str!($path);

        const _: () = {
            // A static in a section of its own becomes a custom section of the core module; the linker
            // keeps those whatever else it drops.
            #[cfg_attr(target_arch = "wasm32", unsafe(link_section = "portolan:manifest"))]
            #[allow(unsafe_code)]
            #[used]
            static SECTION: [u8; MANIFEST.len()] = *include_bytes!($path);
        };
    };
}
