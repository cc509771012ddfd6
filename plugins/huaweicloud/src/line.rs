//! Codes of lines.

/// The codes that mean the same at every provider, and what this service calls them.
const SHARED: [(&str, &str); 6] = [
    ("default", "default_view"),
    ("CT", "Dianxin"),
    ("CU", "Liantong"),
    ("CMCC", "Yidong"),
    ("CNEdu", "Jiaoyuwang"),
    ("OverSea", "Abroad"),
];

/// The service's id of one of our lines. Codes that are the service's own stay as they are.
pub(crate) fn to_service(code: &str) -> &str {
    SHARED
        .iter()
        .find(|(ours, _)| *ours == code)
        .map_or(code, |(_, theirs)| theirs)
}

/// Our code of one of the service's lines.
pub(crate) fn from_service(id: &str) -> &str {
    SHARED
        .iter()
        .find(|(_, theirs)| *theirs == id)
        .map_or(id, |(ours, _)| ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_codes_are_translated_and_the_others_pass() {
        assert_eq!(to_service("CMCC"), "Yidong");
        assert_eq!(from_service("Abroad"), "OverSea");
        assert_eq!(to_service("Dianxin_Hainan"), "Dianxin_Hainan");
        for (ours, theirs) in SHARED {
            assert_eq!(from_service(to_service(ours)), ours);
            assert_eq!(to_service(from_service(theirs)), theirs);
        }
    }
}
