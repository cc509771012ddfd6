//! The badge: `Portolan | <name> | live/total`, as SVG.

use super::escape::escape;

const LABEL: &str = "Portolan";
/// Pixels.
const HEIGHT: u32 = 20;
const MARGIN: u32 = 6;
/// A letter's width at 11 pixels, on average, and that of a CJK character.
const NARROW: u32 = 7;
const WIDE: u32 = 12;

/// Nobody lives, some do, all do.
const RED: &str = "#c0392b";
const YELLOW: &str = "#b7850b";
const GREEN: &str = "#2e8b57";

/// A part of the badge.
struct Part {
    text: String,
    colour: &'static str,
}

impl Part {
    fn width(&self) -> u32 {
        let widths = self
            .text
            .chars()
            .map(|c| if c.is_ascii() { NARROW } else { WIDE });
        widths.fold(2 * MARGIN, u32::saturating_add)
    }
}

pub(super) fn draw(name: &str, live: usize, total: usize) -> String {
    let colour = match live {
        0 => RED,
        live if live < total => YELLOW,
        _ => GREEN,
    };
    let part = |text: &str, colour| Part {
        text: text.to_owned(),
        colour,
    };
    let count = format!("{live}/{total}");
    let parts = [
        part(LABEL, "#444"),
        part(name, "#3a6ea5"),
        part(&count, colour),
    ];
    let mut left = 0;
    let mut drawn = String::new();
    for part in &parts {
        let width = part.width();
        let (middle, text) = (left + width / 2, escape(&part.text));
        drawn.push_str(&format!(
            "<rect x=\"{left}\" width=\"{width}\" height=\"{HEIGHT}\" fill=\"{}\"/>\
             <text x=\"{middle}\" y=\"14\">{text}</text>",
            part.colour
        ));
        left += width;
    }
    let title = escape(&format!("{LABEL}: {name}, {count} sites live"));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{left}\" height=\"{HEIGHT}\" role=\"img\" \
         aria-label=\"{title}\"><title>{title}</title><g fill=\"#fff\" text-anchor=\"middle\" \
         font-family=\"Verdana,Geneva,DejaVu Sans,sans-serif\" font-size=\"11\">{drawn}</g></svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn width(svg: &str) -> u32 {
        let rest = svg.split_once("width=\"").unwrap().1;
        rest.split_once('"').unwrap().0.parse().unwrap()
    }

    #[test]
    fn it_is_as_wide_as_its_texts() {
        let short = draw("sh", 1, 2);
        let long = draw("Shanghai", 1, 2);
        assert_eq!(width(&long) - width(&short), 6 * NARROW);
        assert_eq!(
            width(&draw("上海", 1, 2)) - width(&draw("", 1, 2)),
            2 * WIDE
        );
        assert!(short.contains(">Portolan<") && short.contains(">sh<") && short.contains(">1/2<"));
    }

    #[test]
    fn names_are_text() {
        let svg = draw("<script>\"&", 0, 1);
        assert!(svg.contains("&lt;script&gt;&quot;&amp;") && !svg.contains("<script"));
    }

    #[test]
    fn the_colour_says_how_many_live() {
        for (live, total, colour) in [(0, 0, RED), (0, 2, RED), (1, 2, YELLOW), (2, 2, GREEN)] {
            assert!(draw("a", live, total).contains(colour), "{live}/{total}");
        }
    }
}
