//! A member's own value: its sequence, the one write that may be on its way, and the lease that
//! follows from values that stand.

use super::orders::{Answer, CallId};
use super::plan::Times;
use super::value::{Face, Value};

/// Sequences of sites that take turns are never this far apart.
const FAR_BEHIND: u64 = 4;

/// A write that has not been answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) ordered_ms: u64,
}

impl Call {
    /// When nothing of it can take effect any more if it was answered now, or never.
    pub(crate) fn quiet_ms(&self, times: &Times, now_ms: u64) -> u64 {
        let sent_ms = now_ms.min(self.ordered_ms + times.send_window);
        sent_ms + times.flight
    }

    pub(crate) fn is_over(&self, times: &Times, now_ms: u64) -> bool {
        now_ms >= self.ordered_ms + times.send_window + times.flight
    }
}

/// What was last written.
#[derive(Debug, Clone)]
struct Written {
    seq: u64,
    ordered_ms: u64,
    face: Face,
    /// When it was first known to stand.
    stands_ms: Option<u64>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Pen {
    /// The last sequence that was used, or seen anywhere.
    pub(crate) seq: u64,
    /// The first of this life.
    pub(crate) first_seq: Option<u64>,
    call: Option<Call>,
    quiet_ms: u64,
    written: Option<Written>,
    /// When the last value was ordered that is known to have come to stand; of these, the last that
    /// was read back.
    acknowledged_ms: Option<u64>,
    read_back_ms: Option<u64>,
    /// The last value does not stand, as far as is known: it is to be written again at once.
    pub(crate) again: bool,
    /// Whether a value of this site may stand in the zone.
    pub(crate) in_zone: bool,
}

impl Pen {
    pub(crate) fn after(seq: u64) -> Self {
        Self {
            seq,
            ..Self::default()
        }
    }

    /// Whether nothing that was ordered before can still take effect.
    pub(crate) fn is_quiet(&self, now_ms: u64) -> bool {
        self.call.is_none() && now_ms >= self.quiet_ms
    }

    pub(crate) fn wait_until(&mut self, quiet_ms: u64) {
        self.quiet_ms = self.quiet_ms.max(quiet_ms);
    }

    /// Notes that a value is about to be written; answers its sequence.
    pub(crate) fn write(&mut self, id: CallId, now_ms: u64, face: Face) -> u64 {
        self.seq += 1;
        self.first_seq.get_or_insert(self.seq);
        self.call = Some(Call {
            id,
            ordered_ms: now_ms,
        });
        self.written = Some(Written {
            seq: self.seq,
            ordered_ms: now_ms,
            face,
            stands_ms: None,
        });
        self.again = false;
        self.in_zone = true;
        self.seq
    }

    /// Notes that the value is about to be removed.
    pub(crate) fn withdraw(&mut self, id: CallId, now_ms: u64) {
        self.call = Some(Call {
            id,
            ordered_ms: now_ms,
        });
        self.forget();
    }

    /// Nothing that was written counts any more.
    pub(crate) fn forget(&mut self) {
        self.written = None;
        self.acknowledged_ms = None;
        self.read_back_ms = None;
        self.again = false;
    }

    /// Takes the answer if it is this pen's.
    pub(crate) fn answered(&mut self, times: &Times, now_ms: u64, id: CallId, answer: Answer) {
        let Some(call) = self.call.take_if(|call| call.id == id) else {
            return;
        };
        match answer {
            // Duplicates may come after it.
            Answer::Done | Answer::Unknown => self.wait_until(call.quiet_ms(times, now_ms)),
            Answer::NotDone => {}
        }
        match (answer, &mut self.written) {
            (Answer::Done, Some(written)) => {
                written.stands_ms.get_or_insert(now_ms);
                self.acknowledged_ms = Some(written.ordered_ms);
            }
            (_, Some(_)) => self.again = true,
            _ => {}
        }
    }

    /// Gives up waiting for an answer that comes too late to matter.
    pub(crate) fn expire(&mut self, times: &Times, now_ms: u64) {
        if let Some(call) = self.call.take_if(|call| call.is_over(times, now_ms)) {
            self.wait_until(call.quiet_ms(times, call.ordered_ms + times.send_window));
            self.again |= self.written.is_some();
        }
    }

    /// Compares with what a read shows of this member's own name. True when a value that had come to
    /// stand was put out of its place: others may never have seen it.
    pub(crate) fn read_back(
        &mut self,
        times: &Times,
        asked_ms: u64,
        now_ms: u64,
        tag: u32,
        shown: Option<&Value>,
    ) -> bool {
        let Some(written) = &mut self.written else {
            let under_way = self.call.is_some() || asked_ms < self.quiet_ms + times.settle;
            self.in_zone = shown.is_some() || under_way;
            return false;
        };
        let stands = shown.is_some_and(|it| it.seq == written.seq && it.tag == tag);
        if stands {
            written.stands_ms.get_or_insert(now_ms);
            self.acknowledged_ms = Some(written.ordered_ms);
            self.read_back_ms = Some(written.ordered_ms);
            self.again = false;
            return false;
        }
        let must_show = written
            .stands_ms
            .is_some_and(|stands_ms| asked_ms >= stands_ms + times.settle);
        if must_show {
            written.stands_ms = None;
            self.acknowledged_ms = self.read_back_ms;
            self.again = true;
        }
        must_show
    }

    /// When the value that shows `enough` was first known to stand.
    pub(crate) fn stands_ms(&self, enough: impl Fn(&Face) -> bool) -> Option<u64> {
        let written = self.written.as_ref()?;
        written.stands_ms.filter(|_| enough(&written.face))
    }

    /// When the last value was ordered that is known to stand.
    pub(crate) fn acknowledged_ms(&self) -> Option<u64> {
        self.acknowledged_ms
    }

    /// Whether the last value is below one that was read since, so that somebody who has forgotten, or
    /// was forgotten, may not count it.
    pub(crate) fn is_behind(&self) -> bool {
        let written = self.written.as_ref();
        written.is_some_and(|written| written.seq + FAR_BEHIND < self.seq)
    }

    /// The sequence of the last value if it stands, 0 otherwise.
    pub(crate) fn standing_seq(&self) -> u64 {
        let standing = self.written.as_ref();
        let standing = standing.filter(|written| written.stands_ms.is_some());
        standing.map_or(0, |written| written.seq)
    }

    pub(crate) fn last_face(&self) -> Option<&Face> {
        self.written.as_ref().map(|written| &written.face)
    }

    pub(crate) fn last_ordered_ms(&self) -> Option<u64> {
        self.written.as_ref().map(|written| written.ordered_ms)
    }

    /// Until when others surely do not take this member for gone; none before its first value stands.
    pub(crate) fn lease_until_ms(&self, times: &Times) -> Option<u64> {
        self.acknowledged_ms.map(|ordered| ordered + times.lease)
    }
}
