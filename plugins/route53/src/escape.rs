//! Odd characters. The service writes an octet as a backslash and three *octal* digits, where RFC 1035
//! has decimal ones.

use portolan_plugin::names::without_dot;

/// A name as names are written here: `*.example.com` of `\052.example.com.`. What cannot be written
/// here keeps its backslash.
pub(crate) fn name_from_service(name: &str) -> String {
    let plain = rewrite(name, 8, |octet| {
        if octet.is_ascii_graphic() && octet != b'.' && octet != b'\\' {
            char::from(octet).to_string()
        } else {
            format!("\\{octet:03o}")
        }
    });
    without_dot(&plain)
}

/// The quoted strings of a value, with decimal codes.
pub(crate) fn strings_from_service(value: &str) -> String {
    rewrite(value, 8, |octet| format!("\\{octet:03}"))
}

/// The quoted strings of a value, with octal codes.
pub(crate) fn strings_to_service(value: &str) -> String {
    rewrite(value, 10, |octet| format!("\\{octet:03o}"))
}

/// Replaces each backslash with three digits; any other escaped character stays as it is.
fn rewrite(text: &str, radix: u32, write: impl Fn(u8) -> String) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        written.push_str(before);
        let digits = after
            .get(..3)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, radix).ok()) {
            Some(octet) => {
                written.push_str(&write(octet));
                rest = &after[3..];
            }
            None => {
                written.push('\\');
                let mut characters = after.chars();
                written.extend(characters.next());
                rest = characters.as_str();
            }
        }
    }
    written.push_str(rest);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_the_codes_that_they_do_not_need() {
        for (theirs, ours) in [
            (r"\052.example.com.", "*.example.com"),
            ("WWW.example.com.", "www.example.com"),
            (r"a\057b.example.com", "a/b.example.com"),
            (r"ex\344mple.com.", r"ex\344mple.com"),
            (r"a\056b.example.com.", r"a\056b.example.com"),
        ] {
            assert_eq!(name_from_service(theirs), ours);
        }
    }

    #[test]
    fn strings_change_their_codes_and_nothing_else() {
        for (theirs, ours) in [
            (r#""plain""#, r#""plain""#),
            (r#""\303\251 \"q\" \\""#, r#""\195\169 \"q\" \\""#),
            (r#""\\303""#, r#""\\303""#),
            (r#""\001" "b""#, r#""\001" "b""#),
        ] {
            assert_eq!(strings_from_service(theirs), ours);
            assert_eq!(strings_to_service(ours), theirs);
        }
        assert_eq!(strings_from_service(r#""\é\99""#), r#""\é\99""#);
    }
}
