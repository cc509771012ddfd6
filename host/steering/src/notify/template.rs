//! An operator's own words for a message.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::message::Message;

/// What a text says where the operator gives none.
const DEFAULT: &str = "[{state}] {kind} {subject}: {summary} (since {since})";

/// A text with placeholders, or a whole body whose texts have placeholders.
///
/// The placeholders are `{summary}`, `{kind}`, `{subject}`, `{since}` and `{state}`; `{{` and `}}` are
/// braces. A text becomes the message's text; an object is sent as the body, in whatever form the
/// service takes (Slack's blocks, DingTalk's markdown, Feishu's cards, or another service's own).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a template is a text, or a JSON object that is sent as the body"
)]
pub enum Template {
    /// The message's text.
    Text(String),
    /// The whole body.
    Body(Map<String, Value>),
}

impl Default for Template {
    fn default() -> Self {
        Self::Text(DEFAULT.to_owned())
    }
}

impl Template {
    /// The error is the path within the template, and a sentence.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        match self {
            Self::Text(text) => check_text(text).map_err(|why| (String::new(), why)),
            Self::Body(body) => check_object(body, ""),
        }
    }
}

/// A message's placeholders, filled in with values in the spelling of the place: `escape` makes that.
pub(super) struct Filler<'a> {
    pub(super) message: &'a Message,
    pub(super) escape: fn(&str) -> String,
}

impl Filler<'_> {
    pub(super) fn text(&self, template: &str) -> String {
        let value = |name: &str| self.value(name);
        // It was checked when the webhook was read; as it stands is the harmless spelling.
        fill(template, value).unwrap_or_else(|_| template.to_owned())
    }

    pub(super) fn object(&self, body: &Map<String, Value>) -> Map<String, Value> {
        let filled = body.iter();
        filled
            .map(|(name, value)| (name.clone(), self.json(value)))
            .collect()
    }

    fn json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(values) => values.iter().map(|value| self.json(value)).collect(),
            Value::Object(body) => Value::Object(self.object(body)),
            other => other.clone(),
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        let Message { state, condition } = self.message;
        Some(match name {
            "summary" => (self.escape)(&condition.summary),
            "kind" => (self.escape)(&condition.kind),
            "subject" => (self.escape)(&condition.subject),
            "since" => condition.since(),
            "state" => state.as_str().to_owned(),
            _ => return None,
        })
    }
}

fn check_object(body: &Map<String, Value>, at: &str) -> Result<(), (String, String)> {
    body.iter()
        .try_for_each(|(name, value)| check_json(value, &format!("{at}.{name}")))
}

fn check_json(value: &Value, at: &str) -> Result<(), (String, String)> {
    match value {
        Value::String(text) => check_text(text).map_err(|why| (at.to_owned(), why)),
        Value::Array(values) => values
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| check_json(value, &format!("{at}[{index}]"))),
        Value::Object(body) => check_object(body, at),
        _ => Ok(()),
    }
}

fn check_text(text: &str) -> Result<(), String> {
    const KNOWN: [&str; 5] = ["summary", "kind", "subject", "since", "state"];
    fill(text, |name| KNOWN.contains(&name).then(String::new)).map(drop)
}

/// Replaces placeholders by what `value` has for them; the error is a sentence.
fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{{") {
            filled.push('{');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("}}") {
            filled.push('}');
            rest = after;
        } else {
            let named = rest.strip_prefix('{').and_then(|it| it.split_once('}'));
            let (name, after) = named.ok_or(
                "has a brace that is neither part of a placeholder nor doubled; write {{ or }} for \
                 a brace",
            )?;
            let value = value(name).ok_or_else(|| {
                format!(
                    "has the placeholder {{{name}}}, which is not known; known are {{summary}}, \
                     {{kind}}, {{subject}}, {{since}} and {{state}}, and {{{{ is a brace"
                )
            })?;
            filled.push_str(&value);
            rest = after;
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notify::{Condition, MessageState};

    fn message() -> Message {
        Message {
            state: MessageState::Firing,
            condition: Condition {
                kind: "site-down".into(),
                subject: "sh".into(),
                summary: "no \"answer\" of {kind}".into(),
                since_ms: 1_770_091_506_789,
            },
        }
    }

    fn filler(message: &Message) -> Filler<'_> {
        Filler {
            message,
            escape: str::to_owned,
        }
    }

    #[test]
    fn placeholders_are_filled_in_once() {
        let message = message();
        let Template::Text(default) = Template::default() else {
            unreachable!()
        };
        assert_eq!(
            filler(&message).text(&default),
            "[firing] site-down sh: no \"answer\" of {kind} (since 2026-02-03T04:05:06Z)"
        );
        assert_eq!(filler(&message).text("{{{state}}}"), "{firing}");
    }

    #[test]
    fn a_body_is_filled_in_wherever_it_has_texts() {
        let body = json!({"a": ["{state}", 1, {"b": "{summary}"}], "{kind}": null});
        let Value::Object(body) = body else {
            unreachable!()
        };
        assert_eq!(
            Value::Object(filler(&message()).object(&body)),
            json!({"a": ["firing", 1, {"b": "no \"answer\" of {kind}"}], "{kind}": null})
        );
    }

    #[test]
    fn what_cannot_be_filled_in_is_named_with_its_path() {
        let cases = [
            (json!("{sumary}"), "", "{sumary}, which is not known"),
            (json!("{"), "", "has a brace"),
            (json!("a } b"), "", "has a brace"),
            (json!({"a": [0, {"b": "{x}"}]}), ".a[1].b", "{x}"),
        ];
        for (template, at, sentence) in cases {
            let read: Template = serde_json::from_value(template.clone()).unwrap();
            let (path, why) = read.check().unwrap_err();
            assert_eq!(path, at, "{template}");
            assert!(why.contains(sentence), "{template}: {why}");
        }
        assert_eq!(Template::default().check(), Ok(()));
    }
}
