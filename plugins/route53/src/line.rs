//! Codes of lines, and the places that they stand for.
//!
//! The service tells clients apart by continent, country or state, never by network: `CT`, `CU`, `CMCC`
//! and `CNEdu` cannot be said. `OverSea`, everywhere but mainland China, is no one place either; it is
//! what `default` means to a name that has a set for `country-CN`.

use portolan_plugin::sets::DEFAULT_LINE;

use crate::xml::Element;

/// The country code of everyone who is nowhere else.
const ANYWHERE: &str = "*";

/// A place, as the service's elements name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) continent: Option<&'a str>,
    pub(crate) country: Option<&'a str>,
    pub(crate) subdivision: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// The place that an element speaks of, whose children have names that begin with `prefix`.
    pub(crate) fn of(element: &'a Element, prefix: &str) -> Self {
        let code = |part: &str| element.text_of(&format!("{prefix}{part}Code"));
        Self {
            continent: code("Continent"),
            country: code("Country"),
            subdivision: code("Subdivision"),
        }
    }

    /// The place of a line, where there is such a one.
    pub(crate) fn of_line(code: &'a str) -> Option<Self> {
        let mut place = Place {
            continent: None,
            country: None,
            subdivision: None,
        };
        let is_code = |code: &str| {
            (1..=3).contains(&code.len())
                && code
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        };
        if code == DEFAULT_LINE {
            place.country = Some(ANYWHERE);
            return Some(place);
        }
        if let Some(continent) = code.strip_prefix("continent-") {
            place.continent = Some(continent);
            return is_code(continent).then_some(place);
        }
        let country = code.strip_prefix("country-")?;
        let (country, subdivision) = match country.split_once('-') {
            Some((country, subdivision)) => (country, Some(subdivision)),
            None => (country, None),
        };
        place.country = Some(country);
        place.subdivision = subdivision;
        (is_code(country) && subdivision.is_none_or(is_code)).then_some(place)
    }

    /// The code of its line; none where it is no place at all.
    pub(crate) fn line(&self) -> Option<String> {
        match (self.continent, self.country, self.subdivision) {
            (None, Some(ANYWHERE), None) => Some(DEFAULT_LINE.to_owned()),
            (Some(continent), None, None) => Some(format!("continent-{continent}")),
            (None, Some(country), None) => Some(format!("country-{country}")),
            (None, Some(country), Some(subdivision)) => {
                Some(format!("country-{country}-{subdivision}"))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_places_are_each_others_reverse() {
        for code in ["default", "continent-AS", "country-CN", "country-US-WA"] {
            let place = Place::of_line(code).unwrap();
            assert_eq!(place.line().as_deref(), Some(code));
        }
        for code in [
            "OverSea",
            "CT",
            "CNEdu",
            "country-",
            "country-cn",
            "country-*",
            "continent-A S",
            "country-US-",
        ] {
            assert_eq!(Place::of_line(code), None, "{code}");
        }
    }
}
