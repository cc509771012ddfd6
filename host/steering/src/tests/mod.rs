//! Tests of more than one part.

mod deciding;
mod fixtures;
mod operators;
mod reconciling;
