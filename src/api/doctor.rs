//! Whether all is well, and the file for those who are asked for help, as programs get them.

use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;
use serde_json::json;

use crate::client::ByteStream;
use crate::doctor;
use crate::doctor::Report;
use crate::doctor::bundle;
use crate::error::Result;
use crate::site::Site;

pub async fn check_up(site: &Site) -> Result<Value> {
    Ok(report(&*doctor::check_up(site).await?))
}

/// A report as commands show it.
pub fn report(report: &Report) -> Value {
    json!({
        "verdict": report.verdict().as_str(),
        "at": report.at.to_string(),
        "findings": report.findings,
    })
}

pub async fn support_bundle(site: &Site) -> Result<ByteStream> {
    let zip = Bytes::from(bundle::make(site).await?);
    Ok(Box::pin(stream::iter([Ok(zip)])))
}
