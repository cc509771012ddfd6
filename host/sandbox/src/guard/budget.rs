//! What one call may spend on requests.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::HttpError;
use crate::Limits;

/// What is left of one call's requests, bytes and time, whichever interface it uses.
pub(crate) struct Budget {
    requests: u32,
    sent: usize,
    received: usize,
    deadline: Instant,
    spent: Mutex<Spent>,
}

#[derive(Default)]
struct Spent {
    requests: u32,
    sent: usize,
    received: usize,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            requests: limits.requests,
            sent: limits.sent_bytes,
            received: limits.received_bytes,
            deadline: Instant::now() + Duration::from_millis(limits.deadline_ms),
            spent: Mutex::default(),
        }
    }

    /// For a function that may send no requests at all.
    pub(crate) fn none() -> Self {
        Self {
            requests: 0,
            sent: 0,
            received: 0,
            deadline: Instant::now(),
            spent: Mutex::default(),
        }
    }

    /// Takes one request of `bytes` out of the budget, before it is sent.
    pub(crate) fn request(&self, bytes: usize) -> Result<(), HttpError> {
        let mut spent = self.spent.lock();
        if self.requests == 0 {
            return Err(HttpError::Limit(
                "this function may use neither http nor dns-message".to_owned(),
            ));
        }
        if spent.requests >= self.requests {
            let text = format!(
                "this call has used up its {} requests (`requests`)",
                self.requests
            );
            return Err(HttpError::Limit(text));
        }
        if spent.sent.saturating_add(bytes) > self.sent {
            let text = format!(
                "a request of {bytes} bytes is over this call's limit of {} bytes to send, \
                 of which {} are spent (`sent_bytes`)",
                self.sent, spent.sent
            );
            return Err(HttpError::Limit(text));
        }
        spent.requests += 1;
        spent.sent += bytes;
        Ok(())
    }

    /// Takes received bytes out of the budget, as they come.
    pub(crate) fn receive(&self, bytes: usize) -> Result<(), HttpError> {
        let mut spent = self.spent.lock();
        spent.received = spent.received.saturating_add(bytes);
        if spent.received > self.received {
            let text = format!(
                "the response goes over this call's limit of {} bytes to receive (`received_bytes`)",
                self.received
            );
            return Err(HttpError::Limit(text));
        }
        Ok(())
    }

    /// How long the next request may wait before it leaves: half of the time that is left, so that it can
    /// be answered and the call can end.
    pub(crate) fn patience(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()) / 2
    }

    /// How many bytes may still be sent.
    pub(crate) fn sendable(&self) -> usize {
        self.sent.saturating_sub(self.spent.lock().sent)
    }
}
