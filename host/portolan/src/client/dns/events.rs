//! `portolan dns events`.

use clap::Args;

use super::super::connection::Session;
use super::super::error::ClientError;
use super::super::follow;
use super::super::run::Run;
use super::{DNS, documents};

/// What happened to sites and lines.
#[derive(Debug, Args)]
pub struct DnsEvents {
    /// Go on with what happens from now on, until Ctrl-C; with --json one object per line
    #[arg(long, short)]
    follow: bool,
}

impl Run for DnsEvents {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        let path = format!("{DNS}/events");
        let answer = documents::get(session, &path).await?;
        let watch = self.follow.then(|| format!("{path}?watch=true"));
        follow::print(session, &answer, watch.as_deref()).await
    }
}
