//! Where numbers about this server are read.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    pub listen: OwnListener,
    pub token_file: Option<PathBuf>,
}

/// An address, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnListener(pub Option<SocketAddr>);

impl fmt::Display for OwnListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl<'de> Deserialize<'de> for OwnListener {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "off" {
            return Ok(Self(None));
        }
        let address = text.parse().map_err(|_| {
            D::Error::custom(format!(
                "{text:?} is no address to listen on, such as 127.0.0.1:9464, and not \"off\""
            ))
        })?;
        Ok(Self(Some(address)))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            listen: OwnListener(Some(SocketAddr::from(([127, 0, 0, 1], 9464)))),
            token_file: None,
        }
    }
}
