//! A message in the form that a webhook's service wants.

use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use url::Url;

use super::message::Message;
use super::sign;
use super::template::{Filler, Template};
use super::webhook::{Webhook, WebhookFormat};

/// A request, signed for the moment. It holds secrets.
pub(super) struct Prepared {
    pub(super) url: Url,
    pub(super) body: Map<String, Value>,
}

/// What is sent to a webhook at `now_ms`; the error is a sentence.
pub(super) fn prepare(
    webhook: &Webhook,
    message: &Message,
    now_ms: u64,
) -> Result<Prepared, String> {
    let mut url = Url::parse(webhook.url().expose_secret())
        .map_err(|error| format!("its url is malformed: {error}"))?;
    let default = Template::default();
    let template = webhook.template().unwrap_or(&default);
    let mut body = body(webhook.format(), template, message);
    if let Some(secret) = webhook.secret().map(|secret| secret.expose_secret()) {
        match webhook.format() {
            WebhookFormat::Dingtalk => {
                url.query_pairs_mut()
                    .append_pair("timestamp", &now_ms.to_string())
                    .append_pair("sign", &sign::dingtalk(now_ms, secret));
            }
            WebhookFormat::Feishu => {
                let now_s = now_ms / 1_000;
                body.insert("timestamp".to_owned(), now_s.to_string().into());
                body.insert("sign".to_owned(), sign::feishu(now_s, secret).into());
            }
            WebhookFormat::Generic | WebhookFormat::Slack => {}
        }
    }
    Ok(Prepared { url, body })
}

fn body(format: WebhookFormat, template: &Template, message: &Message) -> Map<String, Value> {
    let escape = match format {
        WebhookFormat::Slack => slack_escaped,
        _ => str::to_owned,
    };
    let filler = Filler { message, escape };
    let text = match template {
        Template::Body(body) => return filler.object(body),
        Template::Text(text) => filler.text(text),
    };
    let body = match format {
        WebhookFormat::Generic => generic(message, &text),
        WebhookFormat::Slack => json!({ "text": text }),
        WebhookFormat::Dingtalk => json!({ "msgtype": "text", "text": { "content": text } }),
        WebhookFormat::Feishu => json!({ "msg_type": "text", "content": { "text": text } }),
    };
    match body {
        Value::Object(body) => body,
        _ => Map::new(),
    }
}

fn generic(message: &Message, text: &str) -> Value {
    let Message { state, condition } = message;
    json!({
        "state": state.as_str(),
        "kind": condition.kind,
        "subject": condition.subject,
        "summary": condition.summary,
        "since": condition.since(),
        "since_ms": condition.since_ms,
        "text": text,
    })
}

/// The three characters that are markup in Slack's texts. What the template itself holds is left: an
/// operator may want a link or a mention.
fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{Condition, MessageState};

    const NOW_MS: u64 = 1_577_262_236_757;

    fn message() -> Message {
        Message {
            state: MessageState::Resolved,
            condition: Condition {
                kind: "site-down".into(),
                subject: "sh".into(),
                summary: "2 < 3 & \"quoted\"".into(),
                since_ms: 1_770_091_506_789,
            },
        }
    }

    fn prepared(webhook: Value) -> (String, Value) {
        let webhook = Webhook::parse("ops", webhook, None).unwrap();
        let prepared = prepare(&webhook, &message(), NOW_MS).unwrap();
        (prepared.url.into(), Value::Object(prepared.body))
    }

    #[test]
    fn each_service_gets_its_own_form() {
        let url = "https://hooks.example.com/x?token=1";
        let text = "[resolved] site-down sh: 2 < 3 & \"quoted\" (since 2026-02-03T04:05:06Z)";
        let expected = [
            (
                "generic",
                json!({
                    "state": "resolved", "kind": "site-down", "subject": "sh",
                    "summary": "2 < 3 & \"quoted\"", "since": "2026-02-03T04:05:06Z",
                    "since_ms": 1_770_091_506_789_u64, "text": text,
                }),
            ),
            (
                "slack",
                json!({"text": "[resolved] site-down sh: 2 &lt; 3 &amp; \"quoted\" \
                                (since 2026-02-03T04:05:06Z)"}),
            ),
            (
                "dingtalk",
                json!({"msgtype": "text", "text": {"content": text}}),
            ),
            (
                "feishu",
                json!({"msg_type": "text", "content": {"text": text}}),
            ),
        ];
        for (format, body) in expected {
            let webhook = json!({"url": url, "format": format});
            assert_eq!(prepared(webhook), (url.to_owned(), body), "{format}");
        }
    }

    #[test]
    fn dingtalk_is_signed_in_the_query() {
        let (url, body) = prepared(json!({
            "url": "https://oapi.dingtalk.com/robot/send?access_token=t",
            "format": "dingtalk", "secret": "this is secret", "template": "{state}",
        }));
        let sign: String = url::form_urlencoded::byte_serialize(
            sign::dingtalk(NOW_MS, "this is secret").as_bytes(),
        )
        .collect();
        assert_eq!(
            url,
            format!(
                "https://oapi.dingtalk.com/robot/send?access_token=t&timestamp=1577262236757&sign={sign}"
            )
        );
        assert_eq!(
            body,
            json!({"msgtype": "text", "text": {"content": "resolved"}})
        );
    }

    #[test]
    fn feishu_is_signed_in_the_body_whatever_its_template() {
        let url = "https://open.feishu.cn/open-apis/bot/v2/hook/t";
        let (sent_to, body) = prepared(json!({
            "url": url, "format": "feishu", "secret": "demo",
            "template": {"msg_type": "interactive", "card": {"header": "{kind}"}},
        }));
        assert_eq!(sent_to, url);
        assert_eq!(
            body,
            json!({
                "msg_type": "interactive", "card": {"header": "site-down"},
                "timestamp": "1577262236", "sign": sign::feishu(1_577_262_236, "demo"),
            })
        );
    }
}
