//! Linearizable reads that wait for one quorum check together.
//!
//! A check proves for every read that began before it that nobody else led in between. So the reads
//! that arrive while a check is under way wait for the next one, however many they are, and one round
//! of messages answers them all.

use tokio::sync::{mpsc, oneshot};

use crate::error::Error;
use crate::member::WeakMember;

type Waiter = oneshot::Sender<Result<u64, Error>>;

/// Where reads wait.
pub(crate) struct ReadGate {
    waiters: mpsc::UnboundedSender<Waiter>,
}

impl ReadGate {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Waiter>) {
        let (waiters, inbox) = mpsc::unbounded_channel();
        (Self { waiters }, inbox)
    }

    /// The entry that must be applied before a read sees all that was acknowledged when it began.
    pub(crate) async fn index(&self) -> Result<u64, Error> {
        let (reply, answer) = oneshot::channel();
        self.waiters.send(reply).map_err(|_| Error::ShuttingDown)?;
        answer.await.map_err(|_| Error::ShuttingDown)?
    }
}

/// Makes one check after the other, for all who wait at its beginning.
pub(crate) async fn run(member: WeakMember, mut inbox: mpsc::UnboundedReceiver<Waiter>) {
    let mut waiters = Vec::new();
    while inbox.recv_many(&mut waiters, usize::MAX).await > 0 {
        let Some(member) = member.upgrade() else {
            return;
        };
        let telemetry = member.telemetry();
        telemetry.read_rounds.inc();
        telemetry.reads.inc_by(waiters.len() as u64);
        let index = member.find_read_index().await;
        for waiter in waiters.drain(..) {
            // A reader that has gone needs no answer.
            let _ = waiter.send(index.clone());
        }
    }
}
