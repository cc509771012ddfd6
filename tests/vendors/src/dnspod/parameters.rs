//! The parameters of a call.

use serde_json::{Map, Value};

use super::state::{Refusal, refuse};

/// The largest page of any list.
const MAX_PAGE: u64 = 3_000;

/// The parameters of a call, each of which must be known to its action.
pub(super) struct Parameters(Map<String, Value>);

impl Parameters {
    pub(super) fn parse(body: &[u8], known: &[&str]) -> Result<Self, Refusal> {
        let Ok(Value::Object(parameters)) = serde_json::from_slice(body) else {
            return refuse("InvalidParameter", "The body is no JSON object.");
        };
        match parameters
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        {
            Some(name) => refuse(
                "UnknownParameter",
                &format!("The parameter `{name}` is not recognized."),
            ),
            None => Ok(Self(parameters)),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => refuse(
                "InvalidParameter",
                &format!("The parameter `{name}` is no string."),
            ),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        match self.0.get(name).map(Value::as_u64) {
            None => Ok(None),
            Some(Some(number)) => Ok(Some(number)),
            Some(None) => refuse(
                "InvalidParameter",
                &format!("The parameter `{name}` is no integer."),
            ),
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        match self.text(name)? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => refuse(
                "MissingParameter",
                &format!("The request misses the parameter `{name}`."),
            ),
        }
    }

    pub(super) fn enabled(&self) -> Result<Option<bool>, Refusal> {
        match self.text("Status")? {
            None => Ok(None),
            Some("ENABLE") => Ok(Some(true)),
            Some("DISABLE") => Ok(Some(false)),
            Some(_) => refuse(
                "InvalidParameterValue",
                "Status is neither ENABLE nor DISABLE.",
            ),
        }
    }
}

/// The part of `items` that was asked for.
pub(super) fn page(
    parameters: &Parameters,
    default: u64,
    items: Vec<Value>,
) -> Result<Vec<Value>, Refusal> {
    let limit = parameters.number("Limit")?.unwrap_or(default);
    if !(1..=MAX_PAGE).contains(&limit) {
        return refuse("InvalidParameterValue.LimitInvalid", "分页长度数量错误。");
    }
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let offset = parameters.number("Offset")?.unwrap_or(0);
    Ok(items
        .into_iter()
        .skip(size(offset))
        .take(size(limit))
        .collect())
}
