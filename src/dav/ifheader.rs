//! The `If` header (RFC 4918, section 10.4): conditions on locks and etags, and the tokens a client holds.

use super::refusal::Outcome;
use super::refusal::Refusal;

/// More lists than this are no client's.
const MOST_LISTS: usize = 64;

/// Holds if one of its lists does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IfHeader {
    pub(super) lists: Vec<List>,
}

/// Holds if all its conditions do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    /// The URI it speaks about; none for that of the request.
    pub(super) resource: Option<String>,
    pub(super) conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) negated: bool,
    pub(super) state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Token(String),
    /// With its quotes.
    Etag(String),
}

impl IfHeader {
    /// # Errors
    ///
    /// 400 for what the grammar doesn't have.
    pub(super) fn parse(header: &str) -> Outcome<Self> {
        let mut rest = header.trim();
        let mut parsed = Self::default();
        let mut resource = None;
        // A tag must have a list of its own before the next.
        let mut waiting = false;
        while !rest.is_empty() {
            if let Some(tagged) = rest.strip_prefix('<') {
                let untagged_before = resource.is_none() && !parsed.lists.is_empty();
                if waiting || untagged_before {
                    return Err(malformed());
                }
                let (uri, after) = tagged.split_once('>').ok_or_else(malformed)?;
                resource = Some(uri.to_owned());
                waiting = true;
                rest = after.trim_start();
            } else {
                let (conditions, after) = list(rest.strip_prefix('(').ok_or_else(malformed)?)?;
                waiting = false;
                rest = after;
                parsed.lists.push(List {
                    resource: resource.clone(),
                    conditions,
                });
            }
            if parsed.lists.len() > MOST_LISTS {
                return Err(malformed());
            }
        }
        if waiting || parsed.lists.is_empty() {
            return Err(malformed());
        }
        Ok(parsed)
    }

    /// Every token that is named, whether or not its list holds: naming it shows that the client knows it.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &str> {
        let conditions = self.lists.iter().flat_map(|list| &list.conditions);
        conditions.filter_map(|condition| match &condition.state {
            State::Token(token) => Some(token.as_str()),
            State::Etag(_) => None,
        })
    }
}

/// The conditions up to the closing parenthesis, and what follows it.
fn list(mut rest: &str) -> Outcome<(Vec<Condition>, &str)> {
    let mut conditions = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(')') {
            return match conditions.is_empty() || conditions.len() > MOST_LISTS {
                true => Err(malformed()),
                false => Ok((conditions, after.trim_start())),
            };
        }
        let negated = rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("not"));
        if negated {
            rest = rest[3..].trim_start();
        }
        let (state, after) = if let Some(token) = rest.strip_prefix('<') {
            let (token, after) = token.split_once('>').ok_or_else(malformed)?;
            (State::Token(token.to_owned()), after)
        } else {
            let etag = rest.strip_prefix('[').ok_or_else(malformed)?;
            let (etag, after) = etag.split_once(']').ok_or_else(malformed)?;
            (State::Etag(etag.trim().to_owned()), after)
        };
        conditions.push(Condition { negated, state });
        rest = after;
    }
}

fn malformed() -> Refusal {
    Refusal::bad_request("The If header of this request can't be read.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(header: &str, expected: Option<&str>) {
        let shown = IfHeader::parse(header).ok().map(|parsed| {
            let lists = parsed.lists.iter().map(|list| {
                let conditions = list.conditions.iter().map(|condition| {
                    let not = if condition.negated { "!" } else { "" };
                    match &condition.state {
                        State::Token(token) => format!("{not}{token}"),
                        State::Etag(etag) => format!("{not}{etag}"),
                    }
                });
                let resource = list.resource.as_deref().unwrap_or("-");
                format!("{resource} {}", conditions.collect::<Vec<_>>().join("&"))
            });
            lists.collect::<Vec<_>>().join(" | ")
        });
        assert_eq!(shown.as_deref(), expected, "{header}");
    }

    #[test]
    fn an_if_header_is_read_as_the_rfc_has_it() {
        check("(<urn:a>)", Some("- urn:a"));
        check("(<urn:a> [\"e\"]) ([\"f\"])", Some("- urn:a&\"e\" | - \"f\""));
        check("(Not <urn:a> <urn:b>)", Some("- !urn:a&urn:b"));
        check("(not<urn:a>)(NOT [W/\"e\"])", Some("- !urn:a | - !W/\"e\""));
        check(
            "</a> (<urn:a>) (<urn:b>) </b> (Not <DAV:no-lock>)",
            Some("/a urn:a | /a urn:b | /b !DAV:no-lock"),
        );
        for refused in [
            "",
            "()",
            "(",
            "(<urn:a>",
            "<urn:a>",
            "</a>",
            "</a> </b> (<urn:a>)",
            "(<urn:a>) </b> (<urn:b>)",
            "urn:a",
            "(urn:a)",
            "(Not)",
            "([\"e\")",
            "(<urn:a)",
            "(<urn:a>) x",
            "é(<urn:a>)",
            "(éé<urn:a>)",
        ] {
            check(refused, None);
        }
        check(&"(<urn:a>)".repeat(65), None);
    }

    #[test]
    fn a_token_is_named_even_in_a_list_that_does_not_hold() {
        let header = IfHeader::parse("(Not <urn:a>) (<urn:b> [\"e\"])").expect("a good header");
        assert_eq!(header.tokens().collect::<Vec<_>>(), ["urn:a", "urn:b"]);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_as_an_if_header_is_read_or_refused(header in "([<>()\\[\\] é\"]|Not|urn:a|no|N){0,24}") {
            if let Ok(parsed) = IfHeader::parse(&header) {
                prop_assert!(!parsed.lists.is_empty() && parsed.lists.iter().all(|list| !list.conditions.is_empty()));
            }
        }
    }
}
