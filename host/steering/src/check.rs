//! Health checks: what is looked at, the looking, and what many looks of many members mean.
//!
//! * `spec`, `wire`, `bounds`, `pace`, `status`: a check as an operator gives it, and whether it can be.
//! * `prober`: one look at one address. The only part that touches the network.
//! * `tally`: what the looks of one member at one target amount to (pure).
//! * `verdict`: what all members' sights amount to, and when lines may return (pure).

mod bounds;
mod pace;
mod prober;
mod spec;
mod status;
mod tally;
mod verdict;
mod wire;

pub use pace::Pace;
pub use prober::{ProbeFailure, ProbeOptions, ProbeSetupError, Probed, Prober};
pub use spec::{Check, HttpQuestion, Method, Question, TlsQuestion};
pub use status::StatusRange;
pub use tally::{Finding, Sight, Tally};
pub use verdict::{Verdict, Votes};
