//! A set of lines, written as the bits of their places in the plan.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

/// Lines by their places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lines(Vec<u8>);

impl Lines {
    pub(crate) fn insert(&mut self, line: usize) {
        let byte = line / 8;
        if self.0.len() <= byte {
            self.0.resize(byte + 1, 0);
        }
        self.0[byte] |= 1 << (line % 8);
    }

    pub(crate) fn contains(&self, line: usize) -> bool {
        let byte = self.0.get(line / 8);
        byte.is_some_and(|byte| byte & (1 << (line % 8)) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of the first `count` lines.
    pub(crate) fn all(count: usize) -> Self {
        (0..count).collect()
    }

    pub(crate) fn to_text(&self) -> String {
        BASE64.encode(&self.0)
    }

    /// Of several spellings of one set only the shortest is read.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text).ok()?;
        (bytes.last() != Some(&0)).then_some(Self(bytes))
    }
}

impl FromIterator<usize> for Lines {
    fn from_iter<T: IntoIterator<Item = usize>>(lines: T) -> Self {
        let mut set = Self::default();
        for line in lines {
            set.insert(line);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_back_as_it_was_written() {
        for lines in [vec![], vec![0], vec![7, 8], vec![0, 3, 40]] {
            let set: Lines = lines.iter().copied().collect();
            assert_eq!(Lines::from_text(&set.to_text()), Some(set.clone()));
            for line in 0..50 {
                assert_eq!(set.contains(line), lines.contains(&line), "{line}");
            }
            assert_eq!(set.is_empty(), lines.is_empty());
        }
        assert_eq!(Lines::from_text("AA"), None);
        assert_eq!(Lines::from_text("!"), None);
    }
}
