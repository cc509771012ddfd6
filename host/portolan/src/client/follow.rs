//! Events of a journal: those that there are, and those to come.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::api::Answer;
use super::connection::Session;
use super::error::ClientError;
use super::sse::{Message, Messages};
use super::table::time;
use super::views::Event;

/// The pause before the next attempt to listen again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A server that says nothing for so long, not even that it is there, may be gone without a word.
const SILENCE: Duration = Duration::from_secs(60);

/// Prints the events of an answer and, where a path to follow is given, each that comes from then on.
pub(super) async fn print(
    session: &Session,
    answer: &Answer,
    follow: Option<&str>,
) -> Result<(), ClientError> {
    let Some(path) = follow else {
        return session.show(answer, || {
            let events: Vec<Event> = answer.read("events")?;
            Ok(lines(&events))
        });
    };
    let mut follower = Follower::new(session);
    for event in answer.read::<Vec<Value>>("events")? {
        follower.print(event)?;
    }
    follower.follow(path).await
}

/// A line for each.
pub(super) fn lines(events: &[Event]) -> String {
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// `time kind text`.
fn line(event: &Event) -> String {
    let Event {
        at_ms, kind, text, ..
    } = event;
    format!("{} {kind:<17} {text}", time(*at_ms))
}

/// Prints each event once, over as many connections as it takes.
struct Follower<'a> {
    session: &'a Session,
    /// The number of the last event that was printed.
    last: Option<u64>,
    /// Whether it was ever listened to; before that, no server is a failure.
    connected: bool,
    /// Whether it was said that the server is away.
    told: bool,
}

impl<'a> Follower<'a> {
    fn new(session: &'a Session) -> Self {
        Self {
            session,
            last: None,
            connected: false,
            told: false,
        }
    }

    async fn follow(&mut self, path: &str) -> Result<(), ClientError> {
        loop {
            match self.listen(path).await {
                Err(error) if self.connected && error.passes() => {
                    if !self.told {
                        self.session.note(&format!("{error}; trying again"));
                        self.told = true;
                    }
                }
                // A member that stops ends the stream.
                Ok(()) => {}
                Err(error) => return Err(error),
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    /// Until the server ends the stream, or it breaks.
    async fn listen(&mut self, path: &str) -> Result<(), ClientError> {
        let api = &self.session.api;
        let mut response = api.listen(path, self.last).await?;
        (self.connected, self.told) = (true, false);
        let mut messages = Messages::default();
        while let Ok(piece) = timeout(SILENCE, response.chunk()).await {
            let Some(piece) = piece.map_err(|error| api.unreachable(&error))? else {
                break;
            };
            for message in messages.feed(&piece) {
                self.print(event(&message)?)?;
            }
        }
        Ok(())
    }

    fn print(&mut self, event: Value) -> Result<(), ClientError> {
        let seen: Event = serde_json::from_value(event.clone()).map_err(|error| {
            ClientError::Failed(format!("the event {event} is not understood: {error}"))
        })?;
        if self.last.is_some_and(|last| seen.number <= last) {
            return Ok(());
        }
        self.last = Some(seen.number);
        if self.session.json() {
            self.session.line(&event.to_string())
        } else {
            self.session.line(&line(&seen))
        }
    }
}

/// The event in a message; the message's own fields stand in for those that it leaves out.
fn event(message: &Message) -> Result<Value, ClientError> {
    let mut event: Value = serde_json::from_str(&message.data).map_err(|error| {
        ClientError::Failed(format!("the event {:?} is no JSON: {error}", message.data))
    })?;
    if let Some(object) = event.as_object_mut() {
        if let Some(number) = message.id.as_ref().and_then(|id| id.parse::<u64>().ok()) {
            object.entry("number").or_insert_with(|| number.into());
        }
        let kind = &message.event;
        object.entry("kind").or_insert_with(|| kind.clone().into());
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_an_event_and_an_event_a_line() {
        let message = Message {
            id: Some("3".into()),
            event: "node-up".into(),
            data: r#"{"at_ms": 1795292134123, "text": "it is back"}"#.into(),
        };
        let event = event(&message).unwrap();
        assert_eq!(event["number"], json!(3));
        let seen: Event = serde_json::from_value(event).unwrap();
        assert_eq!(
            line(&seen),
            "2026-11-21T20:15:34.123Z node-up           it is back"
        );
    }
}
