//! The colours of `static/app.css`: text can be read and edges can be seen, light and dark (WCAG 2.2, 1.4.3 and 1.4.11).

use std::collections::BTreeMap;
use std::collections::BTreeSet;

const STYLE: &str = include_str!("../../../static/app.css");

/// The tokens of the sheet: name, colour by day, colour by night.
fn tokens() -> BTreeMap<&'static str, [&'static str; 2]> {
    STYLE
        .split("--")
        .filter_map(|rest| {
            let (name, value) = rest.split_once(':')?;
            let (pair, _) = value.trim_start().strip_prefix("light-dark(")?.split_once(')')?;
            let (light, dark) = pair.split_once(',')?;
            Some((name, [light.trim(), dark.trim()]))
        })
        .collect()
}

/// How light a colour `#rrggbb` is (WCAG 2.2, relative luminance).
fn luminance(colour: &str) -> f64 {
    let digits = colour.strip_prefix('#').expect("a colour in digits");
    // Three digits stand for each of them twice.
    let twice: String = digits.chars().flat_map(|digit| [digit, digit]).collect();
    let digits = if digits.len() == 3 { &twice } else { digits };
    assert_eq!(digits.len(), 6, "{colour}");
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits")) / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
}

fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn the_contrast_is_reckoned_as_wcag_does() {
    let check = |one: &str, other: &str, expected: f64| {
        let found = contrast(one, other);
        assert!((found - expected).abs() < 0.01, "{one} on {other}: {found}");
    };
    check("#000000", "#ffffff", 21.0);
    check("#777777", "#ffffff", 4.48);
    check("#0b6b5d", "#0b6b5d", 1.0);
}

#[test]
fn text_can_be_read_and_edges_can_be_seen_by_day_and_by_night() {
    let tokens = tokens();
    let surfaces = ["bg", "surface", "sunken"];
    let tones = ["ok", "warn", "bad", "info"];
    let mut pairs: Vec<(String, String, f64)> = Vec::new();
    let mut pair = |front: &str, back: &str, least: f64| pairs.push((front.to_owned(), back.to_owned(), least));
    for surface in surfaces {
        for text in [
            "text",
            "muted",
            "link",
            "accent",
            "accent-hover",
            "ok",
            "warn",
            "bad",
            "info",
        ] {
            pair(text, surface, 4.5);
        }
        for edge in ["border-strong", "focus"] {
            pair(edge, surface, 3.0);
        }
    }
    for tone in tones {
        let back = format!("{tone}-bg");
        for text in [tone, "text", "link", "muted"] {
            pair(text, &back, 4.5);
        }
        pair("border-strong", &back, 3.0);
        pair("focus", &back, 3.0);
    }
    pair("on-accent", "accent", 4.5);
    pair("on-accent", "accent-hover", 4.5);
    let mut faults = Vec::new();
    for (front, back, least) in &pairs {
        for (theme, name) in ["light", "dark"].iter().enumerate() {
            let found = contrast(tokens[front.as_str()][theme], tokens[back.as_str()][theme]);
            if found < *least {
                faults.push(format!("{front} on {back}, {name}: {found:.2} of {least}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // A token that nobody measures could be anything.
    let measured: BTreeSet<_> = pairs
        .iter()
        .flat_map(|(front, back, _)| [front.as_str(), back.as_str()])
        .collect();
    let decoration = BTreeSet::from(["border"]);
    let unmeasured: Vec<_> = tokens
        .keys()
        .filter(|name| !measured.contains(*name) && !decoration.contains(*name))
        .collect();
    assert!(unmeasured.is_empty(), "{unmeasured:?}");
}

/// What is not a token is in one colour by day and by night, so only these few are.
#[test]
fn no_colour_is_made_up_outside_the_tokens() {
    let (_, rest) = STYLE.split_once("--info-bg").expect("the last token");
    let (_, rules) = rest.split_once('}').expect("the end of the tokens");
    let made_up: Vec<_> = rules
        .split('#')
        .skip(1)
        .map(|rest| rest.chars().take_while(char::is_ascii_hexdigit).collect::<String>())
        .filter(|digits| matches!(digits.len(), 3 | 4 | 6 | 8))
        // A QR code is dark on white whatever the hour, or no telephone reads it.
        .filter(|digits| !["fff", "ffffff", "000", "000000"].contains(&digits.as_str()))
        .collect();
    assert!(made_up.is_empty(), "{made_up:?}");
    for function in ["rgb(", "hsl(", "oklch(", "color-mix("] {
        assert!(!rules.contains(function), "{function}");
    }
}
