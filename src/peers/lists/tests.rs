//! Lists as they are found.

use super::*;

/// Format, then for each line: number, host, and what it asks for or why nothing.
fn check(text: &str, format: Format, expected: &[(usize, &str, &str)]) {
    assert_eq!(Format::recognise(text), format, "{text}");
    let said: Vec<_> = read(text, format)
        .unwrap()
        .into_iter()
        .map(|line| {
            let asks = match &line.asks {
                Ok(asked) => format!("{:?} {}|{}", asked.verdict, asked.reason, asked.note),
                Err(why) => why.clone(),
            };
            (line.number, line.host, asks)
        })
        .collect();
    assert_eq!(said.len(), expected.len(), "{said:?}");
    for ((number, host, asks), (line, name, start)) in said.iter().zip(expected) {
        assert_eq!((number, host.as_str()), (line, *name));
        assert!(asks.starts_with(start), "{asks} should begin with {start}");
    }
}

#[test]
fn a_list_of_mastodon_is_read_with_the_lines_that_mean_nothing_here() {
    check(
        "#domain,#severity,#reject_media,#reject_reports,#public_comment,#obfuscate\n\
         spam.example,suspend,TRUE,TRUE,\"spam, and\nworse\",FALSE\n\
         loud.example,silence,FALSE,FALSE,,FALSE\n\
         odd.example,noop,,,,\n\
         \n\
         ex**ple.org,suspend,,,hidden,TRUE\n\
         SPAM.example.,suspend,,,again,\n",
        Format::MastodonCsv,
        &[
            (2, "spam.example", "Some(Deny) spam, and worse|"),
            (4, "loud.example", "The list only limits"),
            (5, "odd.example", "The list only limits"),
            (7, "ex**ple.org", ""),
            (8, "SPAM.example.", "The same server as in line 2"),
        ],
    );
}

#[test]
fn lists_of_gotosocial_are_read_as_csv_and_as_json() {
    check(
        "domain,public_comment,private_comment,obfuscate\r\nb.example,\"says \"\"no\"\"\",asked twice,false\r\n",
        Format::GotosocialCsv,
        &[(2, "b.example", "None says \"no\"|asked twice")],
    );
    check(
        r#"[{"domain": "b.example", "suspended_at": "2022-01-01T00:00:00.000Z", "public_comment": "spam"},
            {"domain": "c.example", "comment": "old", "private_comment": "n", "obfuscate": true},
            {"domain": "not a host"}, {"severity": "suspend"}, 7]"#,
        Format::GotosocialJson,
        &[
            (1, "b.example", "None spam|"),
            (2, "c.example", "None old|n"),
            (3, "not a host", ""),
            (4, "", ""),
            (5, "", ""),
        ],
    );
}

#[test]
fn plain_text_is_one_server_a_line() {
    check(
        "\u{feff}# of the lab\n\nb.example   # spam\n  *.uni.example\nhttps://c.example/\n*.org\nx y\n",
        Format::Text,
        &[
            (3, "b.example", "None"),
            (4, "*.uni.example", "None"),
            (5, "https://c.example/", "None"),
            (6, "*.org", "A wildcard stands"),
            (7, "x y", ""),
        ],
    );
    check(
        "domain\nb.example\n",
        Format::Text,
        &[(1, "domain", ""), (2, "b.example", "None")],
    );
}

fn rules() -> Vec<TrustRule> {
    let rule = |pattern: &str, verdict, reason: &str, expires| TrustRule {
        pattern: Pattern::parse(pattern).unwrap(),
        verdict,
        reason: reason.to_owned(),
        note: "for us".to_owned(),
        expires,
        by: "root".to_owned(),
        since: Timestamp(1_790_000_000),
        batch: Some("1".to_owned()),
    };
    vec![
        rule("*.uni.example", Verdict::Allow, "our own", None),
        rule("b.example", Verdict::Deny, "=HYPERLINK(\"x\"), \"quoted\"", None),
        rule("c.example", Verdict::Deny, "'twas", Some(Timestamp(1_800_000_000))),
    ]
}

#[test]
fn what_this_server_writes_it_reads_again() {
    let rules = rules();
    let json = to_json(&rules);
    assert!(!json.contains("batch"));
    let read_back = read(&json, Format::recognise(&json)).unwrap();
    assert_eq!(Format::recognise(&json), Format::OcmeshJson);
    for (line, rule) in read_back.iter().zip(&rules) {
        let asked = line.asks.as_ref().unwrap();
        assert_eq!(asked.pattern, rule.pattern);
        assert_eq!(asked.verdict, Some(rule.verdict));
        assert_eq!(
            (&asked.reason, &asked.note, asked.expires),
            (&rule.reason, &rule.note, rule.expires)
        );
    }
    let denied = to_csv(&rules, Verdict::Deny).unwrap();
    check(
        &denied,
        Format::MastodonCsv,
        &[
            (2, "b.example", "Some(Deny) =HYPERLINK(\"x\"), \"quoted\"|"),
            (3, "c.example", "Some(Deny) 'twas|"),
        ],
    );
    let allowed = to_csv(&rules, Verdict::Allow).unwrap();
    check(
        &allowed,
        Format::GotosocialCsv,
        &[(2, "*.uni.example", "None our own|")],
    );
    assert_eq!(to_text(&rules, Verdict::Deny), "b.example\nc.example\n");
}

#[test]
fn t68_no_table_program_finds_a_formula_or_a_private_note() {
    let written = to_csv(&rules(), Verdict::Deny).unwrap() + &to_csv(&rules(), Verdict::Allow).unwrap();
    assert!(!written.contains("for us"), "{written}");
    assert!(written.contains("'=HYPERLINK"), "{written}");
    for bad in ["=1", "+1", "-1", "@a", "\t=1", "\r=1"] {
        assert!(defused(bad).starts_with('\''), "{bad:?}");
    }
    assert_eq!(defused("b.example"), "b.example");
}

#[test]
fn a_list_has_its_limits() {
    let many = |number: usize| (0..number).map(|at| format!("s{at}.example\n")).collect::<String>();
    assert_eq!(read(&many(MAX_RULES), Format::Text).unwrap().len(), MAX_RULES);
    let refused = read(&many(MAX_RULES + 1), Format::Text).unwrap_err();
    assert_eq!((refused.reason(), refused.field()), (Reason::TooLarge, Some("text")));
    let long = "#".repeat(MAX_INPUT);
    assert_eq!(read(&long, Format::Text).unwrap_err().reason(), Reason::Invalid);
    let refused = read(&(long + "#"), Format::Text).unwrap_err();
    assert_eq!(refused.reason(), Reason::TooLarge);
}

#[test]
fn what_is_no_list_of_its_format_is_told_so() {
    let check = |text: &str, format: Format, part: &str| {
        let refused = read(text, format).unwrap_err();
        assert_eq!(refused.reason(), Reason::Invalid);
        assert!(refused.message().contains(part), "{refused}");
    };
    check("", Format::Text, "no server");
    check("# nothing\n", Format::Text, "no server");
    check("b.example,suspend\n", Format::MastodonCsv, "domain");
    check("[\n{]", Format::GotosocialJson, "line 2");
    check("{}", Format::OcmeshJson, "[");
    check("[]", Format::OcmeshJson, "no server");
    check(&"[".repeat(100_000), Format::OcmeshJson, "JSON");
}
