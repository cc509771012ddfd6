//! What a client's `Accept` header prefers (RFC 9110, 12.5.1).

use http::{HeaderMap, header};

/// The media ranges of a request, each with its quality.
pub(crate) struct Accept<'a>(Vec<(&'a str, f32)>);

impl<'a> Accept<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let ranges = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next().filter(|name| name.contains('/'))?;
                let quality = parts
                    .filter_map(|parameter| parameter.split_once('='))
                    .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
                    .map_or(1.0, |(_, q)| q.trim().parse().unwrap_or(1.0));
                Some((name, quality))
            })
            .collect();
        Self(ranges)
    }

    /// The quality of a type that the client names itself; zero where only a wildcard covers it.
    pub(crate) fn named(&self, media_type: &str) -> f32 {
        self.find(media_type).unwrap_or(0.0)
    }

    /// The quality of a type by the most specific range that covers it.
    pub(crate) fn quality(&self, media_type: &str) -> f32 {
        let family = media_type.split('/').next().unwrap_or_default();
        self.find(media_type)
            .or_else(|| self.find(&format!("{family}/*")))
            .or_else(|| self.find("*/*"))
            .unwrap_or(0.0)
    }

    fn find(&self, name: &str) -> Option<f32> {
        self.0
            .iter()
            .find(|(range, _)| range.eq_ignore_ascii_case(name))
            .map(|(_, q)| *q)
    }
}
