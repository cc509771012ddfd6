//! Credentials, from where other users of the machine do not see them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::super::error::ClientError;
use super::super::pairs;
use super::documents::Fields;

/// Where credentials come from. Their values are never arguments, which every user of the machine can
/// see.
#[derive(Debug, Default, Args)]
pub struct CredentialFlags {
    /// A credential and the file that holds it; may be given several times
    #[arg(long, value_name = "NAME=FILE", value_parser = pairs::label)]
    credential_file: Vec<(String, String)>,
    /// A credential and the environment variable that holds it; may be given several times
    #[arg(long, value_name = "NAME=VARIABLE", value_parser = pairs::label)]
    credential_env: Vec<(String, String)>,
    /// A credential to forget; may be given several times
    #[arg(long, value_name = "NAME")]
    forget_credential: Vec<String>,
}

impl CredentialFlags {
    /// The credentials as members of a document.
    pub(super) fn read(self) -> Result<Fields, ClientError> {
        let mut credentials = Fields::new();
        for name in self.forget_credential {
            credentials.insert(name, Value::Null);
        }
        for (name, file) in self.credential_file {
            let secret = from_file(&PathBuf::from(file))?;
            credentials.insert(name, secret.expose_secret().into());
        }
        for (name, variable) in self.credential_env {
            let secret = from_variable(&variable)?;
            credentials.insert(name, secret.expose_secret().into());
        }
        Ok(credentials)
    }
}

/// A secret in a file, without the newline that editors put after it.
pub(super) fn from_file(file: &Path) -> Result<SecretString, ClientError> {
    let text = fs::read_to_string(file).map_err(|error| {
        ClientError::Usage(format!(
            "cannot read the secret in {}: {error}",
            file.display()
        ))
    })?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(ClientError::Usage(format!("{} is empty", file.display()))),
        secret => Ok(secret.into()),
    }
}

fn from_variable(variable: &str) -> Result<SecretString, ClientError> {
    match env::var(variable) {
        Ok(secret) if !secret.is_empty() => Ok(secret.into()),
        // What a variable holds that is not Unicode is not told.
        Ok(_) | Err(_) => Err(ClientError::Usage(format!(
            "the variable {variable} is not set to a text"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_come_from_files_and_go_by_name() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("key");
        fs::write(&file, "hunter2\n").unwrap();
        let flags = CredentialFlags {
            credential_file: vec![("key".into(), file.display().to_string())],
            forget_credential: vec!["old".into()],
            ..CredentialFlags::default()
        };
        let expected = json!({"key": "hunter2", "old": null});
        assert_eq!(Value::from(flags.read().unwrap()), expected);
    }

    #[test]
    fn what_is_not_there_is_a_wrong_command_line() {
        let home = tempfile::tempdir().unwrap();
        let empty = home.path().join("empty");
        fs::write(&empty, "\n").unwrap();
        for file in [empty, home.path().join("nowhere")] {
            assert_eq!(from_file(&file).unwrap_err().exit_code(), 2);
        }
        let error = from_variable("PORTOLAN_NO_SUCH_VARIABLE").unwrap_err();
        assert!(error.to_string().contains("PORTOLAN_NO_SUCH_VARIABLE"));
    }
}
