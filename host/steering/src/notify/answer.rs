//! What a service says of a message. DingTalk and Feishu answer 200 with an error in the body, and
//! proxies before Slack may do as much.

use reqwest::StatusCode;
use serde_json::Value;

use super::webhook::WebhookFormat;

/// What is shown of an answer that is not understood. Characters.
const SHOWN: usize = 200;

/// DingTalk: busy (-1), and two spellings of too many messages (20 a minute).
const DINGTALK_PASSING: [i64; 3] = [-1, 130_101, 410_100];
/// Feishu: too many messages (100 a minute, 5 a second).
const FEISHU_PASSING: [i64; 1] = [11_232];

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rejection {
    /// Another try may do.
    Passing(String),
    /// Another try would fail likewise.
    Lasting(String),
}

/// Whether the service took the message.
pub(super) fn judge(
    format: WebhookFormat,
    status: StatusCode,
    body: &str,
) -> Result<(), Rejection> {
    if !status.is_success() {
        return Err(judge_status(status, body));
    }
    match format {
        WebhookFormat::Generic => Ok(()),
        WebhookFormat::Slack => judge_slack(body),
        WebhookFormat::Dingtalk => judge_code(body, &["errcode"], "errmsg", &DINGTALK_PASSING),
        // `StatusCode` is what bots answered before 2022, and some still do.
        WebhookFormat::Feishu => judge_code(body, &["code", "StatusCode"], "msg", &FEISHU_PASSING),
    }
}

fn judge_status(status: StatusCode, body: &str) -> Rejection {
    if status.is_redirection() {
        return Rejection::Lasting(format!(
            "it answers {status}; redirects are not followed, give the URL that it leads to"
        ));
    }
    let reason = format!("it answers {status}{}", shown(body));
    let passing = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT;
    if passing {
        Rejection::Passing(reason)
    } else {
        Rejection::Lasting(reason)
    }
}

/// Slack answers `ok`, and an error with another status. In JSON, `ok` tells.
fn judge_slack(body: &str) -> Result<(), Rejection> {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let is_ok = match json.as_ref().and_then(|json| json.get("ok")) {
        Some(ok) => ok == &Value::Bool(true),
        None => body.trim().is_empty() || body.trim().eq_ignore_ascii_case("ok"),
    };
    if is_ok {
        Ok(())
    } else {
        Err(Rejection::Lasting(format!(
            "it does not answer `ok`{}",
            shown(body)
        )))
    }
}

/// A body with a number that is 0 for success.
fn judge_code(
    body: &str,
    fields: &[&str],
    message: &str,
    passing: &[i64],
) -> Result<(), Rejection> {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let code = fields.iter().find_map(|field| json.get(field)?.as_i64());
    let Some(code) = code else {
        return Err(Rejection::Lasting(format!(
            "it does not answer like such a bot; check url and format{}",
            shown(body)
        )));
    };
    if code == 0 {
        return Ok(());
    }
    let message = json
        .get(message)
        .and_then(Value::as_str)
        .unwrap_or_default();
    let reason = format!("it answers with error {code}{}", shown(message));
    Err(if passing.contains(&code) {
        Rejection::Passing(reason)
    } else {
        Rejection::Lasting(reason)
    })
}

fn shown(text: &str) -> String {
    let text: String = text.trim().chars().take(SHOWN).collect();
    if text.is_empty() {
        text
    } else {
        format!(": {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_seen_behind_a_200() {
        use WebhookFormat::{Dingtalk, Feishu, Generic, Slack};
        let taken = [
            (Generic, "whatever"),
            (Slack, "ok"),
            (Slack, r#"{"ok":true}"#),
            (Dingtalk, r#"{"errcode":0,"errmsg":"ok"}"#),
            (Feishu, r#"{"code":0,"msg":"success","data":{}}"#),
            (
                Feishu,
                r#"{"Extra":null,"StatusCode":0,"StatusMessage":"success"}"#,
            ),
        ];
        for (format, body) in taken {
            assert_eq!(judge(format, StatusCode::OK, body), Ok(()), "{body}");
        }
        let rejected = [
            (
                Slack,
                "invalid_token",
                "does not answer `ok`: invalid_token",
            ),
            (Slack, r#"{"ok":false,"error":"x"}"#, "does not answer `ok`"),
            (
                Dingtalk,
                r#"{"errcode":310000,"errmsg":"sign not match"}"#,
                "error 310000: sign not match",
            ),
            (
                Feishu,
                r#"{"code":19021,"msg":"sign match fail"}"#,
                "error 19021: sign match fail",
            ),
            (Feishu, "<html>", "does not answer like such a bot"),
        ];
        for (format, body, sentence) in rejected {
            match judge(format, StatusCode::OK, body) {
                Err(Rejection::Lasting(why)) => assert!(why.contains(sentence), "{why}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn too_many_messages_pass_by() {
        use WebhookFormat::{Dingtalk, Feishu, Generic};
        let passing = [
            (
                Dingtalk,
                StatusCode::OK,
                r#"{"errcode":130101,"errmsg":"send too fast"}"#,
            ),
            (
                Feishu,
                StatusCode::OK,
                r#"{"code":11232,"msg":"frequency limited"}"#,
            ),
            (Generic, StatusCode::TOO_MANY_REQUESTS, ""),
            (Generic, StatusCode::BAD_GATEWAY, "<html>"),
        ];
        for (format, status, body) in passing {
            let judged = judge(format, status, body);
            assert!(matches!(judged, Err(Rejection::Passing(_))), "{judged:?}");
        }
        for status in [StatusCode::NOT_FOUND, StatusCode::FOUND] {
            let judged = judge(Generic, status, "");
            assert!(matches!(judged, Err(Rejection::Lasting(_))), "{judged:?}");
        }
    }
}
