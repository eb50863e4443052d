//! Mail to people elsewhere: what our users have this server send, handed to the operator's mail server.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use lettre::Address;
use lettre::AsyncSmtpTransport;
use lettre::AsyncTransport;
use lettre::Message;
use lettre::Tokio1Executor;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::Tls;
use lettre::transport::smtp::client::TlsParameters;
use lettre::transport::smtp::extension::ClientId;

use crate::config::Config;
use crate::config::Security;
use crate::config::SmtpUrl;
use crate::config::secret_file;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::random;
use crate::secret::Secret;

/// How long a mail server may take over one word, and over a whole mail: somebody waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(30);
/// The longest mail address (RFC 5321, section 4.5.3.1.3).
const MAX_ADDRESS: usize = 254;
/// How much is shown of what a mail server says, in characters.
const MAX_SAID: usize = 200;

/// The way to the operator's mail server, or that there is none.
#[derive(Clone)]
pub struct Mail(Option<Arc<Way>>);

struct Way {
    server: SmtpUrl,
    password: Option<Secret>,
    from: Mailbox,
    /// Our own name.
    host: String,
}

/// One mail address, and nothing else: no name, no list, no line break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient(Address);

impl Recipient {
    /// # Errors
    ///
    /// [`Reason::Invalid`] in the field `to`.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let strange = |c: char| c.is_control() || c.is_whitespace() || matches!(c, ',' | ';' | '<' | '>' | '"' | '%');
        if text.len() <= MAX_ADDRESS
            && !text.contains(strange)
            && let Ok(address) = text.parse::<Address>()
        {
            return Ok(Self(address));
        }
        Err(Error::invalid("to", "This is no mail address such as bob@example.org."))
    }

    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }
}

/// A mail of one of our users.
#[derive(Debug)]
pub struct Letter<'a> {
    pub to: &'a Recipient,
    /// Where answers go; not used where it is no mail address.
    pub reply_to: &'a str,
    pub subject: &'a str,
    pub body: &'a str,
}

impl Mail {
    /// # Errors
    ///
    /// [`Reason::ConfigInvalid`] for a password that can't be read.
    pub fn new(config: &Config) -> Result<Self> {
        let settings = &config.mail;
        let (Some(server), Some(from)) = (&settings.smtp_url, &settings.from) else {
            return Ok(Self(None));
        };
        let password = settings.password_file.as_deref();
        let password = password
            .map(|file| secret_file("mail.password_file", file))
            .transpose()?;
        Ok(Self(Some(Arc::new(Way {
            server: server.clone(),
            password,
            from: from.0.clone(),
            host: config.server.public_url.provider().host().to_owned(),
        }))))
    }

    /// Whether the operator has a mail server for us.
    pub fn can_send(&self) -> bool {
        self.0.is_some()
    }

    /// Hands a mail in; gives what the mail server said. Neither who it goes to nor what it says is ever logged.
    ///
    /// # Errors
    ///
    /// [`Reason::Unsupported`] without a mail server; [`Reason::MailFailed`] with what that said.
    pub async fn send(&self, letter: &Letter<'_>) -> Result<String> {
        let Some(way) = &self.0 else {
            return Err(Error::new(
                Reason::Unsupported,
                "This server sends no mail. Use your own mail program.",
            ));
        };
        let mail = way.write(letter)?;
        match tokio::time::timeout(WHOLE, way.transport()?.send(mail)).await {
            Ok(Ok(said)) => {
                let lines: Vec<_> = said.message().collect();
                Ok(shown(&format!("{} {}", said.code(), lines.join(" "))))
            }
            Ok(Err(error)) => Err(refused(&error, letter.to)),
            Err(_) => Err(Error::new(
                Reason::MailFailed,
                "The mail server takes too long. Try again later.",
            )),
        }
    }
}

impl Way {
    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>> {
        let SmtpUrl {
            host,
            port,
            user,
            security,
        } = &self.server;
        let encrypted = || TlsParameters::new(host.clone()).map_err(Error::internal);
        let tls = match security {
            Security::Tls => Tls::Wrapper(encrypted()?),
            Security::StartTls => Tls::Required(encrypted()?),
            Security::Loopback => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(*port)
            .tls(tls)
            .timeout(Some(PATIENCE))
            .hello_name(ClientId::Domain(self.host.clone()));
        if let (Some(user), Some(password)) = (user, &self.password) {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        Ok(builder.build())
    }

    fn write(&self, letter: &Letter<'_>) -> Result<Message> {
        let mut mail = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, letter.to.0.clone()))
            .subject(one_line(letter.subject))
            .message_id(Some(format!("<{}@{}>", random::number(), self.host)))
            .header(ContentType::TEXT_PLAIN);
        if let Ok(reply_to) = Recipient::parse(letter.reply_to) {
            mail = mail.reply_to(Mailbox::new(None, reply_to.0));
        }
        mail.body(letter.body.to_owned()).map_err(Error::internal)
    }
}

/// A header is one line, whatever a name in it holds.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn shown(said: &str) -> String {
    one_line(said).chars().take(MAX_SAID).collect()
}

/// What a mail server says may name whom the mail is for, which is no matter for the log.
fn refused(error: &lettre::transport::smtp::Error, to: &Recipient) -> Error {
    let Some(code) = error.status() else {
        let why = if error.is_tls() {
            "The way to the mail server is not safe: its certificate is not to be trusted. Tell an admin."
        } else if error.is_client() {
            "The mail server can’t do what is needed. Tell an admin."
        } else {
            "The mail server does not answer. Try again later."
        };
        return Error::new(Reason::MailFailed, why).caused_by(error.to_string());
    };
    let said = error.source().map(ToString::to_string).unwrap_or_default();
    let said = shown(&format!("{code} {}", said.replace(to.as_str(), "…")));
    let message = if error.is_permanent() {
        format!("The mail server will not take it. It said: {said}")
    } else {
        format!("The mail server can’t take it now; try again later. It said: {said}")
    };
    Error::new(Reason::MailFailed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_is_one_address_and_nothing_besides() {
        for good in ["bob@example.org", " bob.b+x@mail.example.org "] {
            assert_eq!(Recipient::parse(good).unwrap().as_str(), good.trim());
        }
        for bad in [
            "",
            "bob",
            "bob@",
            "Bob <bob@example.org>",
            "bob@example.org,eve@example.org",
            "bob@example.org eve@example.org",
            "bob@example.org\r\nBcc: eve@example.org",
            "bob@example.org\nRCPT TO:<eve@example.org>",
            "\"bob\r\n\"@example.org",
            "bob%eve.example@example.org",
        ] {
            assert_eq!(Recipient::parse(bad).unwrap_err().field(), Some("to"), "{bad:?}");
        }
        assert!(Recipient::parse(&format!("{}@example.org", "x".repeat(300))).is_err());
    }

    #[test]
    fn t70_nothing_that_is_filled_in_becomes_a_header_of_its_own() {
        let way = Way {
            server: SmtpUrl::parse("smtp://127.0.0.1").unwrap(),
            password: None,
            from: "Lab <ocm@example.org>".parse().unwrap(),
            host: "a.example".to_owned(),
        };
        let letter = Letter {
            to: &Recipient::parse("bob@example.org").unwrap(),
            reply_to: "ada@example.org\r\nBcc: eve@example.org",
            subject: "Ada\r\nBcc: eve@example.org\r\n\r\nBuy this",
            body: "one\r\n.\r\nRCPT TO:<eve@example.org>\r\n",
        };
        let mail = String::from_utf8(way.write(&letter).unwrap().formatted()).unwrap();
        let (head, _) = mail.split_once("\r\n\r\n").unwrap();
        for line in head.lines() {
            let name = line.split(':').next().unwrap().to_lowercase();
            assert!(
                line.starts_with(' ')
                    || [
                        "from",
                        "to",
                        "subject",
                        "message-id",
                        "date",
                        "content-type",
                        "mime-version"
                    ]
                    .contains(&name.as_str())
                    || name == "content-transfer-encoding",
                "{line}"
            );
        }
    }
}
