//! The values of one set: some more, some fewer, another TTL, switched off, weighed.

use super::{Checked, Suite, broken, ensure};
use crate::provider::{ProviderError, RecordSet};

/// Longer than the least TTL of any provider.
const TTLS: [u32; 2] = [3_600, 7_200];

impl Suite<'_> {
    pub(super) async fn adds_and_removes_values(&self) -> Checked {
        const STEP: &str = "adds and removes values";
        const NAME: &str = "suite-values";
        if self.caps.max_values < 3 {
            return Ok(());
        }
        self.create(STEP, &self.a(NAME, &["192.0.2.1"])?).await?;
        for addresses in [
            &["192.0.2.1", "192.0.2.2"][..],
            &["192.0.2.1", "192.0.2.2", "192.0.2.3"],
            &["192.0.2.3", "192.0.2.4"],
            &["192.0.2.4"],
        ] {
            self.replace(STEP, &self.a(NAME, addresses)?).await?;
        }
        let last = self.a(NAME, &["192.0.2.4"])?;
        self.clear(STEP, &last.key).await
    }

    pub(super) async fn changes_the_ttl_alone(&self) -> Checked {
        const STEP: &str = "changes the TTL alone";
        let mut set = self.a("suite-ttl", &["192.0.2.1"])?;
        set.data.ttl = TTLS[0];
        let first = self.create(STEP, &set).await?;
        set.data.ttl = TTLS[1];
        let second = self.replace(STEP, &set).await?;
        ensure(STEP, first.data.values == second.data.values, || {
            format!("{} became {}", first.data, second.data)
        })?;
        let is_kept = (first.data.ttl, second.data.ttl) == (TTLS[0], TTLS[1]);
        ensure(STEP, is_kept, || {
            format!(
                "{TTLS:?} were wanted, {} and {} stand there",
                first.data.ttl, second.data.ttl
            )
        })?;
        self.clear(STEP, &set.key).await
    }

    pub(super) async fn switches_values_off_if_it_says_so(&self) -> Checked {
        const STEP: &str = "switches values off if it says so";
        let mut set = self.a("suite-off", &["192.0.2.1", "192.0.2.2"])?;
        set.data.values[1].enabled = false;
        if !self.caps.features.disable {
            return self.refuses(STEP, &set).await;
        }
        self.create(STEP, &set).await?;
        for (first, second) in [(true, true), (false, true), (true, false)] {
            set.data.values[0].enabled = first;
            set.data.values[1].enabled = second;
            self.replace(STEP, &set).await?;
        }
        self.clear(STEP, &set.key).await
    }

    pub(super) async fn weighs_values_if_it_says_so(&self) -> Checked {
        const STEP: &str = "weighs values if it says so";
        let mut set = self.a("suite-weight", &["192.0.2.1", "192.0.2.2"])?;
        for (value, weight) in set.data.values.iter_mut().zip([1, 3]) {
            value.weight = Some(weight);
        }
        if !self.caps.features.weights {
            return self.refuses(STEP, &set).await;
        }
        self.create(STEP, &set).await?;
        set.data.values[0].weight = Some(5);
        self.replace(STEP, &set).await?;
        self.clear(STEP, &set.key).await
    }

    /// A set that asks for what `features` does not tell of cannot be held.
    async fn refuses(&self, step: &'static str, set: &RecordSet) -> Checked {
        let answers = self.try_normal(step, std::slice::from_ref(set)).await?;
        match answers.as_slice() {
            [Err(ProviderError::Unsupported(_) | ProviderError::Invalid(_))] => Ok(()),
            other => Err(broken(
                step,
                format!("{} asks for too much and normalizes to {other:?}", set.key),
            )),
        }
    }
}
