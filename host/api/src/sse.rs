//! Events as they happen: server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};
use http::HeaderMap;
use portolan_consensus::{JournalEvent, Kind};
use serde::Deserialize;

/// Proxies close connections on which nothing happens for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `?watch=true` stays and tells each event as it happens.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Follow {
    pub(crate) watch: bool,
}

/// The number of the last event that the client has, by its `Last-Event-ID`.
pub(crate) fn last_event(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// Tells events as they come, for as long as the client listens.
pub(crate) fn stream<K: Kind + ToString>(
    events: impl Stream<Item = JournalEvent<K>> + Send + 'static,
) -> Response {
    let events = events.map(|event| {
        let sent = Event::default()
            .id(event.number.to_string())
            .event(event.kind.to_string());
        Ok::<_, Infallible>(sent.json_data(&event).unwrap_or_default())
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(events).keep_alive(keep_alive).into_response()
}
