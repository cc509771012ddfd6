//! Which line a client is on: lists of networks per line, and the longest prefix wins.
//!
//! The lists are flattened into ranges without overlap that cover all addresses, so that a look-up
//! is one binary search and the range itself says for how large a network the answer holds, which is
//! the scope of RFC 7871.

use std::net::IpAddr;

use ipnet::IpNet;
use portolan_steering::LineCode;

/// The lists in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lines {
    v4: Ranges,
    v6: Ranges,
}

/// What the lists say of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Located<'a> {
    /// Its line.
    pub(crate) line: &'a LineCode,
    /// All addresses that share so many leading bits with it are on the same line.
    pub(crate) scope: u8,
}

/// What is wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {message}")]
pub(crate) struct LinesError {
    /// Counted from 1.
    number: usize,
    message: String,
}

/// The addresses from `first` to the next range's are on `line`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    first: u128,
    line: LineCode,
}

/// All addresses of one family, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ranges {
    /// Of an address, in bits.
    width: u8,
    /// Never empty; the first begins at 0.
    ranges: Vec<Range>,
}

struct Network {
    first: u128,
    last: u128,
    prefix: u8,
    line: LineCode,
    number: usize,
}

impl Default for Lines {
    /// Everyone is on the line `default`.
    fn default() -> Self {
        Self {
            v4: Ranges::new(32, Vec::new()),
            v6: Ranges::new(128, Vec::new()),
        }
    }
}

impl Lines {
    /// Reads a list: one `<line code> <network>` per line; `#` begins a comment.
    pub(crate) fn parse(text: &str) -> Result<Self, LinesError> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (index, written) in text.lines().enumerate() {
            let number = index + 1;
            let fail = |message| LinesError { number, message };
            let Some((line, network)) = entry(written).map_err(fail)? else {
                continue;
            };
            let (first, last) = bounds(&network);
            let listed = Network {
                first,
                last,
                prefix: network.prefix_len(),
                line,
                number,
            };
            match network {
                IpNet::V4(_) => v4.push(listed),
                IpNet::V6(_) => v6.push(listed),
            }
        }
        Ok(Self {
            v4: Ranges::new(32, distinct(v4)?),
            v6: Ranges::new(128, distinct(v6)?),
        })
    }

    /// The line of an address.
    pub(crate) fn locate(&self, client: IpAddr) -> Located<'_> {
        match client {
            IpAddr::V4(address) => self.v4.locate(address.to_bits().into()),
            IpAddr::V6(address) => self.v6.locate(address.to_bits()),
        }
    }

    /// How many ranges the lists came to.
    pub(crate) fn len(&self) -> usize {
        self.v4.ranges.len() + self.v6.ranges.len()
    }
}

/// Sorts outer networks before the ones within them, and refuses one that is on two lines.
fn distinct(mut networks: Vec<Network>) -> Result<Vec<Network>, LinesError> {
    networks.sort_by_key(|network| (network.first, network.prefix, network.number));
    let same = |one: &Network, other: &Network| {
        one.first == other.first && one.prefix == other.prefix && one.line != other.line
    };
    match networks.windows(2).find(|pair| same(&pair[0], &pair[1])) {
        Some(pair) => Err(LinesError {
            number: pair[1].number,
            message: format!(
                "the network is on the line {} here and on {} in line {}; keep one",
                pair[1].line, pair[0].line, pair[0].number
            ),
        }),
        None => Ok(networks),
    }
}

/// The line and the network of one line of text; none where it says nothing.
fn entry(written: &str) -> Result<Option<(LineCode, IpNet)>, String> {
    let said = written.split('#').next().unwrap_or_default();
    let words: Vec<&str> = said.split_whitespace().collect();
    let (code, network) = match words.as_slice() {
        [] => return Ok(None),
        [code, network] => (*code, *network),
        _ => return Err("write `<line code> <network>`, such as `CT 203.0.113.0/24`".to_owned()),
    };
    let line = LineCode::parse(code)?;
    let parsed: IpNet = network.parse().map_err(|_| {
        format!("`{network}` is not a network; write `203.0.113.0/24` or `2001:db8::/32`")
    })?;
    if parsed.trunc() != parsed {
        return Err(format!(
            "`{network}` has bits beyond its prefix; write `{}`",
            parsed.trunc()
        ));
    }
    Ok(Some((line, parsed)))
}

fn bounds(network: &IpNet) -> (u128, u128) {
    match network {
        IpNet::V4(network) => (
            network.network().to_bits().into(),
            network.broadcast().to_bits().into(),
        ),
        IpNet::V6(network) => (network.network().to_bits(), network.broadcast().to_bits()),
    }
}

impl Ranges {
    /// Flattens networks that are sorted with outer ones first.
    fn new(width: u8, networks: Vec<Network>) -> Self {
        let mut ranges = vec![Range {
            first: 0,
            line: LineCode::default_line(),
        }];
        let mut open: Vec<Network> = Vec::new();
        for network in networks {
            while let Some(done) = open.pop_if(|outer| outer.last < network.first) {
                close(&mut ranges, &open, &done);
            }
            begin(&mut ranges, network.first, &network.line);
            open.push(network);
        }
        let last = last_of(width);
        while let Some(done) = open.pop() {
            if done.last < last {
                close(&mut ranges, &open, &done);
            }
        }
        ranges.dedup_by(|later, earlier| later.line == earlier.line);
        Self { width, ranges }
    }

    fn locate(&self, address: u128) -> Located<'_> {
        // The first range begins at 0, so that there is always one before.
        let after = self
            .ranges
            .partition_point(|range| range.first <= address)
            .max(1);
        let range = &self.ranges[after - 1];
        let last = self
            .ranges
            .get(after)
            .map_or(last_of(self.width), |next| next.first - 1);
        let fits = |prefix: &u8| {
            let host = host_bits(self.width, *prefix);
            address & !host >= range.first && address | host <= last
        };
        Located {
            line: &range.line,
            scope: (0..=self.width).find(fits).unwrap_or(self.width),
        }
    }
}

/// After `done` its surrounding network goes on.
fn close(ranges: &mut Vec<Range>, open: &[Network], done: &Network) {
    let around = open
        .last()
        .map_or_else(LineCode::default_line, |outer| outer.line.clone());
    begin(ranges, done.last + 1, &around);
}

fn begin(ranges: &mut Vec<Range>, first: u128, line: &LineCode) {
    match ranges.last_mut() {
        Some(range) if range.first == first => range.line = line.clone(),
        _ => ranges.push(Range {
            first,
            line: line.clone(),
        }),
    }
}

fn last_of(width: u8) -> u128 {
    host_bits(width, 0)
}

/// The bits of an address that follow its prefix.
fn host_bits(width: u8, prefix: u8) -> u128 {
    let bits = u32::from(width.saturating_sub(prefix));
    u128::MAX.checked_shr(128 - bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at<'a>(lines: &'a Lines, client: &str) -> (&'a str, u8) {
        let located = lines.locate(client.parse().unwrap());
        (located.line.as_str(), located.scope)
    }

    #[test]
    fn the_longest_prefix_wins_and_the_scope_is_where_the_answer_holds() {
        let lines = Lines::parse(
            "# telecom\nCT 10.0.0.0/8\nCU 10.1.0.0/16 # within\n\n default 10.1.2.0/24\n\
             CT 2001:db8::/32\nCMCC 203.0.113.128/25\n",
        )
        .unwrap();
        assert_eq!(at(&lines, "10.2.3.4"), ("CT", 15));
        assert_eq!(at(&lines, "10.128.3.4"), ("CT", 9));
        assert_eq!(at(&lines, "10.1.3.4"), ("CU", 24));
        assert_eq!(at(&lines, "10.1.2.9"), ("default", 24));
        assert_eq!(at(&lines, "203.0.113.200"), ("CMCC", 25));
        assert_eq!(at(&lines, "203.0.113.1"), ("default", 25));
        assert_eq!(at(&lines, "255.255.255.255").0, "default");
        assert_eq!(at(&lines, "2001:db8:1::1"), ("CT", 32));
        assert_eq!(at(&lines, "::1"), ("default", 3));
        assert_eq!(at(&Lines::default(), "192.0.2.1"), ("default", 0));
    }

    #[test]
    fn a_list_may_cover_everything_to_the_last_address() {
        let lines = Lines::parse("A 0.0.0.0/0\nB 255.255.255.255/32\nC ::/0").unwrap();
        assert_eq!(at(&lines, "0.0.0.0"), ("A", 1));
        assert_eq!(at(&lines, "255.255.255.255"), ("B", 32));
        assert_eq!(at(&lines, "ffff::"), ("C", 0));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let cases = [
            ("CT", "line 1: write `<line code> <network>`"),
            ("\n\nCT 1.2.3.4", "line 3: `1.2.3.4` is not a network"),
            ("CT 1.2.3.4/33", "line 1: `1.2.3.4/33` is not a network"),
            ("CT 10.1.2.3/8", "write `10.0.0.0/8`"),
            ("CT 10.0.0.0/8 x", "line 1: write"),
            (
                "CT 10.0.0.0/8\nCT 11.0.0.0/8\nCU 10.0.0.0/8",
                "line 3: the network is on the line CU here and on CT in line 1",
            ),
        ];
        for (text, words) in cases {
            let error = Lines::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text:?}: {error}");
        }
        assert!(Lines::parse("CT 10.0.0.0/8\nCT 10.0.0.0/8").is_ok());
    }

    proptest! {
        /// The flattened lists say what a search of all networks says, and it holds for the scope.
        #[test]
        fn flattened_lists_agree_with_the_definition(
            networks in prop::collection::vec((any::<u8>(), 0u8..=8, 0usize..3), 0..12),
            client in any::<u8>(),
        ) {
            // Networks of the last octet; the same one twice keeps the first line.
            let mut list: Vec<(u8, u8, &str)> = Vec::new();
            for (octet, length, line) in networks {
                let base = octet & u8::MAX.checked_shl(8 - u32::from(length)).unwrap_or(0);
                if !list.iter().any(|(at, bits, _)| (*at, *bits) == (base, length)) {
                    list.push((base, length, ["A", "B", "default"][line]));
                }
            }
            let text: String = list
                .iter()
                .map(|(base, length, line)| format!("{line} 192.0.2.{base}/{}\n", 24 + length))
                .collect();
            let lines = Lines::parse(&text).unwrap();
            let expected = |octet: u8| {
                list.iter()
                    .filter(|(base, length, _)| {
                        octet & u8::MAX.checked_shl(8 - u32::from(*length)).unwrap_or(0) == *base
                    })
                    .max_by_key(|(_, length, _)| *length)
                    .map_or("default", |(_, _, line)| line)
            };
            let (line, scope) = at(&lines, &format!("192.0.2.{client}"));
            prop_assert_eq!(line, expected(client));
            if scope >= 24 {
                let mask = u8::MAX.checked_shl(32 - u32::from(scope)).unwrap_or(0);
                for octet in (0..=u8::MAX).filter(|octet| octet & mask == client & mask) {
                    prop_assert_eq!(expected(octet), line);
                }
            }
        }
    }
}
