//! `portolan plan`: what policies would move, and why.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::api::Answer;
use super::cluster_name::ClusterName;
use super::connection::Session;
use super::error::ClientError;
use super::outline::outline;
use super::progress;
use super::run::Run;
use super::table::{brief, count, maybe, table, time};
use super::views::{Move, Plan};

/// What to do with plans.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Show a cluster's plans
    List {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
    },
    /// Show what a plan moves
    Show(Which),
    /// Move what a plan says
    Apply {
        #[command(flatten)]
        #[allow(missing_docs)]
        which: Which,
        /// Wait for the end of the moves
        #[arg(long)]
        wait: bool,
    },
    /// Show what a plan was made of: what the policy saw, and why it decided so
    Explain(Which),
}

/// Names a plan.
#[derive(Debug, Args)]
pub struct Which {
    /// The cluster
    #[arg(value_name = "NS/NAME")]
    cluster: ClusterName,
    /// The plan
    #[arg(value_name = "ID")]
    id: u64,
}

impl Run for PlanCommand {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        match self {
            Self::List { cluster } => {
                let answer = session.api.get(&plans_path(&cluster)).await?;
                session.show(&answer, || {
                    let plans: Vec<Plan> = answer.read("plans")?;
                    Ok(plans_table(&plans, session.width()))
                })
            }
            Self::Show(which) => {
                let answer = session.api.get(&which.path()).await?;
                session.show(&answer, || {
                    Ok(picture(&answer.read("plan")?, session.width()))
                })
            }
            Self::Apply { which, wait } => {
                let path = format!("{}/apply", which.path());
                let answer = session.api.act(&path).await?;
                let applied = Applied {
                    cluster: &which.cluster,
                    answer: &answer,
                    wait,
                };
                applied.show(session).await
            }
            Self::Explain(which) => {
                let path = format!("{}/explain", which.path());
                let answer = session.api.get(&path).await?;
                session.show(&answer, || {
                    Ok(outline(&answer.read::<Value>("explanation")?))
                })
            }
        }
    }
}

impl Which {
    fn path(&self) -> String {
        format!("{}/{}", plans_path(&self.cluster), self.id)
    }
}

fn plans_path(cluster: &ClusterName) -> String {
    format!("{}/plans", cluster.path())
}

/// A plan whose moves are queued.
pub(super) struct Applied<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) answer: &'a Answer,
    pub(super) wait: bool,
}

impl Applied<'_> {
    /// Shows the plan and, where that is wanted, waits for its migrations.
    pub(super) async fn show(&self, session: &Session) -> Result<(), ClientError> {
        let plan: Plan = self.answer.read("plan")?;
        let mut ids = self.answer.migrations().to_vec();
        if ids.is_empty() {
            ids = plan
                .moves
                .iter()
                .filter_map(|step| step.migration)
                .collect();
        }
        if !(self.wait && session.json()) {
            session.show(self.answer, || {
                let queued = count(ids.len(), "migration");
                Ok(format!(
                    "{}\n\n{queued} queued",
                    picture(&plan, session.width())
                ))
            })?;
        }
        if self.wait {
            progress::wait(session, self.cluster, &ids).await?;
        }
        Ok(())
    }
}

fn plans_table(plans: &[Plan], width: Option<u16>) -> String {
    let rows = plans.iter().map(|plan| {
        [
            brief(&plan.id),
            maybe(plan.created_at_ms.map(time)),
            brief(&plan.policy),
            brief(&plan.trigger),
            brief(&plan.version),
            brief(&plan.state),
            plan.moves.len().to_string(),
            brief(&plan.score_before),
            brief(&plan.score_after),
        ]
    });
    let header = [
        "PLAN", "CREATED", "POLICY", "TRIGGER", "VERSION", "STATE", "MOVES", "SCORE", "AFTER",
    ];
    table(header, rows, width)
}

/// A plan in a line, its moves in a table, and what was not taken up, with the reasons.
pub(super) fn picture(plan: &Plan, width: Option<u16>) -> String {
    let mut parts = vec![title(plan)];
    if !plan.moves.is_empty() {
        parts.push(moves_table(&plan.moves, width));
    }
    let reasons = plan.nothing_to_do.iter().flatten().map(brief);
    let reasons: Vec<String> = reasons
        .map(|reason| format!("Nothing to do: {reason}"))
        .collect();
    parts.push(reasons.join("\n"));
    let rejected = plan.rejected.as_deref().unwrap_or_default();
    if !rejected.is_empty() {
        parts.push(format!("Rejected:\n{}", moves_table(rejected, width)));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// `plan 3: even-slots, topology version 7, proposed, score 0.5 -> 0`.
fn title(plan: &Plan) -> String {
    let version = match brief(&plan.version) {
        none if none.is_empty() => none,
        version => format!("topology version {version}"),
    };
    let score = match [brief(&plan.score_before), brief(&plan.score_after)] {
        [before, after] if before.is_empty() && after.is_empty() => String::new(),
        [before, after] => format!("score {before} -> {after}"),
    };
    let about = [brief(&plan.policy), version, brief(&plan.state), score];
    let about: Vec<String> = about.into_iter().filter(|part| !part.is_empty()).collect();
    match (brief(&plan.id), about.join(", ")) {
        (id, about) if about.is_empty() => format!("plan {id}"),
        (id, about) => format!("plan {id}: {about}"),
    }
}

fn moves_table(moves: &[Move], width: Option<u16>) -> String {
    let rows = moves.iter().map(|step| {
        let bytes = step.estimated_bytes;
        [
            brief(&step.slots),
            brief(&step.from),
            brief(&step.to),
            brief(&step.priority),
            brief(&step.expected_gain),
            maybe(bytes.map(|bytes| indicatif::HumanBytes(bytes).to_string())),
            maybe(step.migration),
            why(step),
            brief(&step.refused),
        ]
    });
    let header = [
        "SLOTS",
        "FROM",
        "TO",
        "PRIORITY",
        "GAIN",
        "SIZE",
        "MIGRATION",
        "WHY",
        "REFUSED",
    ];
    table(header, rows, width)
}

/// The sentence, or else the word that stands for it.
fn why(step: &Move) -> String {
    match brief(&step.text) {
        text if text.is_empty() => brief(&step.reason),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_plan_shows_its_moves_its_score_and_what_was_rejected() {
        let plan: Plan = from_value(json!({
            "id": 4, "policy": "even-slots", "version": 7, "state": "proposed",
            "moves": [{
                "slots": "0-99", "from": 0, "to": 1, "priority": 10, "reason": "uneven",
                "text": "shard 1 has fewer", "expected_gain": 0.25, "estimated_bytes": 2048,
                "refused": null, "migration": null
            }],
            "score_before": 0.5, "score_after": 0.0, "nothing_to_do": [],
            "rejected": [{"slots": "5", "from": 0, "to": 2, "reason": "cooldown", "text": ""}]
        }))
        .unwrap();
        let expected = "\
plan 4: even-slots, topology version 7, proposed, score 0.5 -> 0

SLOTS  FROM  TO  PRIORITY  GAIN  SIZE      WHY
0-99   0     1   10        0.25  2.00 KiB  shard 1 has fewer

Rejected:
SLOTS  FROM  TO  WHY
5      0     2   cooldown";
        assert_eq!(picture(&plan, None), expected);
    }

    #[test]
    fn a_plan_without_moves_says_why() {
        let plan: Plan =
            from_value(json!({"id": "a-1", "nothing_to_do": ["it is even", {"left": 0}]})).unwrap();
        assert_eq!(
            picture(&plan, None),
            "plan a-1\n\nNothing to do: it is even\nNothing to do: {\"left\":0}"
        );
    }
}
