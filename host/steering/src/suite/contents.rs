//! Names, types and contents of every kind.

use super::{Broken, Checked, Report, Suite, broken, change, ensure};
use crate::names::ZoneName;
use crate::provider::{ProviderError, RecordSet};

/// A content of each type beside A, as it reads back.
const OF_TYPES: [(&str, &str); 6] = [
    ("AAAA", "2001:db8::1"),
    ("CAA", "0 issue \"ca.example\""),
    ("CNAME", "target.example.net"),
    ("MX", "10 mail.example.net"),
    ("NS", "ns1.example.net"),
    ("SRV", "1 2 443 host.example.net"),
];
/// A zone that no account has.
const NO_ZONE: &str = "not-of-this-account.test";

/// TXT values that must survive the way there and back, or be refused before they are written.
fn texts() -> Vec<String> {
    let long = "0123456789".repeat(30);
    let (first, rest) = long.split_at(255);
    vec![
        r#""v=spf1 include:a.example -all""#.to_owned(),
        r#""semicolons; and, commas""#.to_owned(),
        r#""a \"quotation\" and a \\ backslash""#.to_owned(),
        r#""\195\169\228\184\173""#.to_owned(),
        r#"" spaces at both ends ""#.to_owned(),
        r#""two" "strings""#.to_owned(),
        format!("\"{first}\" \"{rest}\""),
    ]
}

impl Suite<'_> {
    pub(super) async fn holds_contents_as_they_are(&self, report: &mut Report) -> Checked {
        const STEP: &str = "holds contents as they are";
        for (rtype, content) in OF_TYPES {
            if self.has(rtype) {
                let set = self.set("suite-type", rtype, &[content])?;
                let read = self.create(STEP, &set).await?;
                let found = &read.data.values[0].content;
                ensure(STEP, found == content, || {
                    format!("the {rtype} `{content}` reads as `{found}`")
                })?;
                self.clear(STEP, &set.key).await?;
            }
        }
        for text in texts() {
            let set = self.set("suite-text", "TXT", &[&text])?;
            let answers = self.try_normal(STEP, std::slice::from_ref(&set)).await?;
            if let [Err(ProviderError::Unsupported(_) | ProviderError::Invalid(_))] =
                answers.as_slice()
            {
                report.refused.push(format!("TXT {text}"));
                continue;
            }
            self.create(STEP, &set).await?;
            self.clear(STEP, &set.key).await?;
        }
        Ok(())
    }

    pub(super) async fn knows_all_kinds_of_names(&self) -> Checked {
        const STEP: &str = "knows all kinds of names";
        let names = [
            ("*.suite-wild", "A", "192.0.2.1"),
            ("suite-deep.a.b.c", "A", "192.0.2.1"),
            // `中文`, as names travel.
            ("suite-xn.xn--fiq228c", "A", "192.0.2.1"),
            ("_suite-service._tcp", "TXT", "\"a\""),
            ("@", "TXT", "\"suite\""),
        ];
        for (name, rtype, content) in names {
            let set = self.set(name, rtype, &[content])?;
            let read = self.create(STEP, &set).await?;
            let all = self.observe(STEP).await?;
            let listed = all.sets.get(&set.key).map(|listed| &listed.data);
            ensure(STEP, listed == Some(&read.data), || {
                format!("{} is {listed:?} in the whole zone", set.key)
            })?;
            self.clear(STEP, &set.key).await?;
        }
        Ok(())
    }

    pub(super) async fn lets_no_cname_stand_beside_others(&self) -> Checked {
        const STEP: &str = "lets no CNAME stand beside others";
        if !self.has("CNAME") {
            return Ok(());
        }
        let address = self.a("suite-alias", &["192.0.2.1"])?;
        let alias = self.set("suite-alias", "CNAME", &["target.example.net"])?;
        let address = self.create(STEP, &address).await?;
        let wanted = self.normal(STEP, &alias).await?;
        let clash = self.change(STEP, None, Some(&wanted)).await?;
        ensure(
            STEP,
            matches!(clash, Err(ProviderError::Conflict(_))),
            || format!("a CNAME beside an address is {clash:?}, not a conflict"),
        )?;
        let address = self.stands(STEP, &address).await?;

        // One takes the other's place, and back again.
        self.swap(STEP, &address, &wanted).await?;
        let alias = self.stands(STEP, &wanted).await?;
        self.swap(
            STEP,
            &alias,
            &RecordSet::wanted(address.key.clone(), address.data.clone()),
        )
        .await?;
        let address = self.stands(STEP, &address).await?;
        self.clear(STEP, &address.key).await
    }

    async fn swap(&self, step: &'static str, old: &RecordSet, new: &RecordSet) -> Checked {
        self.all_applied(step, &[change(Some(old), None), change(None, Some(new))])
            .await?;
        let left = self.read(step, &old.key).await?;
        ensure(step, left.is_none(), || {
            format!("{left:?} is still there beside {}", new.key)
        })
    }

    pub(super) async fn says_what_is_not_there(&self) -> Checked {
        const STEP: &str = "says what is not there";
        // The embedded server's zones come to be when they are looked at.
        if !self.provider.is_remote() {
            return Ok(());
        }
        let zone = ZoneName::parse(NO_ZONE).map_err(|error| broken(STEP, error))?;
        let is_told = |error: &ProviderError| {
            matches!(error, ProviderError::NotFound(_) | ProviderError::Auth(_))
        };
        let told = |what: &str, error: Option<ProviderError>| -> Result<(), Broken> {
            ensure(STEP, error.as_ref().is_some_and(is_told), || {
                format!("{what} a zone that is not there ends with {error:?}")
            })
        };
        let read = self.provider.read(&zone, None, None).await;
        told("reading", read.err())?;
        let mut set = self.a("suite-a", &["192.0.2.1"])?;
        set.key.name =
            crate::names::DomainName::in_zone("www", &zone).map_err(|error| broken(STEP, error))?;
        let applied = self
            .provider
            .apply(&zone, &[change(None, Some(&set))])
            .await;
        let error = match applied {
            Ok(results) => results.into_iter().find_map(Result::err),
            Err(error) => Some(error),
        };
        told("changing", error)
    }
}
