//! `portolan status`: one screen for three in the morning.

mod clusters;
mod group;
mod steering;

use clap::Args;
use serde_json::{Map, Value, json};

use super::connection::Session;
use super::error::ClientError;
use super::run::Run;

/// What scripts rely on.
pub(super) const TROUBLE_CODES: &str = "\
Exit codes: 0 nothing is in trouble; 1 something is, or it failed; 2 the command line is wrong; 5 the \
server cannot be reached.

In trouble are: no leader, a member that is not ready or that the leader does not hear, a site that is \
down or not known, a zone that fails or has something refused, a node that is down. What an operator asked \
for (a site drained or forced) and what is under way (a zone with changes pending) is shown, and is none.";

/// How everything is.
#[derive(Debug, Args)]
pub struct Status {}

/// One part of the screen.
#[derive(Debug, Default)]
struct Section {
    /// The member of `--json`.
    name: &'static str,
    /// What people see; empty where there is nothing to see.
    text: String,
    /// What programs get.
    json: Value,
    /// A sentence for each thing that somebody should look at.
    troubles: Vec<String>,
}

impl Section {
    /// A part that could not be asked about is trouble enough.
    fn of(name: &'static str, asked: Result<Self, ClientError>) -> Self {
        asked.unwrap_or_else(|error| Self {
            name,
            troubles: vec![format!("{name}: not known: {error}")],
            ..Self::default()
        })
    }
}

impl Run for Status {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        let width = session.width();
        let sections = [
            // Where nobody answers this there is no screen.
            group::section(session).await?,
            Section::of("sites", steering::sites(session).await),
            Section::of("zones", steering::zones(session).await),
            Section::of("clusters", clusters::section(session, width).await),
            Section::of("events", steering::events(session).await),
        ];
        if session.json() {
            session.show_json(&as_json(&sections))?;
        } else {
            session.line(&screen(&sections))?;
        }
        let troubles: usize = sections.iter().map(|it| it.troubles.len()).sum();
        match troubles {
            0 => Ok(()),
            1 => Err(ClientError::Failed("1 thing is in trouble".to_owned())),
            more => Err(ClientError::Failed(format!("{more} things are in trouble"))),
        }
    }
}

/// What is in trouble first, then all parts.
fn screen(sections: &[Section]) -> String {
    let troubles: Vec<String> = troubles(sections).map(|it| format!("  {it}")).collect();
    let first = match troubles.is_empty() {
        true => "Nothing is in trouble.".to_owned(),
        false => format!("In trouble:\n{}", troubles.join("\n")),
    };
    let texts = sections.iter().map(|section| section.text.clone());
    let parts: Vec<String> = [first]
        .into_iter()
        .chain(texts)
        .filter(|text| !text.is_empty())
        .collect();
    parts.join("\n\n")
}

fn as_json(sections: &[Section]) -> Value {
    let parts = sections.iter();
    let mut parts: Map<String, Value> = parts
        .map(|section| (section.name.to_owned(), section.json.clone()))
        .collect();
    let troubles: Vec<&String> = troubles(sections).collect();
    parts.insert("ok".to_owned(), troubles.is_empty().into());
    parts.insert("troubles".to_owned(), json!(troubles));
    parts.into()
}

fn troubles(sections: &[Section]) -> impl Iterator<Item = &String> {
    sections.iter().flat_map(|section| &section.troubles)
}

/// `2 up, 1 down`, in the order of their first mention.
fn counted<'a>(states: impl Iterator<Item = &'a str>) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for state in states {
        match counts.iter_mut().find(|(known, _)| *known == state) {
            Some((_, count)) => *count += 1,
            None => counts.push((state, 1)),
        }
    }
    let texts = counts
        .iter()
        .map(|(state, count)| format!("{count} {state}"));
    texts.collect::<Vec<_>>().join(", ")
}

/// A headline, and a table below it where there is one.
fn headed(headline: String, table: &str) -> String {
    match table {
        "" => headline,
        table => format!("{headline}\n{table}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_trouble_stands_first() {
        let good = Section {
            name: "group",
            text: "Group: fine".into(),
            json: json!({"leader": 1}),
            troubles: Vec::new(),
        };
        assert_eq!(screen(&[good]), "Nothing is in trouble.\n\nGroup: fine");
        let refused = ClientError::Refused {
            status: 503,
            message: "no leader".into(),
        };
        let unknown = Section::of("sites", Err(refused));
        let expected = "In trouble:\n  sites: not known: no leader";
        assert_eq!(screen(std::slice::from_ref(&unknown)), expected);
        let json = as_json(&[unknown]);
        assert_eq!(json["ok"], false);
        assert_eq!(json["troubles"], json!(["sites: not known: no leader"]));
        assert_eq!(json["sites"], Value::Null);
    }

    #[test]
    fn states_are_counted() {
        assert_eq!(counted(["up", "down", "up"].into_iter()), "2 up, 1 down");
        assert_eq!(counted([].into_iter()), "");
    }
}
