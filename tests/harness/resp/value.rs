//! Values of RESP2, both ways.

use std::io;

/// A value of the protocol; a command is an array of bulk strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resp {
    /// `+OK`
    Simple(String),
    /// `-ERR …`, without the dash.
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$2\r\nab`
    Bulk(Vec<u8>),
    /// `$-1` or `*-1`
    Nil,
    /// `*2…`
    Array(Vec<Resp>),
}

impl Resp {
    /// `+OK`.
    pub fn ok() -> Self {
        Self::Simple("OK".to_owned())
    }

    /// A bulk string.
    pub fn bulk(text: impl Into<String>) -> Self {
        Self::Bulk(text.into().into_bytes())
    }

    /// What it says: a string's or an error's text, an integer's digits, nothing for the others.
    pub fn text(&self) -> String {
        match self {
            Self::Simple(text) | Self::Error(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Nil | Self::Array(_) => String::new(),
        }
    }

    /// An integer.
    pub fn number(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            other => panic!("{other:?} is no integer"),
        }
    }

    /// The sentence of an error.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Error(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn encode(&self, output: &mut Vec<u8>) {
        let line = |output: &mut Vec<u8>, text: &str| {
            output.extend_from_slice(text.as_bytes());
            output.extend_from_slice(b"\r\n");
        };
        match self {
            Self::Simple(text) => line(output, &format!("+{text}")),
            Self::Error(text) => line(output, &format!("-{text}")),
            Self::Integer(number) => line(output, &format!(":{number}")),
            Self::Nil => line(output, "$-1"),
            Self::Bulk(bytes) => {
                line(output, &format!("${}", bytes.len()));
                output.extend_from_slice(bytes);
                output.extend_from_slice(b"\r\n");
            }
            Self::Array(items) => {
                line(output, &format!("*{}", items.len()));
                items.iter().for_each(|item| item.encode(output));
            }
        }
    }

    /// The first value of `input` and its length, if all of it has arrived.
    pub(crate) fn decode(input: &[u8]) -> io::Result<Option<(Self, usize)>> {
        let Some(end) = input.windows(2).position(|pair| pair == b"\r\n") else {
            return Ok(None);
        };
        let body = end + 2;
        let line = String::from_utf8_lossy(&input[..end]).into_owned();
        let Some((kind, rest)) = line.split_at_checked(1) else {
            return Err(invalid("an empty line"));
        };
        let number = || {
            rest.parse::<i64>()
                .map_err(|_| invalid("a number that is none"))
        };
        Ok(match kind {
            "+" => Some((Self::Simple(rest.to_owned()), body)),
            "-" => Some((Self::Error(rest.to_owned()), body)),
            ":" => Some((Self::Integer(number()?), body)),
            "$" => match usize::try_from(number()?) {
                Err(_) => Some((Self::Nil, body)),
                Ok(length) if input.len() < body + length + 2 => None,
                Ok(length) => {
                    let bytes = input[body..body + length].to_vec();
                    Some((Self::Bulk(bytes), body + length + 2))
                }
            },
            "*" => match usize::try_from(number()?) {
                Err(_) => Some((Self::Nil, body)),
                Ok(count) => Self::decode_items(input, body, count)?,
            },
            _ => return Err(invalid("an unknown type byte")),
        })
    }

    fn decode_items(input: &[u8], from: usize, count: usize) -> io::Result<Option<(Self, usize)>> {
        let (mut items, mut at) = (Vec::new(), from);
        for _ in 0..count {
            let Some((item, length)) = Self::decode(&input[at..])? else {
                return Ok(None);
            };
            items.push(item);
            at += length;
        }
        Ok(Some((Self::Array(items), at)))
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("RESP: {what}"))
}
