//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use toml::Value;

use crate::client::ClientCommand;
use crate::config::{ConfigError, LogFormat};
use crate::layers::{Flag, Loaded, load};

/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "PORTOLAN_CONFIG";

const AFTER_HELP: &str = "\
Every option also stands in the configuration file (`portolan config show --default` prints one with \
all of them) and in a variable: raft.profile is PORTOLAN_RAFT_PROFILE. A flag wins over a variable, a \
variable over the file, the file over the default.

Exit codes: 0 stopped as asked; 1 failed at run time, or stopped at once by a second signal; 2 the \
command line or the configuration is wrong.";

const EXIT_CODES: &str = "\
Exit codes: 0 done, or stopped as asked; 1 failed at run time, or the server refused it; 2 the command \
line or the configuration is wrong; 3 there is no such thing; 4 it conflicts with how things stand; 5 the \
server cannot be reached.";

/// Portolan: a replicated control plane for DNS lines and sharded clusters.
#[derive(Debug, Parser)]
#[command(name = "portolan", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    #[command(after_help = AFTER_HELP)]
    Serve(Options),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    #[command(flatten)]
    #[allow(missing_docs)]
    Client(ClientCommand),
    /// Print what makes a shell complete these commands: `portolan completions bash`
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Looking at the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether the configuration is right, and what is wrong with it
    Check(Options),
    /// Print the effective configuration, each option with its source; secrets are masked
    Show {
        /// Print a commented file with all options at their defaults instead
        #[arg(long)]
        default: bool,
        #[command(flatten)]
        #[allow(missing_docs)]
        options: Options,
    },
}

/// The options that have a flag.
#[derive(Debug, Default, Args)]
pub struct Options {
    /// The configuration file (TOML) [env: PORTOLAN_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8420]
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where other members and clients reach this one [default: the listen address]
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// The data directory [default: ./portolan-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// This member's id [default: the data directory's, or the next free one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub id: Option<i64>,
    /// A directory of plugins to load and follow
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
    /// Where to answer DNS queries, over UDP and TCP [default: nowhere]
    #[arg(long, value_name = "IP:PORT")]
    pub dns_listen: Option<SocketAddr>,
    /// A member of the group to join; may be given several times
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub join: Vec<String>,
    /// Start empty and wait for a group to add this member
    #[arg(long)]
    pub standby: bool,
    /// Listen beyond loopback although requests are not authenticated
    #[arg(long)]
    pub insecure: bool,
    /// The shape of log lines [default: human]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// A level, or directives such as info,portolan_consensus=debug [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

impl Options {
    /// The configuration that these flags, the process's variables and the file make.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        // A variable that is not Unicode cannot set an option; a file's path may well be such a one.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let from_variable = || {
            std::env::var_os(CONFIG_VARIABLE)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        };
        let file = self.config.clone().or_else(from_variable);
        load(file.as_deref(), variables, self.flags())
    }

    /// The flags that were given.
    pub fn flags(&self) -> Vec<Flag> {
        let path = |path: &PathBuf| Value::from(path.to_string_lossy().into_owned());
        let list = |items: &Vec<String>| (!items.is_empty()).then(|| Value::from(items.clone()));
        let word = |format: &LogFormat| {
            let name = format
                .to_possible_value()
                .map(|value| value.get_name().to_owned());
            Value::from(name.unwrap_or_default())
        };
        [
            (
                "listen",
                "--listen",
                self.listen.map(|listen| Value::from(listen.to_string())),
            ),
            (
                "advertise",
                "--advertise",
                self.advertise.clone().map(Value::from),
            ),
            ("data", "--data", self.data.as_ref().map(path)),
            ("id", "--id", self.id.map(Value::from)),
            ("plugins", "--plugins", self.plugins.as_ref().map(path)),
            (
                "dns.listen",
                "--dns-listen",
                self.dns_listen
                    .map(|listen| Value::from(listen.to_string())),
            ),
            ("join", "--join", list(&self.join)),
            (
                "standby",
                "--standby",
                self.standby.then_some(Value::from(true)),
            ),
            (
                "insecure",
                "--insecure",
                self.insecure.then_some(Value::from(true)),
            ),
            (
                "log.format",
                "--log-format",
                self.log_format.as_ref().map(word),
            ),
            (
                "log.level",
                "--log-level",
                self.log_level.clone().map(Value::from),
            ),
        ]
        .into_iter()
        .filter_map(|(path, name, value)| {
            Some(Flag {
                path,
                name,
                value: value?,
            })
        })
        .collect()
    }
}
