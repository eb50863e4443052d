//! Telling a program over HTTP: one signed POST, whose answer is a status and nothing more (docs/webhooks.md).

use std::time::Duration;

use aws_lc_rs::hmac;
use serde::Serialize;
use url::Url;

use crate::client::Client;
use crate::client::Outbound;
use crate::config::AdminTopic;
use crate::config::Config;
use crate::config::secret_file;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::secret::Secret;

/// How long a program may take to say that it has it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A place that is told.
pub struct Hook {
    pub url: Url,
    /// The same, as it is kept.
    pub name: String,
    pub on: Vec<AdminTopic>,
    secret: Secret,
}

/// What a program is told.
#[derive(Debug, Serialize)]
pub struct Message<'a> {
    /// The same in every try, and at every place that is told of one thing.
    pub id: &'a str,
    pub at: String,
    /// When this try was made: also in the header, and here part of what is signed.
    pub sent: String,
    pub topic: &'a str,
    pub about: &'a str,
    pub text: String,
    pub url: String,
    pub server: String,
}

/// `sha256=` and the HMAC-SHA-256 of a body in hexadecimal.
pub fn signature(secret: &Secret, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let tag = hmac::sign(&key, body);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

impl Hook {
    /// The places in the settings, with their secrets.
    ///
    /// # Errors
    ///
    /// [`Reason::ConfigInvalid`] naming the file that a secret can't be read from.
    pub fn all(config: &Config) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for (at, webhook) in config.notify.webhook.iter().enumerate() {
            let setting = format!("notify.webhook[{}].secret_file", at + 1);
            let secret = secret_file(&setting, &webhook.secret_file)?;
            let on = match webhook.on.is_empty() {
                true => config.notify.admin_on.clone(),
                false => webhook.on.clone(),
            };
            all.push(Self {
                url: webhook.url.url().clone(),
                name: webhook.url.to_string(),
                on,
                secret,
            });
        }
        Ok(all)
    }

    /// Tells it. Nothing of the answer is read but its status, and no redirect is followed (T-03, T-08); the address is
    /// looked at like that of any server (T-01).
    ///
    /// # Errors
    ///
    /// Why nobody took it: worth another try.
    pub async fn send(&self, client: &Client, message: &Message<'_>) -> Result<u16> {
        let body = serde_json::to_vec(message).map_err(Error::internal)?;
        let signature = signature(&self.secret, &body);
        let request = Outbound::post(self.url.clone(), "application/json", body)
            .header("x-ocm-id", message.id)
            .header("x-ocm-timestamp", message.sent.clone())
            .header("x-ocm-signature", signature);
        let host = self.url.host_str().unwrap_or_default();
        let answer = tokio::time::timeout(PATIENCE, client.open(request))
            .await
            .map_err(|_| Error::new(Reason::NoAnswer, format!("{host} does not answer.")))??
            .answer;
        match answer.status {
            status @ 200..=299 => Ok(status),
            status @ 300..=399 => Err(Error::new(
                Reason::PeerBadAnswer,
                format!("{host} redirects to another place ({status}); that is not followed."),
            )),
            status => Err(Error::new(
                Reason::PeerBadAnswer,
                format!("{host} did not take the notice; it answered {status}."),
            )
            .retry_after(answer.retry_after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of docs/webhooks.md.
    const DOCUMENT: &str = include_str!("../../docs/webhooks.md");

    fn block(kind: &str) -> &'static str {
        let start = format!("```{kind}\n");
        let (_, rest) = DOCUMENT.split_once(&start).expect("the document has this block");
        rest.split_once("\n```").expect("the block has an end").0
    }

    #[test]
    fn the_example_of_the_document_is_signed_as_it_says() {
        let body = block("json");
        let headers = block("http");
        let secret = Secret::new("correct horse battery staple");
        assert!(DOCUMENT.contains(secret.expose()));
        let said = signature(&secret, body.as_bytes());
        assert!(headers.contains(&format!("X-OCM-Signature: {said}")), "{said}");
        let message: serde_json::Value = serde_json::from_str(body).expect("JSON");
        for (header, field) in [("X-OCM-Id", "id"), ("X-OCM-Timestamp", "sent")] {
            let value = message[field].as_str().expect("a text");
            assert!(headers.contains(&format!("{header}: {value}")), "{header}");
        }
        let ours = Message {
            id: message["id"].as_str().expect("an id"),
            at: message["at"].as_str().expect("a time").to_owned(),
            sent: message["sent"].as_str().expect("a time").to_owned(),
            topic: "peer-down",
            about: message["about"].as_str().expect("a server"),
            text: message["text"].as_str().expect("a text").to_owned(),
            url: message["url"].as_str().expect("a page").to_owned(),
            server: message["server"].as_str().expect("a server").to_owned(),
        };
        assert_eq!(serde_json::to_string(&ours).expect("JSON"), body);
    }

    #[test]
    fn a_signature_is_what_other_programs_make_of_it() {
        // RFC 4231, test case 2.
        let said = signature(&Secret::new("Jefe"), b"what do ya want for nothing?");
        assert_eq!(
            said,
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_ne!(said, signature(&Secret::new("jefe"), b"what do ya want for nothing?"));
    }
}
