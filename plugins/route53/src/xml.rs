//! As much of XML as the service's replies have: elements, text, the five named characters.

/// How deep elements may stand in each other. The service's are less than ten deep.
const MAX_DEPTH: usize = 20;

/// An element without its attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    /// What stands between the tags and in no child.
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// The first child of this name.
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of this name.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }
}

/// The root element of a whole document; none where it is cut short or no such XML.
pub(crate) fn parse(document: &str) -> Option<Element> {
    let mut rest = document.trim_start_matches('\u{feff}').trim_ascii_start();
    while let Some(after) = skip_remark(rest) {
        rest = after.trim_ascii_start();
    }
    let (root, after) = element(rest, 0)?;
    after.trim_ascii().is_empty().then_some(root)
}

/// What follows a declaration or a comment that stands here.
fn skip_remark(rest: &str) -> Option<&str> {
    let (inside, end) = match rest.strip_prefix("<?") {
        Some(inside) => (inside, "?>"),
        None => (rest.strip_prefix("<!--")?, "-->"),
    };
    Some(inside.split_once(end)?.1)
}

/// The element that begins here, and what follows it.
fn element(rest: &str, depth: usize) -> Option<(Element, &str)> {
    let (tag, mut rest) = tag(rest.strip_prefix('<')?)?;
    let (tag, is_empty) = match tag.strip_suffix('/') {
        Some(tag) => (tag, true),
        None => (tag, false),
    };
    let mut element = Element {
        name: tag.split_ascii_whitespace().next()?.to_owned(),
        ..Element::default()
    };
    if is_empty {
        return Some((element, rest));
    }
    if depth == MAX_DEPTH {
        return None;
    }
    loop {
        let (text, _) = rest.split_once('<')?;
        unescape(text, &mut element.text)?;
        rest = &rest[text.len()..];
        if let Some(closing) = rest.strip_prefix("</") {
            let (name, after) = closing.split_once('>')?;
            return (name.trim_ascii_end() == element.name).then_some((element, after));
        }
        if let Some(inside) = rest.strip_prefix("<![CDATA[") {
            let (text, after) = inside.split_once("]]>")?;
            element.text.push_str(text);
            rest = after;
        } else if let Some(after) = skip_remark(rest) {
            rest = after;
        } else {
            let (child, after) = self::element(rest, depth + 1)?;
            element.children.push(child);
            rest = after;
        }
    }
}

/// What stands up to the `>` that no quotation marks enclose, and what follows it.
fn tag(rest: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, character) in rest.char_indices() {
        match (quote, character) {
            (None, '>') => return Some((&rest[..at], &rest[at + 1..])),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
    }
    None
}

/// Appends a text with its characters in place of their names.
fn unescape(text: &str, into: &mut String) -> Option<()> {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        into.push_str(before);
        let (name, after) = after.split_once(';')?;
        into.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        rest = after;
    }
    into.push_str(rest);
    Some(())
}

/// A text as it may stand between two tags.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_texts_and_characters_are_read() {
        let document = "<?xml version=\"1.0\"?>\n<!-- x --><a xmlns='>'>\n <b>1 &lt;&#38;&#x41;&quot;</b>\
            <c/><b d=\"/\">2<![CDATA[<&]]></b>\n</a>\n";
        let root = parse(document).unwrap();
        assert_eq!(root.name, "a");
        assert_eq!(root.text_of("b"), Some("1 <&A\""));
        assert_eq!(root.child("c"), Some(&root.children[1]));
        assert_eq!(root.children[2].text, "2<&");
        assert_eq!(parse("<a/>").unwrap().name, "a");
    }

    #[test]
    fn what_is_cut_or_crooked_is_nothing() {
        let document = "<a><b>x &amp; y</b><c d=\"e\"/></a>";
        assert!(parse(document).is_some());
        for end in 0..document.len() {
            assert_eq!(parse(&document[..end]), None, "{}", &document[..end]);
        }
        for crooked in [
            "",
            "text",
            "<a></b>",
            "<a>&nbsp;</a>",
            "<a>&",
            "<a/><b/>",
            "<!DOCTYPE html><a/>",
        ] {
            assert_eq!(parse(crooked), None, "{crooked}");
        }
        assert_eq!(parse(&"<a>".repeat(100_000)), None);
    }

    #[test]
    fn what_is_escaped_comes_back() {
        let text = "a<b>&\"'é";
        let document = format!("<a>{}</a>", escape(text));
        assert_eq!(parse(&document).unwrap().text, text);
    }
}
