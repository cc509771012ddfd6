//! The nodes' password, from where other users of the machine do not see it.

use std::env;
use std::fs;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::SecretString;

use super::error::ClientError;

/// The variable that gives the password.
pub const PASSWORD_VARIABLE: &str = "PORTOLAN_NODE_PASSWORD";

/// Where the nodes' password comes from. It is never an argument, which every user of the machine can
/// see.
#[derive(Debug, Args)]
pub struct PasswordSource {
    /// The file with the nodes' password [default: the variable PORTOLAN_NODE_PASSWORD, or none]
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    password_file: Option<PathBuf>,
    /// Read the nodes' password from stdin
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordSource {
    /// The password, which must be said even where it is empty.
    pub(super) fn read_given(&self) -> Result<SecretString, ClientError> {
        let by_variable = || env::var_os(PASSWORD_VARIABLE).is_some_and(|text| !text.is_empty());
        if self.password_file.is_none() && !self.password_stdin && !by_variable() {
            return Err(ClientError::Usage(format!(
                "say where the nodes' password stands: --password-file, --password-stdin or the \
                 variable {PASSWORD_VARIABLE}"
            )));
        }
        self.read()
    }

    /// The password; empty where there is none.
    pub(super) fn read(&self) -> Result<SecretString, ClientError> {
        let text = match &self.password_file {
            Some(file) => from_file(file)?,
            None if self.password_stdin => from_stdin()?,
            None => env::var(PASSWORD_VARIABLE).unwrap_or_default(),
        };
        Ok(without_newline(&text).into())
    }
}

fn from_file(file: &Path) -> Result<String, ClientError> {
    fs::read_to_string(file).map_err(|error| {
        ClientError::Usage(format!(
            "cannot read the password in {}: {error}",
            file.display()
        ))
    })
}

fn from_stdin() -> Result<String, ClientError> {
    let mut text = String::new();
    stdin().read_to_string(&mut text).map_err(|error| {
        ClientError::Usage(format!("cannot read the password from stdin: {error}"))
    })?;
    Ok(text)
}

/// Editors and `echo` end what they write with a newline that is not part of it.
fn without_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_newline_at_the_end_is_not_the_password() {
        for text in [" a b ", " a b \n", " a b \r\n"] {
            assert_eq!(without_newline(text), " a b ");
        }
        assert_eq!(without_newline("a\n\n"), "a\n");
    }
}
