//! Why no address was found: what each method said.

use std::fmt;
use std::net::IpAddr;

use crate::family::Family;

/// No method yielded an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectError {
    /// The family that was looked for.
    pub family: Family,
    /// The methods in the order in which they were tried.
    pub tried: Vec<Tried>,
}

/// A method that yielded nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The method in words: `interface eth0`.
    pub method: String,
    /// What it said.
    pub failure: Failure,
}

/// Why a method yielded nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It could not be used, or what it found does not count; a sentence.
    #[error("{0}")]
    Nothing(String),
    /// Those that answered gave different addresses.
    #[error("they disagree: {}", list(.0))]
    Disagreement(Vec<Said>),
    /// Fewer than two answered.
    #[error("two must agree, but fewer answered: {}", list(.0))]
    TooFew(Vec<Said>),
}

/// What one source or resolver said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its URL or name.
    pub source: String,
    /// The address, or why there is none.
    pub answer: Result<IpAddr, String>,
}

impl DetectError {
    /// Whether some method failed because those that it asked disagree.
    pub fn is_disagreement(&self) -> bool {
        let disagrees = |tried: &Tried| matches!(tried.failure, Failure::Disagreement(_));
        self.tried.iter().any(disagrees)
    }
}

impl std::error::Error for DetectError {}

impl fmt::Display for DetectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} address found: ", self.family)?;
        if self.tried.is_empty() {
            return f.write_str("no method is given");
        }
        for (index, Tried { method, failure }) in self.tried.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{method}: {failure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Ok(address) => write!(f, "{} says {address}", self.source),
            Err(why) => write!(f, "{} ({why})", self.source),
        }
    }
}

fn list(said: &[Said]) -> String {
    let said: Vec<String> = said.iter().map(Said::to_string).collect();
    said.join(", ")
}
