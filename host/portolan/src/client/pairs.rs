//! `KEY=VALUE`, as settings and labels are given.

use serde_json::Value;

/// A setting of a policy. The value is JSON where it reads as that, otherwise text.
pub(super) fn setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = label(text)?;
    let value = serde_json::from_str(&value).unwrap_or_else(|_| value.into());
    Ok((key, value))
}

/// A label, whose value is text; it may be empty.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_json_or_text() {
        for (text, value) in [
            ("a=3", json!(3)),
            ("a=true", json!(true)),
            ("a=b=c", json!("b=c")),
            ("a=[1]", json!([1])),
            ("a=", json!("")),
        ] {
            assert_eq!(setting(text).unwrap(), ("a".to_owned(), value));
        }
        assert!(setting("a").is_err() && setting("=1").is_err());
    }

    #[test]
    fn labels_are_text() {
        assert_eq!(label("a=3").unwrap(), ("a".to_owned(), "3".to_owned()));
        assert_eq!(label("a=").unwrap(), ("a".to_owned(), String::new()));
        assert!(label("a").is_err() && label("=1").is_err());
    }
}
