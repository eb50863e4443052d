//! What templates say to whoever reads: `{{ "{n} of {all} used."|t|fill("n", used)|fill("all", uses) }}`.
//!
//! `t` finds the sentence in the reader's language; the others fill its places, each value escaped and, where it is a
//! name, an address or a link, dressed as such. The places of a sentence stand in the order of its language, so a
//! sentence is never put together from halves.

use std::fmt;

use askama::Values;
use askama::filters::HtmlSafe;

use crate::clock::Timestamp;
use crate::lang::next_place;
use crate::web::reader::reader;
use crate::web::words;

/// A sentence as HTML: its words and all that was filled in are escaped.
#[derive(Clone)]
pub struct Phrase(String);

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Phrase {}

/// A brace in a value must not become a place.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&#38;"),
            '<' => safe.push_str("&#60;"),
            '>' => safe.push_str("&#62;"),
            '"' => safe.push_str("&#34;"),
            '\'' => safe.push_str("&#39;"),
            '{' => safe.push_str("&#123;"),
            '}' => safe.push_str("&#125;"),
            _ => safe.push(c),
        }
    }
    safe
}

impl Phrase {
    fn of(sentence: &str) -> Self {
        let mut safe = String::new();
        let mut rest = sentence;
        while let Some((before, place, after)) = next_place(rest) {
            safe.push_str(&escape(before));
            safe.push('{');
            safe.push_str(place);
            safe.push('}');
            rest = after;
        }
        safe.push_str(&escape(rest));
        Self(safe)
    }

    fn put(self, place: &str, html: &str) -> Self {
        Self(self.0.replace(&format!("{{{place}}}"), html))
    }
}

/// The sentence in the reader's language.
#[askama::filter_fn]
pub fn t<S: fmt::Display>(sentence: S, _: &dyn Values) -> askama::Result<Phrase> {
    Ok(Phrase::of(&reader().lang.say(&sentence.to_string())))
}

/// The form for a number of a sentence such as `{n} person|{n} people`.
#[askama::filter_fn]
pub fn n<S: fmt::Display, N: fmt::Display>(sentence: S, _: &dyn Values, number: N) -> askama::Result<Phrase> {
    let number = number.to_string().parse().unwrap_or(u64::MAX);
    Ok(Phrase::of(&reader().lang.count(&sentence.to_string(), number)))
}

/// Fills a place with text.
#[askama::filter_fn]
pub fn fill<V: fmt::Display>(phrase: Phrase, _: &dyn Values, place: &str, value: V) -> askama::Result<Phrase> {
    Ok(phrase.put(place, &escape(&value.to_string())))
}

/// Fills a place with a name that others chose: its direction of writing must not turn the rest of the line around.
#[askama::filter_fn]
pub fn name<V: fmt::Display>(phrase: Phrase, _: &dyn Values, place: &str, value: V) -> askama::Result<Phrase> {
    Ok(phrase.put(place, &format!("<bdi>{}</bdi>", escape(&value.to_string()))))
}

/// Fills a place with something to be typed or compared letter by letter.
#[askama::filter_fn]
pub fn code<V: fmt::Display>(phrase: Phrase, _: &dyn Values, place: &str, value: V) -> askama::Result<Phrase> {
    Ok(phrase.put(place, &format!("<code>{}</code>", escape(&value.to_string()))))
}

/// Fills a place with stressed text.
#[askama::filter_fn]
pub fn strong<V: fmt::Display>(phrase: Phrase, _: &dyn Values, place: &str, value: V) -> askama::Result<Phrase> {
    Ok(phrase.put(place, &format!("<strong>{}</strong>", escape(&value.to_string()))))
}

/// Fills a place with a host or an OCM Address, the host in bold.
#[askama::filter_fn]
pub fn address<V: fmt::Display>(phrase: Phrase, _: &dyn Values, place: &str, value: V) -> askama::Result<Phrase> {
    let value = value.to_string();
    let html = match value.rsplit_once('@') {
        Some((who, host)) => format!("<bdi>{}</bdi>@<b>{}</b>", escape(who), escape(host)),
        None => format!("<b>{}</b>", escape(&value)),
    };
    Ok(phrase.put(place, &format!("<code class=\"address\">{html}</code>")))
}

/// Fills a place with a link to a page of this server.
#[askama::filter_fn]
pub fn link<H: fmt::Display, L: fmt::Display>(
    phrase: Phrase,
    _: &dyn Values,
    place: &str,
    href: H,
    label: L,
) -> askama::Result<Phrase> {
    let href = href.to_string();
    // Nothing that leads elsewhere, or that is a script, is ever made a link by a sentence.
    let href = if href.starts_with('/') && !href.starts_with("//") || href.starts_with(['#', '?']) {
        href
    } else {
        "#".to_owned()
    };
    Ok(phrase.put(
        place,
        &format!(
            "<a href=\"{}\"><bdi>{}</bdi></a>",
            escape(&href),
            escape(&label.to_string())
        ),
    ))
}

/// Fills a place with a time, and how far away it is.
#[askama::filter_fn]
pub fn when(
    phrase: Phrase,
    _: &dyn Values,
    place: &str,
    moment: &Timestamp,
    now: &Timestamp,
) -> askama::Result<Phrase> {
    let html = format!(
        "<time datetime=\"{moment}\">{}</time> ({})",
        escape(&words::when(moment)),
        escape(&words::away(moment, now))
    );
    Ok(phrase.put(place, &html))
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use crate::web::filters;

    #[derive(Template)]
    #[template(
        source = r#"{{ "<{who}> says {what}"|t|name("who", who)|fill("what", "hi") }}"#,
        ext = "html"
    )]
    struct Said<'a> {
        who: &'a str,
    }

    #[test]
    fn t68_what_is_filled_in_is_escaped_and_fills_nothing_itself() {
        let said = Said {
            who: "<img src=x onerror=alert(1)>\"'&{what}",
        };
        assert_eq!(
            said.render().unwrap(),
            "&#60;<bdi>&#60;img src=x onerror=alert(1)&#62;&#34;&#39;&#38;&#123;what&#125;</bdi>&#62; says hi"
        );
    }

    #[derive(Template)]
    #[template(source = r#"{{ "{it}"|t|link("it", href, "it") }}"#, ext = "html")]
    struct Linked<'a> {
        href: &'a str,
    }

    #[test]
    fn t69_a_sentence_links_to_our_own_pages_only() {
        let check = |href: &str, expected: &str| {
            let html = Linked { href }.render().unwrap();
            assert!(html.contains(&format!("href=\"{expected}\"")), "{href}: {html}");
        };
        check("/home", "/home");
        check("#field", "#field");
        check("//evil.example", "#");
        check("https://evil.example", "#");
        check("javascript:alert(1)", "#");
    }
}
