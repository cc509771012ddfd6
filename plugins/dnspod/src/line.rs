//! Codes of lines.

/// A line that means the same at every provider: our code, the service's id and its name.
type Shared = (&'static str, &'static str, &'static str);

const SHARED: [Shared; 6] = [
    ("default", "0", "默认"),
    ("CT", "10=0", "电信"),
    ("CU", "10=1", "联通"),
    ("CMCC", "10=3", "移动"),
    ("CNEdu", "10=2", "教育网"),
    ("OverSea", "3=0", "境外"),
];

/// The service's name of one of our lines, and its id where we know it. Lines of the service's own go
/// by their names.
pub(crate) fn to_service(code: &str) -> (&str, Option<&str>) {
    match SHARED.iter().find(|(ours, ..)| *ours == code) {
        Some((_, id, name)) => (name, Some(id)),
        // No name of a line looks like an id.
        None => (code, code.contains('=').then_some(code)),
    }
}

/// Our code of one of the service's lines. One of its own is called by its name, unless that is a code
/// which means another line.
pub(crate) fn from_service<'a>(id: &'a str, name: &'a str) -> &'a str {
    match SHARED.iter().find(|(_, theirs, _)| *theirs == id) {
        Some((ours, ..)) => ours,
        None if SHARED.iter().any(|(ours, ..)| *ours == name) => id,
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_codes_are_translated_and_the_others_pass() {
        assert_eq!(to_service("CMCC"), ("移动", Some("10=3")));
        assert_eq!(from_service("3=0", "境外"), "OverSea");
        assert_eq!(from_service("0", "Default"), "default", "the id decides");
        assert_eq!(to_service("浙江电信"), ("浙江电信", None));
        assert_eq!(from_service("10=22", "浙江电信"), "浙江电信");
        for (ours, id, name) in SHARED {
            assert_eq!(from_service(id, name), ours);
            assert_eq!(to_service(ours), (name, Some(id)));
        }
    }

    #[test]
    fn a_line_with_a_misleading_name_is_not_mixed_up_with_the_shared_one() {
        assert_eq!(from_service("80=7", "default"), "80=7");
        assert_eq!(to_service("80=7"), ("80=7", Some("80=7")));
    }
}
