//! Which server, and how to print what it says.

use std::io::{self, Write, stderr, stdout};

use clap::Args;
use console::Term;
use reqwest::Url;
use serde_json::Value;

use super::api::{Answer, Api};
use super::error::ClientError;

/// The variable that names the server.
pub const SERVER_VARIABLE: &str = "PORTOLAN_SERVER";

/// Where `portolan serve` listens by default.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8420";

/// The options of every command that asks a server.
#[derive(Debug, Args)]
pub(super) struct Connection {
    /// Any member of the group, as a URL or as host:port
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = SERVER_VARIABLE,
        default_value = DEFAULT_SERVER,
        value_parser = server,
        help_heading = "Server"
    )]
    server: Url,
    /// Print the data of the server's answer as JSON, for programs
    #[arg(long, global = true, help_heading = "Server")]
    json: bool,
}

/// A command's way to the server and to the person or program that called it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) api: Api,
    json: bool,
    /// In columns; none where nobody looks at it.
    width: Option<u16>,
}

impl Session {
    pub(super) fn new(connection: Connection) -> Result<Self, ClientError> {
        let terminal = Term::stdout();
        let width = terminal.size_checked().map(|(_, columns)| columns);
        Ok(Self {
            api: Api::new(connection.server)?,
            json: connection.json,
            width: width.filter(|_| terminal.is_term()),
        })
    }

    /// Whether programs read what is printed.
    pub(super) fn json(&self) -> bool {
        self.json
    }

    /// The terminal's width; none where the output is no terminal.
    pub(super) fn width(&self) -> Option<u16> {
        self.width
    }

    /// Prints an answer: its JSON where that is wanted, otherwise what `text` makes of it.
    pub(super) fn show(
        &self,
        answer: &Answer,
        text: impl FnOnce() -> Result<String, ClientError>,
    ) -> Result<(), ClientError> {
        for warning in answer.warnings() {
            self.note(&format!("warning: {warning}"));
        }
        if self.json {
            return self.show_json(&answer.json());
        }
        match text()?.trim_end() {
            "" => self.note("nothing to show"),
            text => self.line(text)?,
        }
        Ok(())
    }

    /// Prints that something was done.
    pub(super) fn done(
        &self,
        answer: &Answer,
        sentence: impl Into<String>,
    ) -> Result<(), ClientError> {
        self.show(answer, || Ok(sentence.into()))
    }

    pub(super) fn show_json(&self, value: &Value) -> Result<(), ClientError> {
        self.line(&format!("{value:#}"))
    }

    /// One line, or several, on stdout.
    pub(super) fn line(&self, text: &str) -> Result<(), ClientError> {
        Ok(writeln!(stdout(), "{text}")?)
    }

    /// One line on stderr. If nobody reads it, nothing is lost.
    pub(super) fn note(&self, text: &str) {
        let _: io::Result<()> = writeln!(stderr(), "portolan: {text}");
    }
}

/// A server as a URL or as host:port.
pub(super) fn server(text: &str) -> Result<Url, String> {
    let wrong = |reason: &str| format!("{reason}; write http://HOST:PORT or HOST:PORT");
    let text = match text {
        // As for the daemon, an empty variable is one that is not set.
        "" => DEFAULT_SERVER.to_owned(),
        url if url.contains("://") => url.to_owned(),
        address => format!("http://{address}"),
    };
    let url = Url::parse(&text).map_err(|error| wrong(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(wrong(&format!("{other} is not spoken"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_url_or_an_address() {
        for (text, url) in [
            ("", "http://127.0.0.1:8420/"),
            ("10.0.0.1:8420", "http://10.0.0.1:8420/"),
            ("localhost:8420", "http://localhost:8420/"),
            ("[::1]:8420", "http://[::1]:8420/"),
            ("https://a.example/portolan", "https://a.example/portolan"),
        ] {
            assert_eq!(server(text).unwrap().as_str(), url);
        }
        for wrong in ["ftp://a", "http://", "a:b", "a:70000"] {
            assert!(server(wrong).is_err(), "{wrong}");
        }
    }
}
