//! Request bodies: JSON into types, with the path of what is wrong.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::SteeringError;

/// Reads a body; the error names the field by its path.
pub(crate) fn parse<T: DeserializeOwned>(body: Value) -> Result<T, SteeringError> {
    serde_path_to_error::deserialize(body).map_err(|error| {
        let at = match error.path().to_string() {
            root if root == "." => String::new(),
            path => path,
        };
        SteeringError::invalid(at, error.into_inner().to_string())
    })
}

/// A document as a request would give it.
pub(crate) fn document(document: &impl Serialize) -> Result<Value, SteeringError> {
    serde_json::to_value(document).map_err(|error| SteeringError::invalid("", error.to_string()))
}

/// A JSON merge patch (RFC 7396).
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(target) = target {
        for (name, value) in patch {
            match value {
                Value::Null => {
                    target.remove(name);
                }
                value => merge(target.entry(name.clone()).or_insert(Value::Null), value),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merges_like_the_examples_of_the_rfc() {
        // RFC 7396, appendix A: target, patch, result.
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (
                json!([1, 2]),
                json!({"a": "b", "c": null}),
                json!({"a": "b"}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ];
        for (mut target, patch, result) in cases {
            merge(&mut target, &patch);
            assert_eq!(target, result, "{patch}");
        }
    }
}
