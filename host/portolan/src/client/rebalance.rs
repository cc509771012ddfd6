//! `portolan rebalance`.

use clap::Args;
use serde_json::{Map, Value, json};

use super::cluster_name::ClusterName;
use super::connection::Session;
use super::error::ClientError;
use super::plan::{Applied, picture};
use super::run::Run;
use super::table::brief;
use super::views::Plan;

/// Which policy shall say what to move.
#[derive(Debug, Args)]
pub struct Rebalance {
    /// The cluster
    #[arg(value_name = "NS/NAME")]
    cluster: ClusterName,
    /// The policy that says which slots to move
    #[arg(long, value_name = "NAME", default_value = "even-slots")]
    policy: String,
    /// All of the policy's settings, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = object, conflicts_with = "setting")]
    settings: Option<Map<String, Value>>,
    /// One of the policy's settings; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    setting: Vec<(String, Value)>,
    /// Move what the plan says, instead of only showing it
    #[arg(long)]
    apply: bool,
    /// Wait for the end of the moves
    #[arg(long, requires = "apply")]
    wait: bool,
}

impl Run for Rebalance {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        let Self {
            cluster,
            policy,
            apply,
            wait,
            ..
        } = self;
        let settings = self
            .settings
            .unwrap_or_else(|| self.setting.into_iter().collect());
        let path = format!("{}/rebalance", cluster.path());
        let body = json!({"policy": policy, "settings": settings, "dry_run": !apply});
        let answer = session.api.post(&path, &body).await?;
        if apply {
            let applied = Applied {
                cluster: &cluster,
                answer: &answer,
                wait,
            };
            return applied.show(session).await;
        }
        session.show(&answer, || {
            let plan: Plan = answer.read("plan")?;
            let hint = match (plan.can_be_applied(), brief(&plan.id)) {
                (false, _) => String::new(),
                (true, id) if id.is_empty() => "\n\nNothing was moved. --apply does it.".into(),
                (true, id) => {
                    format!("\n\nNothing was moved. To do it: portolan plan apply {cluster} {id}")
                }
            };
            Ok(picture(&plan, session.width()) + &hint)
        })
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
}

/// The value is JSON where it reads as that, otherwise text.
fn pair(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or("write KEY=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((key.to_owned(), value))
}

#[cfg(test)]
mod tests {
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
            assert_eq!(pair(text).unwrap(), ("a".to_owned(), value));
        }
        assert!(pair("a").is_err() && pair("=1").is_err());
        assert!(object("[1]").is_err() && object(r#"{"a": 1}"#).is_ok());
    }
}
