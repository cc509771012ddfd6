//! A zone's records, collected page by page.

use super::{Record, by_id, sort};
use crate::dns::Error;

/// Records that arrive on pages. Pages shift when someone adds or deletes a record meanwhile, and a
/// record that was missed would look like one that is gone; so this answers all of them or an error.
pub struct Pages<'a> {
    /// What is read, for messages: `reading the records of example.com`.
    what: &'a str,
    announced: Option<usize>,
    records: Vec<Record>,
}

impl<'a> Pages<'a> {
    /// No page yet.
    pub fn new(what: &'a str) -> Self {
        Self {
            what,
            announced: None,
            records: Vec::new(),
        }
    }

    /// How many records have arrived.
    pub fn count(&self) -> usize {
        self.records.len()
    }

    /// Takes a page up and answers whether it was the last. `total` is how many records the service
    /// says there are on all pages together.
    pub fn add(&mut self, total: usize, page: Vec<Record>) -> Result<bool, Error> {
        let was_last = page.is_empty() || self.records.len() + page.len() >= total;
        self.records.extend(page);
        if *self.announced.get_or_insert(total) == total {
            Ok(was_last)
        } else {
            Err(self.changed_meanwhile())
        }
    }

    /// The records of all pages, each once and as many as were announced.
    pub fn whole(mut self) -> Result<Vec<Record>, Error> {
        sort(&mut self.records, by_id);
        let twice = self.records.windows(2).any(|pair| pair[0].id == pair[1].id);
        if twice || self.announced != Some(self.records.len()) {
            return Err(self.changed_meanwhile());
        }
        Ok(self.records)
    }

    fn changed_meanwhile(&self) -> Error {
        Error::Transient(format!("{}: the zone was changed meanwhile", self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{RecordKey, RecordValue};

    fn page(ids: &[&str]) -> Vec<Record> {
        let record = |id: &&str| Record {
            id: (*id).to_owned(),
            key: RecordKey {
                name: "www.example.com".to_owned(),
                rtype: "A".to_owned(),
                line: "default".to_owned(),
                set_id: String::new(),
            },
            ttl: 600,
            value: RecordValue {
                content: "192.0.2.1".to_owned(),
                weight: None,
                enabled: true,
            },
            locked: None,
            extras: String::new(),
        };
        ids.iter().map(record).collect()
    }

    fn read(pages: &[(usize, &[&str])]) -> Result<usize, Error> {
        let mut all = Pages::new("reading");
        for (total, ids) in pages {
            if all.add(*total, page(ids))? {
                break;
            }
        }
        all.whole().map(|records| records.len())
    }

    #[test]
    fn all_pages_together_are_the_zone() {
        assert_eq!(read(&[(3, &["2", "1"]), (3, &["3"])]), Ok(3));
        assert_eq!(read(&[(0, &[])]), Ok(0));
    }

    #[test]
    fn a_zone_that_changes_between_pages_is_not_taken_for_smaller() {
        for pages in [
            // One went, so that another moved to the page that was read already.
            &[(3, &["1", "2"][..]), (2, &[])][..],
            // One came, so that another was read twice.
            &[(3, &["1", "2"]), (3, &["2"])],
            // Fewer came than were announced.
            &[(3, &["1", "2"]), (3, &[])],
        ] {
            assert!(matches!(read(pages), Err(Error::Transient(_))), "{pages:?}");
        }
    }
}
