//! A child process with its log in a file, ended when its owner goes.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::eventually_within;

/// How many lines of each process's log a failed test shows.
const SHOWN_LOG_LINES: usize = 60;

/// A running (or ended) child process.
///
/// It stays in the test's own process group, so that whatever ends the test ends it too. Dropping it
/// kills and reaps it; where the test is failing, the end of its log is printed first.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `command`, appending both its output streams to the file `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Self {
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .expect("open the log");
        let err = out.try_clone().expect("duplicate the log's handle");
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({program}): {error}"));
        Self {
            name: name.to_owned(),
            log: log.to_owned(),
            child,
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has written so far, over all of its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("ask for the child's state")
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill9(&mut self) {
        self.child.kill().expect("kill the child");
        self.child.wait().expect("reap the child");
    }

    /// Asks it to stop.
    pub fn sigterm(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Holds it where it stands: to others it is silent, to itself no time passes.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a pid"));
        kill(pid, signal).unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.name));
    }

    /// Waits for it to end by itself.
    pub async fn exit(&mut self, within: Duration) -> ExitStatus {
        let name = self.name.clone();
        eventually_within(within, &format!("{name} exits"), async || {
            self.ended().ok_or_else(|| "it still runs".to_owned())
        })
        .await
    }

    /// CPU seconds (user and system) that it has used.
    pub fn cpu_seconds(&self) -> f64 {
        // Linux counts in ticks of 1/100 s for every architecture that we run on.
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("read stat");
        // The second field, the command's name, may contain spaces and ends with the last ')'.
        let (_, after_name) = stat.rsplit_once(')').expect("a stat line");
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<f64>().expect("a tick count");
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.id())).expect("read status");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("a VmRSS line");
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .expect("a size")
            .parse()
            .expect("a number");
        kib * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where the child has been reaped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(SHOWN_LOG_LINES)..];
            eprintln!(
                "--- the end of {}'s log ---\n{}",
                self.name,
                shown.join("\n")
            );
        }
    }
}
