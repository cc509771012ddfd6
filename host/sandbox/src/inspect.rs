//! What a component is, read from its bytes: nothing is compiled, nothing runs.

use wasmparser::{Encoding, Parser, Payload};

use crate::{LoadError, Manifest, PluginKind, manifest};

/// A component that may be compiled.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) kind: PluginKind,
    pub(crate) manifest: Manifest,
    pub(crate) imports: Vec<String>,
}

/// Everything that any plugin may import, as it is linked in [`crate::sandbox`]; [`PluginKind`] says
/// which kinds get less. The standard library of wasm32-wasip2 imports much of wasi; it finds no files,
/// no environment and no network there.
const OFFERED: &[&str] = &[
    "portolan:plugin/clock@0.1.0",
    "portolan:plugin/credentials@0.1.0",
    "portolan:plugin/dns-message@0.1.0",
    "portolan:plugin/http@0.1.0",
    "portolan:plugin/log@0.1.0",
    "portolan:plugin/settings@0.1.0",
    "wasi:cli/environment@0.2.0",
    "wasi:cli/exit@0.2.0",
    "wasi:cli/stderr@0.2.0",
    "wasi:cli/stdin@0.2.0",
    "wasi:cli/stdout@0.2.0",
    "wasi:cli/terminal-input@0.2.0",
    "wasi:cli/terminal-output@0.2.0",
    "wasi:cli/terminal-stderr@0.2.0",
    "wasi:cli/terminal-stdin@0.2.0",
    "wasi:cli/terminal-stdout@0.2.0",
    "wasi:clocks/monotonic-clock@0.2.0",
    "wasi:clocks/wall-clock@0.2.0",
    "wasi:filesystem/preopens@0.2.0",
    "wasi:filesystem/types@0.2.0",
    "wasi:http/outgoing-handler@0.2.0",
    "wasi:http/types@0.2.0",
    "wasi:io/error@0.2.0",
    "wasi:io/poll@0.2.0",
    "wasi:io/streams@0.2.0",
    "wasi:random/insecure-seed@0.2.0",
    "wasi:random/insecure@0.2.0",
    "wasi:random/random@0.2.0",
    "wasi:sockets/instance-network@0.2.0",
    "wasi:sockets/ip-name-lookup@0.2.0",
    "wasi:sockets/network@0.2.0",
    "wasi:sockets/tcp-create-socket@0.2.0",
    "wasi:sockets/tcp@0.2.0",
    "wasi:sockets/udp-create-socket@0.2.0",
    "wasi:sockets/udp@0.2.0",
];

/// Reads what `component` imports, exports and says about itself, and refuses what cannot be a plugin.
pub(crate) fn inspect(component: &[u8]) -> Result<Inspected, LoadError> {
    let broken = |error: wasmparser::BinaryReaderError| LoadError::NotAComponent(error.to_string());
    let mut imports = Vec::new();
    let mut exports = Vec::new();
    let mut sections = Vec::new();
    // How many components and modules we are inside of; the outermost one's imports are the plugin's.
    let mut depth = 0usize;

    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(broken)? {
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } if depth == 0 => {
                let text = "a core module; build it as a component (target wasm32-wasip2)";
                return Err(LoadError::NotAComponent(text.to_owned()));
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::CustomSection(section) if section.name() == manifest::SECTION => {
                sections.push(section.data());
            }
            _ => {}
        }
    }

    imports.sort();
    if let Some(import) = imports.iter().find(|import| !is_offered(import)) {
        let nearest = nearest(import).to_owned();
        return Err(LoadError::UnknownImport {
            import: import.clone(),
            nearest,
        });
    }
    let exported: Vec<PluginKind> = PluginKind::ALL
        .into_iter()
        .filter(|kind| {
            let is_its = |export: &String| compatible(export, kind.interface());
            exports.iter().any(is_its)
        })
        .collect();
    let Some(first) = exported.first() else {
        let found = if exports.is_empty() {
            "nothing".to_owned()
        } else {
            exports.join(", ")
        };
        return Err(LoadError::UnknownWorld { found });
    };
    let manifest = match sections[..] {
        [] => return Err(LoadError::NoManifest),
        [section] => Manifest::parse(section)?,
        _ => {
            return Err(LoadError::Manifest(format!(
                "there are {} of them",
                sections.len()
            )));
        }
    };
    let meant = exported
        .iter()
        .find(|kind| compatible(&manifest.world, kind.world()));
    let Some(&kind) = meant else {
        let (world, exported) = (&manifest.world, first.world());
        return Err(LoadError::Manifest(format!(
            "`world` is `{world}`, but it exports {exported}'s"
        )));
    };
    for import in &imports {
        if let Some(reason) = kind.refusal(import) {
            return Err(LoadError::ForbiddenImport {
                import: import.clone(),
                kind,
                reason,
                offered: kind.offered(),
            });
        }
    }
    Ok(Inspected {
        kind,
        manifest,
        imports,
    })
}

fn is_offered(import: &str) -> bool {
    OFFERED.iter().any(|offered| compatible(import, offered))
}

/// Is `name` the same interface as `known`, in a version that semantic versioning calls compatible?
fn compatible(name: &str, known: &str) -> bool {
    let (Some((name, version)), Some((known, known_version))) =
        (name.split_once('@'), known.split_once('@'))
    else {
        return false;
    };
    name == known && series(version).is_some_and(|own| Some(own) == series(known_version))
}

/// What two compatible versions have in common: the major version, and for 0.x the minor one too.
fn series(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.splitn(3, '.').map(str::parse::<u64>);
    match (
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    ) {
        (0, minor, _) => Some((0, minor)),
        (major, _, _) => Some((major, 0)),
    }
}

/// The offered interface whose name looks most like `import`.
fn nearest(import: &str) -> &'static str {
    OFFERED
        .iter()
        .copied()
        .min_by_key(|offered| edit_distance(import, offered))
        .unwrap_or_default()
}

/// Levenshtein's distance, in bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_semver_does() {
        for (name, offered) in [
            ("portolan:plugin/http@0.1.0", true),
            ("portolan:plugin/http@0.1.7", true),
            ("portolan:plugin/http@0.2.0", false),
            ("portolan:plugin/http", false),
            ("portolan:plugin/files@0.1.0", false),
            ("wasi:io/poll@0.2.9", true),
            ("wasi:io/poll@0.3.0", false),
            ("wasi:io/poll@0.2.0-rc-1", false),
            ("wasi:keyvalue/store@0.2.0", false),
        ] {
            assert_eq!(is_offered(name), offered, "{name}");
        }
    }

    #[test]
    fn the_nearest_name_is_suggested() {
        assert_eq!(
            nearest("portolan:plugin/htpp@0.1.0"),
            "portolan:plugin/http@0.1.0"
        );
        assert_eq!(nearest("wasi:http/types@0.3.0"), "wasi:http/types@0.2.0");
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }
}
