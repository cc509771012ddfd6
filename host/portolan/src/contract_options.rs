//! The secret of the contract `/v1`: where it stands, and what it is.

use std::fmt;
use std::path::PathBuf;

use portolan_api::ContractSecret;
use serde::{Deserialize, Serialize};

/// What other DNS nodes must show to this one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContractOptions {
    /// The file that holds it, and nothing else.
    pub secret_file: Option<PathBuf>,
    /// The secret itself.
    pub secret: Option<Secret>,
}

/// A secret among the options. Its `Debug` shows nothing; the configuration is shown without it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why the secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read contract.secret_file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// There is nothing in it.
    #[error("{option} is empty; leave the option out to have POST /v1/... refuse everybody")]
    Empty {
        /// The option.
        option: &'static str,
    },
}

impl ContractOptions {
    /// The secret, from where it stands. The line end of a file is no part of it.
    pub fn read(&self) -> Result<ContractSecret, SecretError> {
        let (option, text) = match (&self.secret, &self.secret_file) {
            (Some(Secret(text)), _) => ("contract.secret", text.clone()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).map_err(|source| SecretError::Read {
                    path: path.clone(),
                    source,
                })?;
                (
                    "contract.secret_file",
                    text.trim_end_matches(['\r', '\n']).to_owned(),
                )
            }
            (None, None) => return Ok(ContractSecret::new(None)),
        };
        if text.is_empty() {
            return Err(SecretError::Empty { option });
        }
        Ok(ContractSecret::new(Some(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_file(text: &str) -> Result<ContractSecret, SecretError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, text).unwrap();
        let options = ContractOptions {
            secret_file: Some(path),
            secret: None,
        };
        options.read()
    }

    #[test]
    fn it_stands_in_a_file_or_nowhere() {
        let set = |secret: ContractSecret| format!("{secret:?}") == "set";
        assert!(set(of_file("cocoa\n").unwrap()));
        assert!(!set(ContractOptions::default().read().unwrap()));
        for empty in ["", "\r\n"] {
            let error = of_file(empty).unwrap_err().to_string();
            assert!(error.contains("contract.secret_file is empty"), "{error}");
        }
        let missing = ContractOptions {
            secret_file: Some("/nowhere/secret".into()),
            secret: None,
        };
        let error = missing.read().unwrap_err().to_string();
        assert!(error.contains("/nowhere/secret"), "{error}");
    }

    #[test]
    fn debug_does_not_show_it() {
        let options = ContractOptions {
            secret: Some(Secret("cocoa".to_owned())),
            secret_file: None,
        };
        assert!(!format!("{options:?}").contains("cocoa"));
    }
}
