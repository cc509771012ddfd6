//! Keeps the picture like the store, on every member, with or without a leader.

use std::sync::Arc;

use futures_util::FutureExt;
use portolan_consensus::{Consistency, Event, Member, Revision, Scan, Space, Watch, WatchError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::documents::ALL;
use crate::meter::Meter;
use crate::picture::Picture;

/// The picture in force; a receiver reads it without waiting and hears of the next one.
pub(crate) type Pictures = watch::Sender<Arc<Picture>>;

/// Reads all zones as this member has them.
pub(crate) async fn read(
    member: &Member,
) -> Result<(Picture, Revision), portolan_consensus::Error> {
    let scan = Scan::prefix(ALL);
    let page = member
        .scan(Space::Steering, scan, Consistency::Stale)
        .await?;
    let mut picture = Picture::default();
    for (key, record) in &page.items {
        if let Err(error) = picture.take(key, Some(record)) {
            tracing::error!(%error, "a document of the dns server is left out");
        }
    }
    Ok((picture, page.revision))
}

/// Follows the store from `revision` on, until `shutdown`.
pub(crate) async fn follow(
    member: &Member,
    pictures: &Pictures,
    meter: &Meter,
    mut revision: Revision,
    shutdown: &CancellationToken,
) {
    loop {
        let mut watch = member.watch(Space::Steering, ALL, revision);
        let ended = tokio::select! {
            () = shutdown.cancelled() => return,
            ended = take_changes(&mut watch, pictures, meter) => ended,
        };
        if ended == WatchError::Closed {
            return;
        }
        // A read of what this member has fails only when it is stopping.
        let Ok((picture, read)) = self::read(member).await else {
            return;
        };
        revision = read;
        show(picture, pictures, meter);
    }
}

async fn take_changes(watch: &mut Watch, pictures: &Pictures, meter: &Meter) -> WatchError {
    loop {
        let mut next = match watch.next().await {
            Ok(event) => Some(event),
            Err(ended) => return ended,
        };
        let mut picture = Picture::clone(&pictures.borrow());
        let mut revision = None;
        // All that is there already makes one picture; a transaction is never seen in part, for its
        // changes are in the history together.
        while let Some(event) = next {
            if revision.is_some_and(|revision| revision != event.revision) {
                show(picture.clone(), pictures, meter);
            }
            revision = Some(event.revision);
            take(&mut picture, &event);
            next = match watch.next().now_or_never() {
                Some(Ok(event)) => Some(event),
                // The next call says it again.
                Some(Err(_)) | None => None,
            };
        }
        show(picture, pictures, meter);
    }
}

fn take(picture: &mut Picture, event: &Event) {
    if let Err(error) = picture.take(&event.key, event.record.as_ref()) {
        tracing::error!(%error, "a change is not served; what stood there before still is");
    }
}

fn show(picture: Picture, pictures: &Pictures, meter: &Meter) {
    meter.pictured(&picture);
    pictures.send_replace(Arc::new(picture));
}
