//! Text within HTML and SVG.

/// Makes a text safe between tags and in quoted attributes. Control characters, which XML forbids, become
/// U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(
            escape("<b title=\"x\" id='y'>&\u{1}上海"),
            "&lt;b title=&quot;x&quot; id=&#39;y&#39;&gt;&amp;\u{fffd}上海"
        );
    }
}
