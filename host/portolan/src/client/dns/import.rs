//! `portolan dns import`: takes over a deployment of CocoaSyncer, the daemon whose contract `/v1` is.

mod convert;
mod reference;
mod steps;

use std::path::PathBuf;

use clap::Args;
use portolan_steering::ZoneName;
use reqwest::Url;
use serde_json::{Value, json};

use self::convert::convert;
use self::reference::cluster_info;
use self::steps::{Step, compare};
use super::super::api::Standing;
use super::super::connection::{self, Session};
use super::super::error::ClientError;
use super::super::run::Run;
use super::super::table::count;
use super::documents;
use super::secrets::from_file;

/// What is taken over, and from where.
#[derive(Debug, Args)]
pub struct Import {
    /// Any node of the deployment; it is only asked, and goes on as it is
    #[arg(long, value_name = "URL", value_parser = connection::server)]
    from: Url,
    /// The file with that node's secret
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    /// Take over the services of this zone alone; may be given several times
    #[arg(long = "zone", value_name = "ZONE", value_delimiter = ',', value_parser = ZoneName::parse)]
    zones: Vec<ZoneName>,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Run for Import {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        let secret = from_file(&self.secret_file)?;
        let info = cluster_info(self.from, &secret).await?;
        let wanted = convert(info, &self.zones);
        let mut steps = Vec::with_capacity(wanted.things.len());
        for thing in wanted.things {
            let standing = documents::standing(session, &thing.path()).await?;
            steps.push(compare(thing, standing.as_ref())?);
        }
        let notes = wanted.notes;
        if session.json() {
            let shown: Vec<Value> = steps.iter().map(Step::as_json).collect();
            session.show_json(&json!({"steps": shown, "notes": notes,
                                      "dry_run": self.dry_run}))?;
        } else {
            session.line(&steps::picture(&steps, &notes, console::colors_enabled()))?;
        }
        if self.dry_run {
            return say(session, "nothing was changed");
        }
        let left: Vec<Step> = steps.into_iter().filter(Step::changes).collect();
        for step in &left {
            take(session, step).await?;
        }
        say(
            session,
            &format!("{} made or changed", count(left.len(), "thing")),
        )
    }
}

async fn take(session: &Session, step: &Step) -> Result<(), ClientError> {
    let standing = match (step.is_new(), step.tag()) {
        (true, _) => Standing::Absent,
        (false, Some(tag)) => Standing::At(tag),
        (false, None) => Standing::Any,
    };
    documents::put(session, &step.path(), step.document(), standing).await?;
    Ok(())
}

fn say(session: &Session, sentence: &str) -> Result<(), ClientError> {
    match session.json() {
        true => Ok(()),
        false => session.line(sentence),
    }
}
