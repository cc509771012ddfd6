//! Survivor mode: how the sites of a zone share its lines while the group has no quorum, with nothing
//! between them but the zone itself.
//!
//! A group of two cannot lose one. So each site without a quorum keeps a signed value in the zone
//! (`value`), and reads those of the others. [`Survivor`] is that protocol for one member and one
//! zone, as a pure machine: inputs and its own clock go in, orders come out.
//!
//! # The rules
//!
//! 1. **A site points lines to itself alone**, always in place, and writes no value but its own.
//! 2. **Claim, read back, hold.** Who wants a line shows `want` in its value. Once that value stands and
//!    the provider's settle time is over, it reads everything. If each other site of the line was
//!    either seen to change its value or is gone, and no living one claims the line beside it, it
//!    *holds* the line, shows `hold`, and only now points the record. The home does the same for its own
//!    lines. Of two that want, the one that comes later in the order gives way, and
//!    the other waits until it has.
//! 3. **Taking.** A taker wants a line only if the home's value has been absent or unchanged for three
//!    intervals of unbroken watching, *and* its own checks call the home's service down, *and* its own
//!    service is up; likewise of whoever the record points to. The watch counts from the loss of quorum
//!    plus its delay, and only while this member's own writes arrive: who cannot write is no witness
//!    of others who do not.
//! 4. **Giving back.** The home, back again, wants its line. The holder sees that, stops, waits until
//!    nothing of its own is on its way, and drops the claim; then the home holds the line and points the
//!    record. A dead holder's claim ends with its value. The record always points somewhere.
//! 5. **Lease.** Who cannot renew its value for the time of a lease, by its own clock, or
//!    cannot read for two intervals, holds nothing any more and begins again at 2.
//! 6. **The group comes first.** A member with a quorum that is not whole shows `group`: who sees that
//!    claims nothing and lets go of everything. The leader asks [`Survivor::group_may_move`] before it
//!    writes. When the group is whole, values go and the deeds are handed over.
//!
//! # What counts as a sign of life
//!
//! A value counts when it is signed for this site and name, its sequence is above all that were seen of
//! that site ([`Memory`] keeps them), and, once this member's own values have been readable for three
//! intervals, when it says that its writer has read one of those (`saw`). So neither a forged nor a
//! replayed value is one, not even one that nobody had seen before. Time is the reader's own, counted
//! between its own reads. A value that does not count changes nothing: what counted last still does.
//!
//! Sequences are Lamport clocks: each is above all that its writer has read of anyone. A writer that
//! starts takes the highest of its memory, its plan's floor and everything in the zone. If its disk is
//! lost, the zone tells it where it was.
//!
//! # Why two never hold one line
//!
//! Assumed: (a) a call takes effect within `flight` after it was sent, or never, however often it is
//! repeated on its way; (b) a read that is asked for `settle` after a change shows it; (c) any clock's
//! rate is within a fifth of true time; (d) the key is secret, and nobody keeps deleting values faster
//! than they are renewed; (e) one member writes per site.
//!
//! *A claim stands as long as it is shown.* One write at a time, the next one not before the last can
//! take effect no more, so no older value comes back over a newer; after a start, first a `flight` of
//! silence, and a read.
//!
//! *Two claims.* Let both have been read back. The one that came to stand last was read back after
//! both stood, so that reader saw the other claim and did not hold; unless it counted the other as gone.
//!
//! *Gone.* X counts Y as gone when it watched Y's value for 3 intervals of its own, at least 5/2 of
//! true time, up to the question. Y's lease is 2 intervals less 2 flights and a settle time, from the
//! *order* for the last write that is known to stand: at most 5/2 intervals less 5/2 flights of true
//! time. A renewal within it is in effect two flights after its order at the latest, and readable a
//! settle time after that; so X would have seen it. Y's orders to point end a flight before the lease
//! does, so they have landed, too. That is why there are three intervals, and a lease of less than two.
//!
//! *When (a) or (b) is violated*, two may hold a line for a while. Each reads the other's claim within
//! half an interval, the one that comes later in the order lets go, and a record that a late write moved
//! is seen by the holder's next read and pointed back. A home that comes back in the moment in which a
//! taker has read back loses its line until the taker's next read: nothing but a compare-and-set of the
//! provider over two records could prevent that.
//!
//! # What the caller does
//!
//! * One [`Survivor`] per zone with survivor mode, on one member per site. [`Survivor::step`] for every
//!   input, and [`Input::Tick`] at least every half `flight`, also while there is a quorum.
//! * Carries out [`Order`]s as they say: memory first and durably, nothing after `not_after_ms` (the
//!   deadline of the call itself is to be what `flight` allows), and for [`Order::Point`] the checks that
//!   stand there. An answer that does not come need not be reported.
//! * Tells [`Quorum`] and [`Verdicts`] as they change. [`Quorum::Partial`] must reach the members of a
//!   group that lost a voter within about an interval, or that voter may take their lines.
//! * After a restart: a new `tag`, and the [`Memory`] that was stored last.
//! * On [`Order::HandBack`]: merges the deeds into the store (they are sorted by [`Deed`]'s order into one
//!   history; repeated ones are equal), answers [`Input::Merged`], and has later [`Plan`]s carry the
//!   highest sequence as their floor.

mod claims;
mod flaw;
mod lines;
mod machine;
mod ordering;
mod orders;
mod pen;
mod plan;
mod sightings;
mod value;

pub use machine::{Survivor, SurvivorStatus};
pub use orders::{
    Answer, CallId, Deed, Health, Input, Memory, Order, Owner, Quorum, Verdicts, What, Zone,
};
pub use plan::{LineKey, LineRule, Plan, PlanError, SiteName, Timing};

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
