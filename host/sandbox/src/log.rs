//! What a plugin logs: through the `log` interface, or by writing to stdout and stderr.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::{CallSite, Limits, wit::portolan::plugin::log::Level};

/// A line without an end is logged in pieces of this many bytes.
const LONGEST_LINE: usize = 4096;

/// The log of one call.
pub(crate) struct CallLog {
    at: CallSite,
    lines: u32,
    bytes: usize,
    state: Mutex<LogState>,
}

#[derive(Default)]
struct LogState {
    lines: u32,
    bytes: usize,
    dropped: u64,
    /// What was last written to stderr: usually the message of a panic.
    last_words: String,
}

impl CallLog {
    pub(crate) fn new(at: CallSite, limits: &Limits) -> Self {
        Self {
            at,
            lines: limits.log_lines,
            bytes: limits.log_bytes,
            state: Mutex::default(),
        }
    }

    /// Logs one line, if the call's caps allow it.
    pub(crate) fn write(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let size = message.len() + fields.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
        {
            let mut state = self.state.lock();
            if state.lines >= self.lines || state.bytes.saturating_add(size) > self.bytes {
                state.dropped += 1;
                return;
            }
            state.lines += 1;
            state.bytes += size;
        }
        let message = printable(message);
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| printable(&format!("{name}={value}")))
            .collect();
        let fields = fields.join(" ");
        let CallSite {
            plugin,
            binding,
            function,
        } = &self.at;
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(target: "portolan::plugin", plugin, binding, function, fields, "{message}")
            };
        }
        match level {
            Level::Error => event!(error),
            Level::Warn => event!(warn),
            Level::Info => event!(info),
            Level::Debug => event!(debug),
            Level::Trace => event!(trace),
        }
    }

    /// What the plugin last wrote to stderr.
    pub(crate) fn last_words(&self) -> Option<String> {
        let state = self.state.lock();
        (!state.last_words.is_empty()).then(|| state.last_words.clone())
    }

    fn stderr_line(&self, line: &str) {
        let mut state = self.state.lock();
        // A panic's message takes two lines, the hint about backtraces is of no use here.
        let continues = state.last_words.ends_with(':') && state.last_words.len() < LONGEST_LINE;
        if continues {
            state.last_words.push(' ');
            state.last_words.push_str(line);
        } else if !line.starts_with("note: ") && !line.is_empty() {
            state.last_words = line.to_owned();
        }
    }
}

impl Drop for CallLog {
    fn drop(&mut self) {
        let dropped = self.state.get_mut().dropped;
        if dropped > 0 {
            let CallSite {
                plugin,
                binding,
                function,
            } = &self.at;
            tracing::warn!(
                plugin,
                binding,
                function,
                dropped,
                "plugin logged more than its cap"
            );
        }
    }
}

/// Without control characters, so that a plugin cannot forge lines or drive a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Stdout or stderr of a plugin.
#[derive(Clone)]
pub(crate) struct Output {
    log: Arc<CallLog>,
    stderr: bool,
    line: Arc<Mutex<Vec<u8>>>,
}

impl Output {
    pub(crate) fn stdout(log: Arc<CallLog>) -> Self {
        Self {
            log,
            stderr: false,
            line: Arc::default(),
        }
    }

    pub(crate) fn stderr(log: Arc<CallLog>) -> Self {
        Self {
            log,
            stderr: true,
            line: Arc::default(),
        }
    }

    fn take(&self, bytes: &[u8]) {
        let mut line = self.line.lock();
        for byte in bytes {
            if *byte == b'\n' || line.len() >= LONGEST_LINE {
                self.end(&mut line);
            }
            if *byte != b'\n' {
                line.push(*byte);
            }
        }
    }

    fn end(&self, line: &mut Vec<u8>) {
        let text = printable(&String::from_utf8_lossy(&std::mem::take(line)));
        if self.stderr {
            self.log.stderr_line(&text);
        }
        if !text.is_empty() {
            self.log.write(Level::Info, &text, &[]);
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LimitAsks, SandboxOptions};

    fn log() -> Arc<CallLog> {
        let options = SandboxOptions {
            log_lines: 3,
            log_bytes: 100,
            ..Default::default()
        };
        let at = CallSite {
            plugin: "p".into(),
            binding: "b".into(),
            function: "lines",
        };
        Arc::new(CallLog::new(at, &options.limits(&LimitAsks::default())))
    }

    fn written_and_dropped(log: &CallLog) -> (u32, u64) {
        let state = log.state.lock();
        (state.lines, state.dropped)
    }

    #[test]
    fn lines_and_bytes_over_the_caps_are_dropped_and_counted() {
        let log = log();
        log.write(Level::Info, &"x".repeat(101), &[]);
        assert_eq!(written_and_dropped(&log), (0, 1));
        Output::stdout(log.clone()).take(b"one\ntwo\n\nthree\nfour\n");
        assert_eq!(written_and_dropped(&log), (3, 2));
    }

    #[test]
    fn a_panics_message_is_remembered() {
        let log = log();
        let stderr = Output::stderr(log.clone());
        stderr.take(b"warming up\n\nthread '<unnamed>' panicked at src/lib.rs:1:1:\nlost\n");
        stderr.take(b"note: run with `RUST_BACKTRACE=1`\n");
        let words = log.last_words();
        assert_eq!(
            words.as_deref(),
            Some("thread '<unnamed>' panicked at src/lib.rs:1:1: lost")
        );
    }
}
