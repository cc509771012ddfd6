//! `portolan rebalance`.

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Map, Value};

use super::budget::Budget;
use super::cluster_name::ClusterName;
use super::connection::Session;
use super::error::ClientError;
use super::pairs;
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
    #[arg(long, value_name = "KEY=VALUE", value_parser = pairs::setting)]
    setting: Vec<(String, Value)>,
    /// What the policy is told of the occasion [default: manual]
    #[arg(
        long,
        value_name = "manual|scale-out|drain|periodic|hot",
        hide_possible_values = true
    )]
    trigger: Option<Trigger>,
    #[command(flatten)]
    budget: Budget,
    /// Move what the plan says, instead of only showing it
    #[arg(long)]
    apply: bool,
    /// Wait for the end of the moves
    #[arg(long, requires = "apply")]
    wait: bool,
}

/// Why a policy is asked.
#[derive(Debug, Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Trigger {
    /// Somebody wants to know
    Manual,
    /// Shards were added
    ScaleOut,
    /// Shards are to be emptied
    Drain,
    /// Some time has passed
    Periodic,
    /// A shard has too much to do
    Hot,
}

/// What a policy is asked with.
#[derive(Serialize)]
struct Question {
    policy: String,
    settings: Map<String, Value>,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<Trigger>,
    #[serde(flatten)]
    budget: Budget,
}

impl Run for Rebalance {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        let Self {
            cluster,
            policy,
            settings,
            setting,
            trigger,
            budget,
            apply,
            wait,
        } = self;
        let question = Question {
            policy,
            settings: settings.unwrap_or_else(|| setting.into_iter().collect()),
            dry_run: !apply,
            trigger,
            budget,
        };
        let path = format!("{}/rebalance", cluster.path());
        let answer = session.api.post(&path, &question).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_settings_at_once_are_an_object() {
        assert!(object("[1]").is_err() && object(r#"{"a": 1}"#).is_ok());
    }
}
