//! Takes a webhook's secrets out of what its service answers before anybody sees it.

use secrecy::ExposeSecret as _;
use url::Url;

use super::webhook::Webhook;

const MASK: &str = "[masked]";
/// Shorter parts of a URL are words (`robot`, `send`, `v2`), and keep no secret.
const SHORTEST: usize = 8;

/// The text without the webhook's URL, its telling parts, and its signing secret.
pub(super) fn masked(text: &str, webhook: &Webhook) -> String {
    let mut secrets = vec![webhook.url().expose_secret().to_owned()];
    secrets.extend(webhook.secret().map(|it| it.expose_secret().to_owned()));
    if let Ok(url) = Url::parse(webhook.url().expose_secret()) {
        secrets.push(url[url::Position::BeforePath..].to_owned());
        secrets.push(url.username().to_owned());
        secrets.extend(url.password().map(str::to_owned));
        secrets.extend(url.path_segments().into_iter().flatten().map(str::to_owned));
        secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    }
    secrets.retain(|secret| secret.len() >= SHORTEST);
    // What holds another goes first, so that no rest of it stays.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut text = text.to_owned();
    for secret in secrets {
        text = text.replace(&secret, MASK);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_echoed_secret_is_not_shown() {
        let webhook = json!({"url": "https://oapi.dingtalk.com/robot/send?access_token=0123456789",
                             "format": "dingtalk", "secret": "SEC-0123456"});
        let webhook = Webhook::parse("ops", webhook, None).unwrap();
        let echo = "POST /robot/send?access_token=0123456789: token 0123456789, key SEC-0123456";
        assert_eq!(
            masked(echo, &webhook),
            "POST [masked]: token [masked], key [masked]"
        );
    }
}
