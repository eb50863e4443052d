//! What servers tell each other about shares later on (_OCM Notifications_): one table of types.

use serde_json::Value;
use serde_json::json;

use crate::ocm::Invalid;
use crate::ocm::json;
use crate::ocm::share::ProviderId;

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident $standing:ident $wire:literal $(or $old:literal)?;)*) => {
        /// What happened (NOT-6a).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum NotificationType {
            $($(#[$doc])* $name,)*
        }

        impl NotificationType {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The type's name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($wire $(| $old)? => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// How firmly the type is registered.
            pub fn standing(self) -> Standing {
                match self { $(Self::$name => Standing::$standing,)* }
            }
        }
    };
}

/// Whether a type of notification means the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Registered by the draft, with its effect.
    Active,
    /// In use between some servers; its effect is not the draft's business (NOT-6).
    Experimental,
}

types! {
    /// The Receiving Party took the share.
    ShareAccepted Active "SHARE_ACCEPTED";
    /// The Receiving Party refused the share, or left it later.
    ShareDeclined Active "SHARE_DECLINED";
    /// One side ended the share (NOT-3).
    ShareUnshared Active "SHARE_UNSHARED";
    RequestReshare Experimental "REQUEST_RESHARE";
    ReshareUndo Experimental "RESHARE_UNDO";
    /// Two names are in use (INC-20).
    ReshareChangePermission Experimental "RESHARE_CHANGE_PERMISSION" or "SHARE_CHANGE_PERMISSION";
    /// The `providerId` is that of a person, at the server that sent this (D06).
    UserRemoved Experimental "USER_REMOVED";
}

/// One notification. It doesn't say who sent it: that is up to its signature (NOT-4, INC-19).
#[derive(Clone, Debug, PartialEq)]
pub struct OcmNotification {
    pub kind: NotificationType,
    pub provider_id: ProviderId,
    /// Missing from servers that follow the draft's text; then it is that of the share (D05).
    pub resource_type: Option<String>,
    /// What belongs to the type; an object, where it is there.
    pub notification: Option<Value>,
}

/// Why a notification is not acted upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotificationRefusal {
    Invalid(Invalid),
    /// A type that we don't know, by its name.
    UnknownType(String),
}

impl From<Invalid> for NotificationRefusal {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl OcmNotification {
    /// Reads a notification; `providerId` may be a number, and `notification` anything where it is not an object.
    pub fn parse(body: &[u8]) -> Result<Self, NotificationRefusal> {
        let body = json::object(body)?;
        let name = json::required_text(&body, "notificationType", 64)?;
        let kind = NotificationType::from_name(&name).ok_or(NotificationRefusal::UnknownType(name))?;
        Ok(Self {
            kind,
            provider_id: ProviderId::read(&body)?,
            resource_type: json::text(&body, "resourceType", 64)?.filter(|name| !name.is_empty()),
            notification: body.get("notification").filter(|value| value.is_object()).cloned(),
        })
    }

    /// The message to send; `notification` is always there, since deployed servers fail without it.
    pub fn to_json(&self) -> Value {
        let mut body = json!({
            "notificationType": self.kind.as_str(),
            "providerId": self.provider_id,
            "notification": self.notification.clone().unwrap_or_else(|| json!({})),
        });
        if let Some(resource_type) = &self.resource_type {
            body["resourceType"] = json!(resource_type);
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &Value) -> Result<OcmNotification, NotificationRefusal> {
        OcmNotification::parse(body.to_string().as_bytes())
    }

    fn missing(body: &Value) -> String {
        match parse(body) {
            Err(NotificationRefusal::Invalid(invalid)) if invalid.missing() => invalid.field().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn not_6a_each_type_has_a_name_and_a_standing() {
        let active: Vec<_> = NotificationType::ALL
            .iter()
            .filter(|kind| kind.standing() == Standing::Active)
            .map(|kind| kind.as_str())
            .collect();
        assert_eq!(active, ["SHARE_ACCEPTED", "SHARE_DECLINED", "SHARE_UNSHARED"]);
        assert_eq!(NotificationType::ALL.len(), 7);
        for kind in NotificationType::ALL {
            assert_eq!(NotificationType::from_name(kind.as_str()), Some(*kind));
        }
        assert_eq!(
            NotificationType::from_name("SHARE_CHANGE_PERMISSION"),
            Some(NotificationType::ReshareChangePermission)
        );
        assert_eq!(NotificationType::from_name("share_accepted"), None);
    }

    #[test]
    fn not_1_what_we_send_is_what_we_read() {
        let own = OcmNotification {
            kind: NotificationType::ShareAccepted,
            provider_id: ProviderId::new("4711").unwrap(),
            resource_type: Some("file".to_owned()),
            notification: Some(json!({"sharedSecret": "s", "message": "Recipient accept the share"})),
        };
        assert_eq!(
            own.to_json(),
            json!({"notificationType": "SHARE_ACCEPTED", "providerId": "4711", "resourceType": "file",
                "notification": {"sharedSecret": "s", "message": "Recipient accept the share"}})
        );
        assert_eq!(parse(&own.to_json()), Ok(own.clone()));
        let bare = OcmNotification {
            notification: None,
            resource_type: None,
            ..own
        };
        assert_eq!(bare.to_json()["notification"], json!({}));
    }

    #[test]
    fn d05_notifications_of_deployed_servers_are_read() {
        for (body, id) in [
            (json!({"notificationType": "SHARE_UNSHARED", "providerId": 13}), "13"),
            (
                json!({"notificationType": "SHARE_UNSHARED", "providerId": "13", "notification": null}),
                "13",
            ),
            (
                json!({"notificationType": "SHARE_UNSHARED", "providerId": "a-b", "notification": "x"}),
                "a-b",
            ),
            (
                json!({"notificationType": "SHARE_UNSHARED", "providerId": "x", "resourceType": "", "extra": [1]}),
                "x",
            ),
        ] {
            let read = parse(&body).unwrap();
            assert_eq!((read.provider_id.as_str(), read.resource_type), (id, None));
            assert_eq!(read.notification, None);
        }
    }

    #[test]
    fn what_is_missing_wrong_or_unknown_is_told_apart() {
        assert_eq!(missing(&json!({"providerId": "1"})), "notificationType");
        assert_eq!(missing(&json!({"notificationType": "SHARE_ACCEPTED"})), "providerId");
        assert_eq!(
            missing(&json!({"notificationType": "SHARE_ACCEPTED", "providerId": ""})),
            "providerId"
        );
        assert_eq!(
            parse(&json!({"notificationType": "ROOM_MODIFIED", "providerId": "1"})),
            Err(NotificationRefusal::UnknownType("ROOM_MODIFIED".to_owned()))
        );
        for body in [
            json!({"notificationType": 7, "providerId": "1"}),
            json!({"notificationType": "SHARE_ACCEPTED", "providerId": 1.5}),
            json!({"notificationType": "SHARE_ACCEPTED", "providerId": "a\u{0}"}),
            json!({"notificationType": "SHARE_ACCEPTED", "providerId": "a".repeat(129)}),
            json!({"notificationType": "SHARE_ACCEPTED", "providerId": "1", "resourceType": []}),
        ] {
            assert!(matches!(parse(&body), Err(NotificationRefusal::Invalid(_))), "{body}");
        }
        assert!(OcmNotification::parse(b"SHARE_ACCEPTED").is_err());
    }
}
