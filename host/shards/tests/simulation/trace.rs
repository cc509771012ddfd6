//! What happened in a run, and the first thing that went wrong.

use std::time::Instant;

use parking_lot::Mutex;

/// A run's log.
pub(crate) struct Trace {
    seed: u64,
    start: Instant,
    lines: Mutex<Vec<String>>,
    failure: Mutex<Option<String>>,
}

impl Trace {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            start: Instant::now(),
            lines: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    pub(crate) fn note(&self, line: impl AsRef<str>) {
        let at = self.start.elapsed().as_millis();
        let line = format!("{at:>6} ms  {}", line.as_ref());
        if std::env::var_os("PORTOLAN_SEED").is_some() {
            println!("{line}");
        }
        self.lines.lock().push(line);
    }

    /// Notes what must not be; the first counts.
    pub(crate) fn fail(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(format!("BROKEN: {what}"));
        self.failure.lock().get_or_insert(what);
    }

    pub(crate) fn check(&self, checked: Result<(), String>) {
        if let Err(what) = checked {
            self.fail(what);
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.lock().is_some()
    }

    /// The failure with all that led to it.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        match &*self.failure.lock() {
            None => Ok(()),
            Some(what) => Err(format!(
                "seed {}: {what}\n{}",
                self.seed,
                self.lines.lock().join("\n")
            )),
        }
    }
}
