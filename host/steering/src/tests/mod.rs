//! Tests of more than one part.

mod deciding;
pub(crate) mod fixtures;
mod lines;
mod operators;
mod reconciling;
mod simulation;
