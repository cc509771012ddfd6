//! Codes of lines.

/// The codes that mean the same at every provider, and what this service calls them.
const SHARED: [(&str, &str); 6] = [
    ("default", "default"),
    ("CT", "telecom"),
    ("CU", "unicom"),
    ("CMCC", "mobile"),
    ("CNEdu", "edu"),
    ("OverSea", "oversea"),
];

/// The service's code of one of our lines. Codes that are the service's own stay as they are.
pub(crate) fn to_service(code: &str) -> &str {
    SHARED
        .iter()
        .find(|(ours, _)| *ours == code)
        .map_or(code, |(_, theirs)| theirs)
}

/// Our code of one of the service's lines.
pub(crate) fn from_service(code: &str) -> &str {
    SHARED
        .iter()
        .find(|(_, theirs)| *theirs == code)
        .map_or(code, |(ours, _)| ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_codes_are_translated_and_the_others_pass() {
        assert_eq!(to_service("CMCC"), "mobile");
        assert_eq!(from_service("oversea"), "OverSea");
        assert_eq!(to_service("cn_unicom_hainan"), "cn_unicom_hainan");
        for (ours, theirs) in SHARED {
            assert_eq!(from_service(to_service(ours)), ours);
            assert_eq!(to_service(from_service(theirs)), theirs);
        }
    }
}
