//! Waiting for migrations: a bar for each on a terminal, a line for each step elsewhere.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::{HumanBytes, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::cluster_name::ClusterName;
use super::connection::Session;
use super::error::ClientError;
use super::table::{count, decimal};
use super::views::{Migration, MigrationState};

/// Often enough for the eye, seldom enough for the server.
const POLL: Duration = Duration::from_millis(500);
/// An election, or a member that restarts, does not end the wait.
const PATIENCE: Duration = Duration::from_secs(30);

const BAR: &str = "{prefix}  [{bar:32}] {percent:>3}%  {msg}";

/// Waits until all of these migrations are over, and prints how they ended.
///
/// # Errors
/// [`ClientError::Failed`] when one of them failed or was cancelled.
pub(super) async fn wait(
    session: &Session,
    cluster: &ClusterName,
    ids: &[u64],
) -> Result<(), ClientError> {
    let mut watch = Watch::new(session, ids);
    let mut lost: Option<Instant> = None;
    loop {
        match migrations(session, cluster).await {
            Ok(migrations) => {
                lost = None;
                watch.notice(migrations)?;
                if watch.is_over() {
                    break;
                }
            }
            Err(error) if error.passes() => {
                if lost.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        sleep(POLL).await;
    }
    watch.finish()
}

async fn migrations(session: &Session, cluster: &ClusterName) -> Result<Vec<Value>, ClientError> {
    let path = format!("{}/migrations", cluster.path());
    session.api.get(&path).await?.read("migrations")
}

/// One migration under watch.
struct Watched {
    bar: ProgressBar,
    /// As the server showed it last, and what is read of that.
    shown: Option<(Value, Migration)>,
}

struct Watch<'a> {
    session: &'a Session,
    bars: MultiProgress,
    watched: BTreeMap<u64, Watched>,
}

impl<'a> Watch<'a> {
    fn new(session: &'a Session, ids: &[u64]) -> Self {
        let bars = MultiProgress::new();
        let watched = ids.iter().map(|id| {
            let bar = bars.add(ProgressBar::new(0));
            // Without the style it is a plainer bar.
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style.progress_chars("█▒·"));
            }
            (*id, Watched { bar, shown: None })
        });
        Self {
            session,
            watched: watched.collect(),
            bars,
        }
    }

    fn notice(&mut self, shown: Vec<Value>) -> Result<(), ClientError> {
        let mut listed = Vec::new();
        for value in shown {
            let Some(id) = value["id"].as_u64() else {
                continue;
            };
            if let Some(watched) = self.watched.get_mut(&id) {
                let migration = serde_json::from_value(value.clone()).map_err(|error| {
                    ClientError::Failed(format!("migration {id} is not understood: {error}"))
                })?;
                watched.notice(self.session, self.bars.is_hidden(), &migration);
                watched.shown = Some((value, migration));
                listed.push(id);
            }
        }
        // Those that ended long ago are forgotten by the server, and were seen to end.
        let gone = |(id, watched): (&u64, &Watched)| {
            (!listed.contains(id) && !watched.is_over()).then_some(*id)
        };
        match self.watched.iter().find_map(gone) {
            Some(id) => Err(ClientError::Failed(format!(
                "migration {id} is not listed any more, and how it ended is not known"
            ))),
            None => Ok(()),
        }
    }

    fn is_over(&self) -> bool {
        self.watched.values().all(Watched::is_over)
    }

    fn finish(self) -> Result<(), ClientError> {
        let shown: Vec<(Value, Migration)> = self
            .watched
            .into_values()
            .filter_map(|watched| watched.shown)
            .collect();
        let bad = shown
            .iter()
            .map(|(_, migration)| migration)
            .filter(|migration| migration.state != MigrationState::Done);
        let complaints: Vec<String> = bad.map(complaint).collect();
        if self.session.json() {
            let values: Vec<&Value> = shown.iter().map(|(value, _)| value).collect();
            self.session.show_json(&json!({"migrations": values}))?;
        } else if complaints.is_empty() {
            let done = count(shown.len(), "migration");
            self.session.line(&format!("{done} done"))?;
        }
        if complaints.is_empty() {
            return Ok(());
        }
        Err(ClientError::Failed(complaints.join("; ")))
    }
}

impl Watched {
    fn notice(&mut self, session: &Session, hidden: bool, migration: &Migration) {
        let Migration { id, slots, .. } = migration;
        let before = self.shown.as_ref().map(|(_, before)| before);
        let news = before.is_none_or(|before| {
            (&before.state, &before.reason) != (&migration.state, &migration.reason)
        });
        let message = describe(migration, now_ms());
        if hidden && news && !self.is_over() {
            session.note(&format!("migration {id} ({slots}): {message}"));
        }
        self.bar.set_prefix(format!("{id}: {slots}"));
        self.bar.set_length(migration.total());
        self.bar.set_position(migration.done());
        self.bar.set_message(message);
        if is_over(migration) {
            self.bar.abandon();
        }
    }

    fn is_over(&self) -> bool {
        self.shown
            .as_ref()
            .is_some_and(|(_, migration)| is_over(migration))
    }
}

fn is_over(migration: &Migration) -> bool {
    !matches!(migration.state, MigrationState::Pending(_))
}

/// `running, 120 slots/s, 4096 keys, 2.00 KiB to go, 34 seconds left`.
fn describe(migration: &Migration, now_ms: u64) -> String {
    let mut parts = vec![migration.state.word().to_owned()];
    if let MigrationState::Pending(_) = migration.state {
        let rate = migration.rate_slots_per_s;
        parts.extend(rate.map(|rate| format!("{} slots/s", decimal(rate))));
        parts.extend(migration.keys_moved.map(|keys| format!("{keys} keys")));
        let left = migration.bytes_left;
        parts.extend(left.map(|bytes| format!("{} to go", HumanBytes(bytes))));
        let end = migration.expected_end_ms;
        parts.extend(end.map(|end| {
            let left = Duration::from_millis(end.saturating_sub(now_ms));
            format!("{} left", HumanDuration(left))
        }));
    }
    if migration.state != MigrationState::Done {
        parts.extend(migration.reason.clone());
    }
    parts.join(", ")
}

fn complaint(migration: &Migration) -> String {
    let Migration { id, slots, .. } = migration;
    let state = migration.state.word();
    match &migration.reason {
        Some(reason) => format!("migration {id} ({slots}) {state}: {reason}"),
        None => format!("migration {id} ({slots}) {state}"),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    fn migration(state: &str, more: Value) -> Migration {
        let mut value = json!({"id": 3, "slots": "0-9", "target": 1, "state": state});
        let fields = value.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        from_value(value).unwrap()
    }

    #[test]
    fn what_is_known_is_said() {
        for (migration, text) in [
            (migration("queued", json!({})), "queued"),
            (
                migration("queued", json!({"reason": "no answer"})),
                "queued, no answer",
            ),
            (
                migration(
                    "running",
                    json!({"rate_slots_per_s": 12.5, "keys_moved": 40, "bytes_left": 2048,
                           "expected_end_ms": 61_000}),
                ),
                "running, 12.5 slots/s, 40 keys, 2.00 KiB to go, 60 seconds left",
            ),
            (
                migration("done", json!({"reason": "old", "expected_end_ms": 1})),
                "done",
            ),
        ] {
            assert_eq!(describe(&migration, 1_000), text);
        }
        assert_eq!(
            complaint(&migration("failed", json!({"reason": "no luck"}))),
            "migration 3 (0-9) failed: no luck"
        );
    }
}
