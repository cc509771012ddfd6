//! The contract's words for lines and network types.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::family::Family;
use crate::names::LineCode;

/// The lines that the contract knows. Our codes are the same.
const LINES: [&str; 6] = ["default", "CT", "CU", "CMCC", "CNEdu", "OverSea"];
/// "This node is not resolved to."
const NONE: &str = "None";

/// Which lines a node serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Isps {
    /// In the order in which they were given.
    pub(super) lines: Vec<LineCode>,
    /// It serves none, and never takes one over. Without lines and without this, nobody has said yet.
    pub(super) none: bool,
}

impl Isps {
    /// Reads a node's `ISPs`; the error is the index and a sentence.
    pub(super) fn parse(codes: &[String]) -> Result<Self, (usize, String)> {
        let mut isps = Self::default();
        for (index, code) in codes.iter().enumerate() {
            if code == NONE {
                isps.none = true;
                continue;
            }
            let line = line(code).ok_or_else(|| (index, unknown_line(code)))?;
            if !isps.lines.contains(&line) {
                isps.lines.push(line);
            }
        }
        if isps.none && !isps.lines.is_empty() {
            let sentence = "`None` says that the node serves no line, so it stands alone";
            return Err((0, sentence.to_owned()));
        }
        Ok(isps)
    }

    /// As the contract writes them.
    pub(super) fn codes(&self) -> Vec<String> {
        if self.none {
            return vec![NONE.to_owned()];
        }
        self.lines.iter().map(ToString::to_string).collect()
    }
}

/// Whether the contract has a word for a line.
pub(super) fn is_known(line: &LineCode) -> bool {
    LINES.contains(&line.as_str())
}

fn line(code: &str) -> Option<LineCode> {
    let line = LineCode::parse(code).ok()?;
    Some(line).filter(is_known)
}

fn unknown_line(code: &str) -> String {
    format!(
        "`{}` is not a line of this contract; write {}, or {NONE} alone",
        code.escape_debug(),
        LINES.join(", ")
    )
}

/// Over which families a node is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum NetworkType {
    /// Nobody has said.
    #[default]
    #[serde(rename = "")]
    Unsaid,
    #[serde(rename = "IPV4")]
    Ipv4,
    #[serde(rename = "IPV6")]
    Ipv6,
    Both,
}

impl NetworkType {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(Self::Unsaid),
            "IPV4" => Ok(Self::Ipv4),
            "IPV6" => Ok(Self::Ipv6),
            "Both" => Ok(Self::Both),
            other => Err(format!(
                "`{}` is not a network type; write IPV4, IPV6 or Both",
                other.escape_debug()
            )),
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unsaid => "",
            Self::Ipv4 => "IPV4",
            Self::Ipv6 => "IPV6",
            Self::Both => "Both",
        }
    }

    pub(super) fn of(families: &BTreeSet<Family>) -> Self {
        let has = |family| families.contains(&family);
        match (has(Family::Ipv4), has(Family::Ipv6)) {
            (true, true) => Self::Both,
            (true, false) => Self::Ipv4,
            (false, true) => Self::Ipv6,
            (false, false) => Self::Unsaid,
        }
    }

    pub(super) fn families(self) -> BTreeSet<Family> {
        match self {
            Self::Unsaid => BTreeSet::new(),
            Self::Ipv4 => [Family::Ipv4].into(),
            Self::Ipv6 => [Family::Ipv6].into(),
            Self::Both => Family::ALL.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn isps(codes: &[&str]) -> Result<Isps, (usize, String)> {
        let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
        Isps::parse(&codes)
    }

    #[test]
    fn lines_are_written_as_they_were_read() {
        let all = ["OverSea", "default", "CT", "CU", "CMCC", "CNEdu"];
        assert_eq!(isps(&all).unwrap().codes(), all);
        assert_eq!(isps(&["None"]).unwrap().codes(), ["None"]);
        assert!(isps(&[]).unwrap().codes().is_empty());
        assert_eq!(isps(&["CT", "CT"]).unwrap().codes(), ["CT"]);
    }

    #[test]
    fn other_words_are_refused_with_those_that_there_are() {
        let (index, sentence) = isps(&["CT", "ct"]).unwrap_err();
        assert_eq!(index, 1);
        assert!(
            sentence.contains("`ct`") && sentence.contains("CNEdu"),
            "{sentence}"
        );
        assert!(isps(&["telecom"]).is_err());
        assert!(isps(&["None", "CT"]).unwrap_err().1.contains("alone"));
        assert!(NetworkType::parse("ipv4").unwrap_err().contains("IPV4"));
    }

    #[test]
    fn network_types_are_sets_of_families() {
        for text in ["", "IPV4", "IPV6", "Both"] {
            let parsed = NetworkType::parse(text).unwrap();
            assert_eq!(parsed.as_str(), text);
            assert_eq!(NetworkType::of(&parsed.families()), parsed);
        }
    }
}
