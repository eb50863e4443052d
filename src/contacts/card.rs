//! Contacts as other address books read them: vCard (RFC 6350) and JSContact (RFC 9553).

use serde_json::Value;
use serde_json::json;

use crate::contacts::Contact;
use crate::error::Error;
use crate::error::Result;

/// Longest line of a vCard, in bytes; what is longer goes on in the next one (RFC 6350, section 3.2).
const LINE_MAX: usize = 75;

/// A form that contacts can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    VCard,
    JsContact,
}

impl Format {
    /// # Errors
    ///
    /// [`Reason::Invalid`](crate::error::Reason::Invalid) naming `as`.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "vcard" => Ok(Self::VCard),
            "jscontact" => Ok(Self::JsContact),
            _ => Err(Error::invalid("as", "Contacts are exported as vcard or jscontact.")),
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::VCard => "text/vcard; charset=utf-8",
            Self::JsContact => "application/jscontact+json; version=1.0",
        }
    }

    /// How names of such files end.
    pub fn extension(self) -> &'static str {
        match self {
            Self::VCard => "vcf",
            Self::JsContact => "json",
        }
    }

    /// The contacts in one file: cards one after the other, or an array of them.
    pub fn write(self, contacts: &[Contact]) -> String {
        match self {
            Self::VCard => contacts.iter().map(vcard).collect(),
            Self::JsContact => match contacts {
                [one] => jscontact(one).to_string(),
                many => Value::Array(many.iter().map(jscontact).collect()).to_string(),
            },
        }
    }
}

/// One card. The OCM Address has no property of its own in RFC 6350: it stands in `CLOUD`, where the address books of
/// deployed servers have it, and in an `X-` property that says what it is.
pub fn vcard(contact: &Contact) -> String {
    let address = contact.address.to_string();
    let mut card = String::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            fold(&mut card, &format!("{name}:{}", escaped(value)));
        }
    };
    put("BEGIN", "VCARD");
    put("VERSION", "4.0");
    put("PRODID", "-//ocmesh//EN");
    put("UID;VALUE=text", &address);
    put("FN", &contact.shown_name());
    if !contact.ours.name.is_empty() {
        put("NICKNAME", contact.name.trim());
    }
    put("EMAIL", contact.email.trim());
    put("CLOUD", &address);
    put("X-OCM-ADDRESS", &address);
    put("NOTE", &contact.ours.note);
    put("END", "VCARD");
    card
}

/// A value as text: what would end or part it is marked, and a line break is two letters (RFC 6350, section 3.4).
fn escaped(value: &str) -> String {
    let mut safe = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        match c {
            '\\' => safe.push_str("\\\\"),
            ',' => safe.push_str("\\,"),
            ';' => safe.push_str("\\;"),
            '\n' => safe.push_str("\\n"),
            c if c.is_control() => {}
            c => safe.push(c),
        }
    }
    safe
}

/// Writes a line, folded between characters.
fn fold(card: &mut String, line: &str) {
    let mut length = 0;
    for c in line.chars() {
        if length + c.len_utf8() > LINE_MAX {
            card.push_str("\r\n ");
            length = 1;
        }
        card.push(c);
        length += c.len_utf8();
    }
    card.push_str("\r\n");
}

/// One card.
pub fn jscontact(contact: &Contact) -> Value {
    let address = contact.address.to_string();
    let mut card = json!({
        "@type": "Card",
        "version": "1.0",
        "uid": address,
        "prodId": "ocmesh",
        "kind": "individual",
        "created": contact.since.to_string(),
        "name": { "full": contact.shown_name() },
        "onlineServices": {
            "ocm": { "service": "Open Cloud Mesh", "user": address }
        },
    });
    if !contact.email.trim().is_empty() {
        card["emails"] = json!({ "mail": { "address": contact.email.trim() } });
    }
    if !contact.ours.name.is_empty() && !contact.name.trim().is_empty() {
        card["nicknames"] = json!({ "theirs": { "name": contact.name.trim() } });
    }
    if !contact.ours.note.is_empty() {
        card["notes"] = json!({ "ours": { "note": contact.ours.note } });
    }
    card
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::contacts::Ours;
    use crate::contacts::Via;
    use crate::ocm::address::OcmAddress;

    fn eve() -> Contact {
        Contact {
            user: "ada".to_owned(),
            address: OcmAddress::parse("eve;x@cloud.example.org:8443").unwrap(),
            name: "Eve, \\ \"E\"\r\nBEGIN:VCARD".to_owned(),
            email: "eve@mail.example".to_owned(),
            since: Timestamp(1_790_000_000),
            via: Via::SentInvite,
            ours: Ours {
                note: "met in Genf;\nowes me, a coffee".to_owned(),
                ..Ours::default()
            },
        }
    }

    #[test]
    fn a_vcard_is_one_card_whatever_stands_in_it() {
        let card = vcard(&eve());
        assert_eq!(card.lines().filter(|line| *line == "BEGIN:VCARD").count(), 1);
        assert_eq!(card.matches("\r\nEND:VCARD\r\n").count(), 1);
        for line in [
            "VERSION:4.0",
            "UID;VALUE=text:eve\\;x@cloud.example.org:8443",
            "FN:Eve\\, \\\\ \"E\"\\nBEGIN:VCARD",
            "EMAIL:eve@mail.example",
            "NOTE:met in Genf\\;\\nowes me\\, a coffee",
        ] {
            assert!(card.contains(&format!("{line}\r\n")), "{line} in {card}");
        }
        assert!(!card.contains("NICKNAME"));
    }

    #[test]
    fn long_lines_are_folded_between_characters_and_come_back_whole() {
        let mut eve = eve();
        eve.ours.note = "é€𝄞,".repeat(60);
        let card = vcard(&eve);
        assert!(card.split("\r\n").all(|line| line.len() <= LINE_MAX), "{card}");
        let unfolded = card.replace("\r\n ", "");
        assert!(unfolded.contains(&"é€𝄞\\,".repeat(60)));
    }

    #[test]
    fn our_name_for_somebody_stands_before_theirs() {
        let mut eve = eve();
        eve.name = "Evelyn".to_owned();
        eve.ours.name = "Eve from Genf".to_owned();
        assert!(vcard(&eve).contains("FN:Eve from Genf\r\nNICKNAME:Evelyn\r\n"));
        let card = jscontact(&eve);
        assert_eq!(card["name"]["full"], "Eve from Genf");
        assert_eq!(card["nicknames"]["theirs"]["name"], "Evelyn");
    }

    #[test]
    fn a_jscontact_card_has_what_is_known_and_nothing_empty() {
        let mut eve = eve();
        (eve.email, eve.ours.note) = (String::new(), String::new());
        let card = jscontact(&eve);
        assert_eq!(card["@type"], "Card");
        assert_eq!(card["uid"], "eve;x@cloud.example.org:8443");
        assert_eq!(card["onlineServices"]["ocm"]["user"], "eve;x@cloud.example.org:8443");
        assert_eq!(card["created"], "2026-09-21T14:13:20Z");
        assert!(card.get("emails").is_none() && card.get("notes").is_none());
        let many = Format::JsContact.write(&[eve.clone(), eve]);
        assert!(many.starts_with('[') && many.ends_with(']'));
    }
}
