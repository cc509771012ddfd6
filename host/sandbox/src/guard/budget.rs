//! What one call may spend on HTTP.

use parking_lot::Mutex;

use super::HttpError;
use crate::Limits;

/// What is left of one call's requests and bytes, whichever interface it uses.
pub(crate) struct Budget {
    requests: u32,
    sent: usize,
    received: usize,
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
            spent: Mutex::default(),
        }
    }

    /// For a function that may not use HTTP at all.
    pub(crate) fn none() -> Self {
        Self {
            requests: 0,
            sent: 0,
            received: 0,
            spent: Mutex::default(),
        }
    }

    /// Takes one request of `bytes` out of the budget, before it is sent.
    pub(crate) fn request(&self, bytes: usize) -> Result<(), HttpError> {
        let mut spent = self.spent.lock();
        if self.requests == 0 {
            return Err(HttpError::Limit(
                "this function may not use http".to_owned(),
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

    /// How many bytes may still be sent.
    pub(crate) fn sendable(&self) -> usize {
        self.sent.saturating_sub(self.spent.lock().sent)
    }
}
