//! The A-label form of names. The API tells zones of other scripts in that script, and their records in
//! A-labels.

/// The alphabet's size.
const BASE: u32 = 36;
/// The lowest and the highest threshold (RFC 3492, 5).
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
/// The first character that is not ASCII.
const BEYOND_ASCII: u32 = 0x80;

/// The name with each label in lower case and in A-label form. Labels of other scripts are in lower case
/// already: case mapping of all scripts would weigh some KB.
pub(crate) fn to_a_labels(name: &str) -> String {
    let mut labels = String::with_capacity(name.len());
    for label in name.split('.') {
        if !labels.is_empty() {
            labels.push('.');
        }
        let label = label.to_ascii_lowercase();
        if label.is_ascii() {
            labels.push_str(&label);
        } else {
            labels.push_str("xn--");
            labels.push_str(&punycode(&label));
        }
    }
    labels
}

/// Encodes a label as RFC 3492, 6.3 says.
fn punycode(label: &str) -> String {
    let characters: Vec<u32> = label.chars().map(u32::from).collect();
    let mut encoded: String = label.chars().filter(char::is_ascii).collect();
    let basic = encoded.len();
    if basic > 0 {
        encoded.push('-');
    }
    let mut handled = basic;
    let (mut code, mut delta, mut bias) = (BEYOND_ASCII, 0_u32, 72);
    while let Some(next) = characters.iter().filter(|c| **c >= code).min() {
        let steps = u32::try_from(handled + 1).unwrap_or(u32::MAX);
        delta = delta.saturating_add((next - code).saturating_mul(steps));
        code = *next;
        for &character in &characters {
            if character < code {
                delta = delta.saturating_add(1);
            }
            if character == code {
                write_number(&mut encoded, delta, bias);
                bias = adapted(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.saturating_add(1);
        code += 1;
    }
    encoded
}

/// Appends a number of variable length.
fn write_number(encoded: &mut String, number: u32, bias: u32) {
    let digit = |value: u32| {
        // Below 36 by how it is called.
        let byte = u8::try_from(value).unwrap_or_default();
        char::from(if byte < 26 {
            b'a' + byte
        } else {
            b'0' + byte - 26
        })
    };
    let mut rest = number;
    let mut weight = BASE;
    loop {
        let threshold = weight.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if rest < threshold {
            encoded.push(digit(rest));
            return;
        }
        encoded.push(digit(threshold + (rest - threshold) % (BASE - threshold)));
        rest = (rest - threshold) / (BASE - threshold);
        weight += BASE;
    }
}

/// The bias after a delta (RFC 3492, 6.1).
fn adapted(delta: u32, handled: usize, is_first: bool) -> u32 {
    let handled = u32::try_from(handled).unwrap_or(u32::MAX);
    let mut delta = if is_first { delta / 700 } else { delta / 2 };
    delta += delta / handled;
    let mut steps = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        steps += BASE;
    }
    steps + (BASE - T_MIN + 1) * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From RFC 3492, 7.1, and names in use.
    #[test]
    fn names_of_other_scripts_become_a_labels() {
        for (name, expected) in [
            ("Example.COM", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("mås.se", "xn--ms-yia.se"),
            ("中国", "xn--fiqs8s"),
            ("他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"),
            (
                "почемужеонинеговорятпорусски",
                "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l",
            ),
            ("3年b組金八先生", "xn--3b-ww4c5e180e575a65lsy2b"),
            ("😀.example.com", "xn--e28h.example.com"),
            ("例.example", "xn--fsq.example"),
        ] {
            assert_eq!(to_a_labels(name), expected);
            assert_eq!(to_a_labels(expected), expected);
        }
    }
}
