//! The binding's settings.

use std::collections::BTreeMap;

use portolan_plugin::{
    dns::Error,
    message::{self, Tsig},
    names::without_dot,
    sets::DEFAULT_LINE,
};
use serde::Deserialize;

use crate::{name, view::View};

/// The credential of the line `default`.
const CREDENTIAL: &str = "tsig-key";
/// What follows it, behind a hyphen, in the names of the others that the manifest declares.
const OTHERS: [&str; 13] = [
    "CT", "CU", "CMCC", "CNEdu", "OverSea", "1", "2", "3", "4", "5", "6", "7", "8",
];

/// The binding's settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The primary server, `host:port`.
    pub server: String,
    /// The key's name.
    pub key_name: String,
    /// The key's algorithm.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// The server's zones.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Further views by the code of their line.
    #[serde(default)]
    pub views: BTreeMap<String, ViewSettings>,
}

/// How one more view is reached.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ViewSettings {
    /// Another server than the binding's.
    #[serde(default)]
    pub server: Option<String>,
    /// The key's name.
    pub key_name: String,
    /// The key's algorithm.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// The credential that holds the key's secret.
    #[serde(default)]
    pub credential: Option<String>,
}

/// A key's algorithm.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub enum Algorithm {
    #[allow(missing_docs)]
    #[serde(rename = "hmac-sha1")]
    Sha1,
    #[allow(missing_docs)]
    #[serde(rename = "hmac-sha224")]
    Sha224,
    #[allow(missing_docs)]
    #[serde(rename = "hmac-sha256")]
    #[default]
    Sha256,
    #[allow(missing_docs)]
    #[serde(rename = "hmac-sha384")]
    Sha384,
    #[allow(missing_docs)]
    #[serde(rename = "hmac-sha512")]
    Sha512,
}

impl From<Algorithm> for message::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha1 => Self::HmacSha1,
            Algorithm::Sha224 => Self::HmacSha224,
            Algorithm::Sha256 => Self::HmacSha256,
            Algorithm::Sha384 => Self::HmacSha384,
            Algorithm::Sha512 => Self::HmacSha512,
        }
    }
}

impl Settings {
    /// The views, the one of the line `default` first.
    pub(crate) fn views(&self) -> Result<Vec<View>, Error> {
        let mut views = vec![View {
            line: DEFAULT_LINE.to_owned(),
            server: server(&self.server)?,
            tsig: tsig(&self.key_name, self.algorithm, CREDENTIAL.to_owned())?,
        }];
        for (line, view) in &self.views {
            if line == DEFAULT_LINE {
                return Err(Error::Invalid(
                    "`views` has the line `default`, which the settings outside it are for"
                        .to_owned(),
                ));
            }
            let usual = || format!("{CREDENTIAL}-{line}");
            let credential = view.credential.clone().unwrap_or_else(usual);
            let suffix = credential.strip_prefix("tsig-key-").unwrap_or_default();
            if credential != CREDENTIAL && !OTHERS.contains(&suffix) {
                return Err(Error::Invalid(format!(
                    "the view of the line `{line}` has no credential `{credential}`: name one of \
                     `tsig-key-1` to `tsig-key-8` as its `credential`"
                )));
            }
            views.push(View {
                line: line.clone(),
                server: server(view.server.as_ref().unwrap_or(&self.server))?,
                tsig: tsig(&view.key_name, view.algorithm, credential)?,
            });
        }
        Ok(views)
    }

    /// The zones as the daemon writes names.
    pub(crate) fn zones(&self) -> Vec<String> {
        self.zones.iter().map(|zone| without_dot(zone)).collect()
    }
}

fn server(text: &str) -> Result<String, Error> {
    if text.is_empty() || text.contains(['/', ' ']) {
        return Err(Error::Invalid(format!(
            "`server` is `{text}`: write where the server listens, as `192.0.2.53:53`"
        )));
    }
    Ok(text.to_owned())
}

fn tsig(key_name: &str, algorithm: Algorithm, credential: String) -> Result<Tsig, Error> {
    if name::encode(&without_dot(key_name)).is_none() {
        return Err(Error::Invalid(format!(
            "`key-name` is `{key_name}`, which is not the name of a key"
        )));
    }
    Ok(Tsig {
        key_name: key_name.to_owned(),
        algorithm: algorithm.into(),
        credential,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rfc2136;

    fn refused(json: &str) -> String {
        match portolan_plugin::settings::<Rfc2136>(json) {
            Err(Error::Invalid(text)) => text,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("{json} was taken"),
        }
    }

    #[test]
    fn settings_that_cannot_work_say_why() {
        let with =
            |more: &str| refused(&format!("{{\"server\":\"a:53\",\"key-name\":\"k\"{more}}}"));
        assert!(with(",\"views\":{\"default\":{\"key-name\":\"k\"}}").contains("`default`"));
        let home = with(",\"views\":{\"home\":{\"key-name\":\"k\"}}");
        assert!(home.contains("no credential `tsig-key-home`"), "{home}");
        assert!(with(",\"algorithm\":\"hmac-md5\"").contains("hmac-md5"));
        assert!(with(",\"port\":1").contains("port"));
        assert!(refused("{\"server\":\"dns://a\",\"key-name\":\"k\"}").contains("`dns://a`"));
        assert!(refused("{\"server\":\"a\",\"key-name\":\"a..b\"}").contains("`a..b`"));
    }

    #[test]
    fn every_credential_that_a_view_can_name_is_declared() {
        let manifest: serde_json::Value = serde_json::from_str(crate::MANIFEST).unwrap();
        let declared = manifest["credentials"].as_array().unwrap().iter();
        let declared: Vec<&str> = declared.map(|ask| ask["name"].as_str().unwrap()).collect();
        let mut usable = vec![CREDENTIAL.to_owned()];
        usable.extend(OTHERS.map(|other| format!("{CREDENTIAL}-{other}")));
        assert_eq!(declared, usable);
    }
}
