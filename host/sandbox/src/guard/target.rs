//! Where a request goes.

use url::Url;

use super::HttpError;

/// Scheme, host and port, as one writes them in a grant.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Parses a URL that is already in the form in which it will be sent. Signatures cover that form, so
/// one that parsing would change (`/a/../b`, a blank, a backslash) is refused, not mended.
pub(super) fn exact_url(text: &str) -> Result<Url, HttpError> {
    let invalid = |reason: &str| HttpError::Invalid(format!("the URL `{text}` {reason}"));
    let url = Url::parse(text).map_err(|error| invalid(&format!("is malformed: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "carries a user name or password: use a header and a credential",
        ));
    }
    let after_scheme = text.split_once("://").map_or("", |(_, rest)| rest);
    let given = after_scheme
        .find(['/', '?', '#'])
        .map_or("", |at| &after_scheme[at..]);
    let sent = &url[url::Position::BeforePath..];
    if given.contains('#') {
        return Err(invalid("has a fragment, which is never sent"));
    }
    let as_given = sent == given || sent.strip_prefix('/') == Some(given);
    if !as_given {
        return Err(invalid(&format!(
            "is not in its normal form: `{given}` would be sent as `{sent}`"
        )));
    }
    Ok(url)
}
