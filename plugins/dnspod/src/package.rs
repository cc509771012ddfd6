//! What a zone's package says about TTLs.

use crate::entry::Entry;

/// The highest TTL, in seconds.
pub(crate) const MAX_TTL: u32 = 604_800;
/// The smallest TTL that every package accepts, where the zone's own is not among those that the
/// service lists.
pub(crate) const COMMON_MIN_TTL: u32 = 600;

/// The smallest TTL of the zone's package, where it is among the packages.
pub(crate) fn min_ttl(packages: &[Entry], domain: &Entry) -> Option<u32> {
    let grade = domain.grade.as_deref()?;
    let of_domain = |package: &&Entry| {
        // `DP_FREE` here is `DP_Free` there.
        let known = package.domain_grade.as_deref();
        known.is_some_and(|known| known.eq_ignore_ascii_case(grade))
    };
    let package = packages.iter().find(of_domain)?;
    let min_ttl = u32::try_from(package.min_ttl?).ok()?;
    Some(min_ttl.clamp(1, MAX_TTL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_found_whatever_the_case_of_its_code() {
        let entry = |json: serde_json::Value| -> Entry { serde_json::from_value(json).unwrap() };
        let packages = [
            entry(serde_json::json!({ "DomainGrade": "DP_Free", "MinTtl": 600 })),
            entry(serde_json::json!({ "DomainGrade": "DP_Odd" })),
            entry(serde_json::json!({ "DomainGrade": "DP_Zero", "MinTtl": 0 })),
        ];
        let of = |grade: &str| min_ttl(&packages, &entry(serde_json::json!({ "Grade": grade })));
        assert_eq!(of("DP_FREE"), Some(600));
        assert_eq!(of("DP_ZERO"), Some(1));
        assert_eq!(of("DP_ODD"), None);
        assert_eq!(of("DP_NEW"), None);
    }
}
