//! `portolan dns records`.

use std::path::PathBuf;

use clap::Args;
use portolan_steering::ZoneName;
use serde_json::{Value, json};

use super::super::api::Standing;
use super::super::connection::Session;
use super::super::error::ClientError;
use super::super::run::Run;
use super::super::table::{count, maybe, table};
use super::documents;
use super::views::Record;
use super::{DNS, segment};

/// A zone's wanted records.
#[derive(Debug, Args)]
pub struct Records {
    /// The zone
    #[arg(value_name = "ZONE", value_parser = ZoneName::parse)]
    zone: ZoneName,
    /// All that you want there from now on, as JSON from a file or, with -, from stdin: what --json
    /// prints, or its list alone
    #[arg(long, value_name = "FILE|-")]
    file: Option<PathBuf>,
    /// Let the file hold no records, which deletes all that are yours
    #[arg(long, requires = "file")]
    allow_empty: bool,
}

impl Run for Records {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        let zone = &self.zone;
        let path = format!("{DNS}/zones/{}/records", segment(zone.as_str()));
        let Some(file) = &self.file else {
            let answer = documents::get(session, &path).await?;
            return session.show(&answer, || {
                let records: Vec<Record> = answer.read("records")?;
                Ok(records_table(&records, session.width()))
            });
        };
        let body = wanted(documents::read(file)?);
        let path = format!("{path}?allow_empty={}", self.allow_empty);
        let answer = documents::put(session, &path, &body, Standing::Any).await?;
        session.show(&answer, || {
            let records: Vec<Record> = answer.read("records")?;
            let sets = count(records.len(), "record set");
            Ok(format!("{sets} wanted in {zone}"))
        })
    }
}

/// A list is the records alone.
fn wanted(body: Value) -> Value {
    match body {
        Value::Array(records) => json!({ "records": records }),
        other => other,
    }
}

fn records_table(records: &[Record], width: Option<u16>) -> String {
    let rows = records.iter().map(|record| {
        let values: Vec<String> = record.values.iter().map(ToString::to_string).collect();
        [
            record.name.clone(),
            record.rtype.clone(),
            record.line.clone(),
            record.set_id.clone(),
            record.ttl.to_string(),
            values.join(", "),
            maybe(record.adopt.then_some("yes")),
        ]
    });
    let header = ["NAME", "TYPE", "LINE", "SET", "TTL", "VALUES", "ADOPT"];
    table(header, rows, width)
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    #[test]
    fn a_record_set_is_a_row() {
        let values = json!(["192.0.2.1",
                            {"content": "192.0.2.2", "weight": 3, "enabled": true}]);
        let records: Vec<Record> = from_value(json!([
            {"name": "www", "type": "A", "line": "CT", "set_id": "", "ttl": 60,
             "values": values, "adopt": false}
        ]))
        .unwrap();
        let expected = "\
NAME  TYPE  LINE  TTL  VALUES
www   A     CT    60   192.0.2.1, 192.0.2.2 (weight 3)";
        assert_eq!(records_table(&records, None), expected);
    }

    #[test]
    fn a_list_alone_is_the_records() {
        assert_eq!(wanted(json!([])), json!({"records": []}));
        let whole = json!({"zone": "a.example", "records": []});
        assert_eq!(wanted(whole.clone()), whole);
    }
}
