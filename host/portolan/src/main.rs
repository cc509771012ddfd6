//! The program: parses the command line, and runs what it names.

#![forbid(unsafe_code)]

use std::io::{ErrorKind, Write as _, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};
use clap_complete::{Shell, generate};
use portolan::cli::{Command, ConfigCommand, Options};
use portolan::{
    Cli, ClientError, ConfigError, Daemon, DaemonError, Signals, config, panics, telemetry,
};
use prometheus::Registry;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code for a wrong configuration; clap uses the same for a wrong command line.
const MISCONFIGURED: u8 = 2;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(options) => serve(&options),
        Command::Config(ConfigCommand::Check(options)) => check(&options),
        Command::Config(ConfigCommand::Show { default: true, .. }) => {
            print(config::EXAMPLE.as_bytes())
        }
        Command::Config(ConfigCommand::Show { options, .. }) => show(&options),
        Command::Client(command) => command.run().map_err(Into::into),
        Command::Completions { shell } => completions(shell),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portolan: {error:#}");
            exit_code(&error)
        }
    }
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return error.exit_code().into();
    }
    let misconfigured = error.is::<ConfigError>()
        || error
            .downcast_ref()
            .is_some_and(DaemonError::is_configuration);
    if misconfigured {
        MISCONFIGURED.into()
    } else {
        ExitCode::FAILURE
    }
}

fn check(options: &Options) -> anyhow::Result<()> {
    for warning in options.load()?.warnings {
        eprintln!("portolan: {warning}");
    }
    print(b"the configuration is right\n")
}

fn show(options: &Options) -> anyhow::Result<()> {
    print(options.load()?.to_string().as_bytes())
}

fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "portolan", &mut script);
    print(&script)
}

/// Writes to standard output, whose reader may have seen enough, as `head` has.
fn print(text: &[u8]) -> anyhow::Result<()> {
    match stdout().write_all(text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn serve(options: &Options) -> anyhow::Result<()> {
    let loaded = options.load()?;
    telemetry::start(&loaded.config.log)?;
    // The allocator asks for huge pages, which nearly doubles the resident memory of many small values
    // for a few per cent of speed. A kernel without them needs no telling.
    let _ = nix::sys::prctl::set_thp_disable(true);
    for warning in loaded.warnings {
        tracing::warn!("{warning}");
    }
    let registry = Registry::new();
    panics::install(&registry)?;
    // The first to install a provider wins, and nobody else is here yet.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(async {
        let signals = Signals::new().context("cannot listen to signals")?;
        let daemon = Daemon::from_config(loaded.config, registry).await?;
        Ok(daemon.run(signals.first()).await?)
    });
    // What still blocks a thread (a plugin's compilation) is not worth waiting for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}
