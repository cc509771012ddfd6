//! `portolan dns sites`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use portolan_steering::SiteCode;
use serde_json::Value;

use super::super::connection::Session;
use super::super::error::ClientError;
use super::super::outline::outline;
use super::super::run::Run;
use super::super::table::{maybe, table, time};
use super::DNS;
use super::check::CheckFlags;
use super::documents::{self, Given};
use super::site_changes::SiteChanges;
use super::views::Site;

/// What to do with sites.
#[derive(Debug, Subcommand)]
pub enum SiteCommand {
    /// Show all sites, and how they stand
    List,
    /// Show all of a site
    Show {
        /// The site
        #[arg(value_name = "CODE", value_parser = SiteCode::parse)]
        code: SiteCode,
    },
    /// Make a site or change it; what is not given stays as it is
    Set {
        /// The site
        #[arg(value_name = "CODE", value_parser = SiteCode::parse)]
        code: SiteCode,
        #[command(flatten)]
        #[allow(missing_docs)]
        changes: Box<SiteChanges>,
        #[command(flatten)]
        #[allow(missing_docs)]
        check: CheckFlags,
        /// All of it as JSON, from a file or, with -, from stdin; what it leaves out gets its default
        #[arg(long, value_name = "FILE|-", conflicts_with_all = ["SiteChanges", "CheckFlags"])]
        file: Option<PathBuf>,
    },
    /// Delete a site; its lines go to others where others can serve them
    Delete {
        /// The site
        #[arg(value_name = "CODE", value_parser = SiteCode::parse)]
        code: SiteCode,
    },
    /// Give a site's lines to others, as far as there are any
    Drain {
        /// The site
        #[arg(value_name = "CODE", value_parser = SiteCode::parse)]
        code: SiteCode,
    },
    /// Let a site's health decide again
    Resume {
        /// The site
        #[arg(value_name = "CODE", value_parser = SiteCode::parse)]
        code: SiteCode,
    },
    /// Say that a site is up, or down, whatever its checks say
    Force {
        /// The site
        #[arg(value_name = "CODE", value_parser = SiteCode::parse)]
        code: SiteCode,
        /// Which of the two
        #[arg(value_name = "up|down", hide_possible_values = true)]
        to: Way,
    },
}

/// What a site is said to be.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Way {
    /// It serves its lines
    Up,
    /// It serves none
    Down,
}

impl Run for SiteCommand {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        match self {
            Self::List => {
                let answer = documents::get(session, &format!("{DNS}/sites")).await?;
                session.show(&answer, || {
                    Ok(sites_table(
                        &answer.read::<Vec<Site>>("sites")?,
                        session.width(),
                    ))
                })
            }
            Self::Show { code } => {
                let answer = documents::get(session, &path(&code)).await?;
                session.show(&answer, || Ok(outline(&answer.whole::<Value>()?)))
            }
            Self::Set {
                code,
                changes,
                check,
                file,
            } => {
                let given = Given {
                    file: file.as_ref(),
                    changes: changes.fields(check),
                    flags: "--line, --ipv4",
                };
                let answer = documents::set(session, &path(&code), "", given).await?;
                session.done(&answer, format!("site {code} is set"))
            }
            Self::Delete { code } => {
                let answer = documents::delete(session, &path(&code)).await?;
                session.done(&answer, format!("site {code} is deleted"))
            }
            Self::Drain { code } => order(session, &code, "drain", "is drained").await,
            Self::Resume { code } => {
                let sentence = "is resumed: its health decides again";
                order(session, &code, "resume", sentence).await
            }
            Self::Force { code, to: Way::Up } => {
                order(session, &code, "force?to=up", "is forced up").await
            }
            Self::Force {
                code,
                to: Way::Down,
            } => order(session, &code, "force?to=down", "is forced down").await,
        }
    }
}

async fn order(
    session: &Session,
    code: &SiteCode,
    order: &str,
    sentence: &str,
) -> Result<(), ClientError> {
    let answer = documents::act(session, &format!("{}/{order}", path(code))).await?;
    session.done(&answer, format!("site {code} {sentence}"))
}

pub(super) fn path(code: &SiteCode) -> String {
    format!("{DNS}/sites/{code}")
}

fn sites_table(sites: &[Site], width: Option<u16>) -> String {
    let rows = sites.iter().map(|site| {
        let lines: Vec<String> = site.lines.iter().map(ToString::to_string).collect();
        [
            site.code.clone(),
            site.name.clone(),
            site.state.clone(),
            maybe(site.since_ms.map(time)),
            lines.join(", "),
            site.known_addresses.join(", "),
            maybe(site.member),
            site.reason.clone(),
        ]
    });
    let header = [
        "CODE",
        "NAME",
        "STATE",
        "SINCE",
        "LINES",
        "ADDRESSES",
        "MEMBER",
        "REASON",
    ];
    table(header, rows, width)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_site_is_a_row() {
        let sites: Vec<Site> = from_value(json!([
            {"code": "sh", "name": "Shanghai", "state": "up", "reason": "", "member": 1,
             "since_ms": 1_795_292_134_123_u64,
             "lines": ["default", {"line": "CT", "priority": 10}],
             "known_addresses": ["192.0.2.1", "2001:db8::1"]},
            {"code": "bj", "state": "draining", "reason": "an operator drains it"}
        ]))
        .unwrap();
        let rows = sites_table(&sites, None);
        let mut rows = rows.lines();
        let header = rows.next().unwrap().split_whitespace();
        let names = "CODE NAME STATE SINCE LINES ADDRESSES MEMBER REASON".split(' ');
        assert!(header.eq(names));
        let row = rows.next().unwrap().split_whitespace().collect::<Vec<_>>();
        let expected = "sh Shanghai up 2026-11-21T20:15:34.123Z default, CT:10 192.0.2.1, \
                        2001:db8::1 1";
        assert_eq!(row.join(" "), expected);
        let row = rows.next().unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(row.join(" "), "bj draining an operator drains it");
    }
}
