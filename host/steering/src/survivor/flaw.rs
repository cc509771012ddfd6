//! Mistakes that tests switch on, to show that the simulation finds them. Outside of tests there is
//! none, and no way to switch one on.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Acts on a claim without reading it back.
    SkipsReadBack,
    /// Takes lines from a site whose service is down, whatever its value says.
    TrustsChecksAlone,
    /// Takes lines from a site whose value is old, whatever its own checks say.
    TrustsValuesAlone,
    /// Calls a value old by the time that stands in it.
    TrustsClocks,
    /// Reads values that are not signed.
    IgnoresSignatures,
    /// Takes any other value than the last for a sign of life.
    TakesReplaysForChanges,
    /// Acts although another's claim stands.
    IgnoresClaims,
    /// Keeps a line when its home is back.
    NeverReleases,
    /// Goes on although its value can no longer be renewed.
    NeverLapses,
    /// Begins a value's sequence anew with each start.
    ForgetsSequence,
    /// Writes at once after a start, or while an earlier write is on its way.
    WritesWithoutWaiting,
    /// Takes lines although others have a quorum.
    IgnoresTheGroup,
}

/// The mistake that is switched on, if any.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flaws {
    #[cfg(test)]
    pub(crate) on: Option<Flaw>,
}

impl Flaws {
    #[cfg(test)]
    pub(crate) fn has(self, flaw: Flaw) -> bool {
        self.on == Some(flaw)
    }

    #[cfg(not(test))]
    pub(crate) fn has(self, _: Flaw) -> bool {
        false
    }
}
