//! How a notice reads: in a mail, in a list, and to a program.

use crate::clock::Timestamp;
use crate::config::AdminTopic;
use crate::config::PublicUrl;
use crate::config::UserTopic;
use crate::lang::Lang;
use crate::notify::Notice;
use crate::notify::kept::Telling;
use crate::notify::kept::Way;

/// The place of a sentence that the name of somebody here is put into.
pub const PERSON: &str = "user";
/// Characters of what is filled in, and of a name that somebody elsewhere chose.
const LONGEST_VALUE: usize = 200;
const LONGEST_NAME: usize = 60;
/// Characters of a subject.
const LONGEST_SUBJECT: usize = 120;

/// What is filled into a sentence: one line without marks that change how the rest of it reads.
pub fn line(text: &str) -> String {
    let disturbs = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let plain = text.chars().filter(|c| !disturbs(*c));
    let plain = plain.map(|c| if matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c });
    cut(&plain.collect::<String>(), LONGEST_VALUE)
}

/// A name that somebody elsewhere chose. Mails come from the operator’s address, so it is a name and no advertisement.
pub fn short_name(text: &str) -> String {
    cut(&line(text).replace("://", " "), LONGEST_NAME)
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// A notice as the log has it. Nobody is named in the sentence: what is handed to helpers names no person (T-44).
pub fn logged(notice: &Notice) -> String {
    let value = |(name, value): &(&'static str, String)| match *name {
        PERSON => (*name, "Somebody".to_owned()),
        name => (name, line(value)),
    };
    let values: Vec<_> = notice.values.iter().map(value).collect();
    let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Lang::En.fill(notice.sentence, &values)
}

/// What admins hear about, in words.
pub fn admin_topic(topic: AdminTopic) -> &'static str {
    match topic {
        AdminTopic::Tls => "The certificate ends soon, or could not be had",
        AdminTopic::Backup => "A backup failed, or is old",
        AdminTopic::PeerDown => "A server does not answer any more",
        AdminTopic::PeerKeyChanged => "A server shows other keys than before",
        AdminTopic::NewServer => "An invitation let in a new server",
        AdminTopic::Disk => "The disk is nearly full",
    }
}

/// What people hear about, in words.
pub fn user_topic(topic: UserTopic) -> &'static str {
    match topic {
        UserTopic::ShareReceived => "Someone shares something with me",
        UserTopic::InviteAccepted => "Someone accepts my invitation",
        UserTopic::ShareFailed => "Something I share does not reach the other server",
    }
}

impl Telling {
    /// The sentence. A value called `why` is a sentence itself, and one that is a moment is said as one.
    pub fn said(&self, lang: Lang) -> String {
        if self.more > 0 {
            let sentence = "{n} more notice of this kind came within an hour.|\
                            {n} more notices of this kind came within an hour.";
            return lang.count(sentence, self.more.into());
        }
        let value = |(name, value): &(String, String)| match Timestamp::parse(value) {
            Some(moment) if value.contains('T') => (name.clone(), lang.when(moment)),
            _ if name == "why" => (name.clone(), lang.say(value).into_owned()),
            _ => (name.clone(), value.clone()),
        };
        let values: Vec<_> = self.values.iter().map(value).collect();
        let values: Vec<_> = values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        lang.fill(&self.sentence, &values)
    }

    /// Subject and body of the mail.
    pub fn mail(&self, server: &PublicUrl, lang: Lang) -> (String, String) {
        let (host, said) = (server.provider().to_string(), self.said(lang));
        let mut parts = vec![
            said.clone(),
            lang.fill("It happened on {when}.", &[("when", &lang.when(self.happened))]),
            format!("{}\n{}", lang.say("More about it is here:"), server.at(&self.page)),
        ];
        parts.push(match &self.way {
            Way::UserMail(_) => format!(
                "{}\n{}",
                lang.fill(
                    "You get this mail because you have an account at {server}. What you are told you choose here:",
                    &[("server", &host)]
                ),
                server.at("/account#notices")
            ),
            _ => lang.fill(
                "You get this mail because your address stands in the settings of {server}, at {key}.",
                &[("server", &host), ("key", "notify.admin_mail")],
            ),
        });
        (
            cut(&format!("{host}: {said}"), LONGEST_SUBJECT),
            parts.join("\n\n") + "\n",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telling(sentence: &str, values: &[(&str, &str)]) -> Telling {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), line(value)));
        Telling {
            id: "1".to_owned(),
            event: "2".to_owned(),
            way: Way::AdminMail("root@example.org".to_owned()),
            topic: "tls".to_owned(),
            about: "a".to_owned(),
            page: "/admin/tls".to_owned(),
            sentence: sentence.to_owned(),
            values: values.collect(),
            more: 0,
            happened: Timestamp(1_790_000_000),
            given_up: false,
            due: Timestamp(1_790_000_000),
            tries: 0,
            last_error: None,
        }
    }

    #[test]
    fn t70_what_somebody_elsewhere_chose_is_one_short_line() {
        let check = |given: &str, expected: &str| assert_eq!(short_name(given), expected);
        check("Eve", "Eve");
        check("Eve\r\nBcc: x@y.example", "EveBcc: x@y.example");
        check("a\u{2028}b\u{202e}c", "a bc");
        check("buy https://evil.example", "buy https evil.example");
        assert_eq!(short_name(&"x".repeat(1000)).chars().count(), LONGEST_NAME);
        assert_eq!(line(&"x".repeat(1000)).chars().count(), LONGEST_VALUE);
    }

    #[test]
    fn t44_the_log_has_what_was_filled_in_and_nobodys_name() {
        let notice = Notice {
            topic: AdminTopic::NewServer,
            about: "b.example".to_owned(),
            sentence: "{user} met somebody at {server}.",
            values: vec![("user", "ada".to_owned()), ("server", "b.example\n{user}".to_owned())],
        };
        assert_eq!(logged(&notice), "Somebody met somebody at b.example{user}.");
    }

    #[test]
    fn a_moment_and_a_reason_are_said_in_the_language_of_whoever_reads() {
        let at = Timestamp(1_790_000_000).to_string();
        let told = telling("Since {since}: {why}", &[("since", &at), ("why", "Nothing waits.")]);
        let said = told.said(Lang::De);
        assert!(said.contains(&Lang::De.when(Timestamp(1_790_000_000))), "{said}");
        assert!(!said.contains(&at), "{said}");
        // What only looks like a place is not filled again.
        let told = telling("{a} and {b}", &[("a", "{b}"), ("b", "2026-01-01")]);
        assert_eq!(told.said(Lang::En), "{b} and 2026-01-01");
    }

    #[test]
    fn a_mail_says_what_happened_when_and_where_to_look() {
        let server = PublicUrl::parse("https://cloud.example.org").unwrap();
        let (subject, body) =
            telling("The certificate of {server} ends.", &[("server", "cloud.example.org")]).mail(&server, Lang::En);
        assert_eq!(subject, "cloud.example.org: The certificate of cloud.example.org ends.");
        assert!(body.contains("https://cloud.example.org/admin/tls\n"), "{body}");
        assert!(body.contains("notify.admin_mail"), "{body}");
    }
}
