//! Names of zones and records.
//!
//! The daemon writes names absolute and without the trailing dot (`www.example.com`). APIs want them
//! relative to the zone (`www`, and `@` for the apex) or with the dot (`www.example.com.`).

/// How most APIs write the zone's own name.
pub const APEX: &str = "@";

/// Is `name` the zone's own name or a name below it?
pub fn is_within(name: &str, zone: &str) -> bool {
    relative(name, zone).is_some()
}

/// The name as seen from the zone: `@` for the zone's own name; none for a name outside.
///
/// ```
/// # use portolan_plugin::names::relative;
/// assert_eq!(relative("a.www.example.com", "example.com"), Some("a.www"));
/// assert_eq!(relative("example.com", "example.com"), Some("@"));
/// assert_eq!(relative("badexample.com", "example.com"), None);
/// ```
pub fn relative<'a>(name: &'a str, zone: &str) -> Option<&'a str> {
    if name == zone {
        return Some(APEX);
    }
    let below = name.strip_suffix(zone)?.strip_suffix('.')?;
    (!below.is_empty()).then_some(below)
}

/// The absolute name of what the zone calls `relative`.
pub fn absolute(relative: &str, zone: &str) -> String {
    match relative {
        "" | APEX => zone.to_owned(),
        below => format!("{}.{zone}", below.to_ascii_lowercase()),
    }
}

/// The name with its trailing dot. The root stays one dot.
pub fn with_dot(name: &str) -> String {
    if name.ends_with('.') {
        name.to_owned()
    } else {
        format!("{name}.")
    }
}

/// The name in lower case and without its trailing dot. The root stays one dot.
pub fn without_dot(name: &str) -> String {
    let name = if name.len() > 1 {
        name.strip_suffix('.').unwrap_or(name)
    } else {
        name
    };
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_and_absolute_are_each_others_reverse() {
        for name in [
            "example.com",
            "www.example.com",
            "*.example.com",
            "_a._tcp.example.com",
        ] {
            let seen = relative(name, "example.com").unwrap();
            assert_eq!(absolute(seen, "example.com"), name);
        }
        assert_eq!(relative(".example.com", "example.com"), None);
        assert_eq!(relative("com", "example.com"), None);
    }

    #[test]
    fn the_root_is_one_dot_either_way() {
        assert_eq!(with_dot("."), ".");
        assert_eq!(without_dot("."), ".");
        assert_eq!(without_dot("WWW.Example.COM."), "www.example.com");
        assert_eq!(with_dot("example.com"), "example.com.");
    }
}
