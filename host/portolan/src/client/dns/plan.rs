//! `portolan dns plan` and `portolan dns apply`.

use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::sleep;

use super::super::api::Answer;
use super::super::connection::Session;
use super::super::error::ClientError;
use super::super::run::Run;
use super::super::table::count;
use super::picture::pictures;
use super::views::{Plan, ZoneStatus};
use super::{DNS, OneZone, documents};

/// The first pause between two looks; each is longer than the one before, for a plan asks providers.
const FIRST_LOOK: Duration = Duration::from_millis(500);
/// The longest pause.
const LAST_LOOK: Duration = Duration::from_secs(5);
/// How long a zone may fail before the wait ends: a passing failure, or one from before, is tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// What shall be made so now.
#[derive(Debug, Args)]
pub struct Apply {
    #[command(flatten)]
    zone: OneZone,
    /// Wait until nothing is left to be done; 1 if it fails or something is refused
    #[arg(long)]
    wait: bool,
}

/// Prints what would be changed.
pub(super) async fn show(session: &Session, zone: &OneZone) -> Result<(), ClientError> {
    let answer = documents::get(session, &zone.query("plan")).await?;
    print(session, &answer)
}

fn print(session: &Session, answer: &Answer) -> Result<(), ClientError> {
    session.show(answer, || {
        let plans: Vec<Plan> = answer.read("zones")?;
        Ok(pictures(&plans, console::colors_enabled()))
    })
}

impl Run for Apply {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        let answer = documents::act(session, &self.zone.query("apply")).await?;
        print(session, &answer)?;
        let plans: Vec<Plan> = answer.read("zones")?;
        if self.wait {
            return wait(session, &self.zone, plans).await;
        }
        let changes = plans.iter().map(changes_left).sum::<usize>();
        if !session.json() && changes > 0 {
            session.note("asked for; `portolan dns plan` shows what is left to do");
        }
        Ok(())
    }
}

/// Waits until the plan has nothing left to do.
///
/// It looks at the plan rather than at the status, for a member that does not lead knows only what of the
/// status the leader last wrote down.
async fn wait(session: &Session, zone: &OneZone, mut plans: Vec<Plan>) -> Result<(), ClientError> {
    let began = Instant::now();
    let mut pause = FIRST_LOOK;
    let mut lost = None;
    while !plans.iter().all(is_done) {
        if began.elapsed() > PATIENCE
            && let Some(reason) = failure(session, &plans).await?
        {
            return Err(ClientError::Failed(reason));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LAST_LOOK);
        match documents::get(session, &zone.query("plan")).await {
            Ok(answer) => (plans, lost) = (answer.read("zones")?, None),
            Err(error) if error.passes() => {
                if lost.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    let refused: usize = plans.iter().map(|plan| plan.refused.len()).sum();
    match refused {
        0 if session.json() => Ok(()),
        0 => session.line("done"),
        refused => {
            let sets = count(refused, "record set");
            let sentence = format!("all else is done, but {sets} refused; see the plan");
            Err(ClientError::Failed(sentence))
        }
    }
}

fn changes_left(plan: &Plan) -> usize {
    let actions = plan.actions.iter();
    actions.filter(|it| it.changes() || it.waits()).count()
}

fn is_done(plan: &Plan) -> bool {
    plan.error.is_none() && changes_left(plan) == 0
}

/// Why a zone that is not done cannot be, as far as it is known.
async fn failure(session: &Session, plans: &[Plan]) -> Result<Option<String>, ClientError> {
    let unfinished = plans.iter().filter(|plan| !is_done(plan));
    let unfinished: Vec<&str> = unfinished.map(|plan| plan.zone.as_str()).collect();
    if let Some((zone, error)) = plans
        .iter()
        .find_map(|plan| Some((&plan.zone, plan.error.as_ref()?)))
    {
        return Ok(Some(format!("{zone}: {error}")));
    }
    let answer = documents::get(session, &format!("{DNS}/status")).await?;
    let zones: Vec<ZoneStatus> = answer.read("zones")?;
    let mut failing = zones
        .iter()
        .filter(|zone| unfinished.contains(&zone.zone.as_str()) && zone.state == "failing");
    Ok(failing.next().map(|zone| {
        let troubles = zone.troubles.iter();
        let failed = troubles.filter(|trouble| trouble.kind == "failing");
        let mut reasons = failed.map(|trouble| format!("{}: {}", trouble.key, trouble.reason));
        let reason = zone.error.clone().or_else(|| reasons.next());
        let reason = reason.unwrap_or_else(|| "it cannot be changed".to_owned());
        format!("{}: {reason}", zone.zone)
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    #[test]
    fn a_zone_is_done_when_nothing_is_left_even_if_something_is_refused() {
        let key = json!({"name": "a.example", "type": "A"});
        let plan = |kind: &str, reason: &str, error: Value| -> Plan {
            let action = json!({"action": kind, "key": key, "reason": reason});
            let refusal = json!({"key": key, "reason": "not ours"});
            let plan = json!({"zone": "a.example", "actions": [action], "error": error,
                              "refused": [refusal]});
            from_value(plan).unwrap()
        };
        assert!(is_done(&plan("none", "as wanted", Value::Null)));
        assert!(!is_done(&plan("create", "not there", Value::Null)));
        let waiting = "waiting: the last change may not show yet";
        assert!(!is_done(&plan("none", waiting, Value::Null)));
        assert!(!is_done(&plan("none", "as wanted", json!("no answer"))));
    }
}
