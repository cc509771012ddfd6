//! Tests of more than one part.

mod bad_provider;
mod deciding;
mod fast_time;
pub(crate) mod fixtures;
mod lines;
mod lying_provider;
mod operators;
mod reconciling;
mod scale;
mod simulation;
