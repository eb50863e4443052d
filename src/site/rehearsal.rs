//! What a start would refuse of the files that settings name, found without one.

use crate::client;
use crate::config::Config;
use crate::directories;
use crate::error::Error;
use crate::error::Result;
use crate::mail::Mail;
use crate::notify;
use crate::tls;

/// Reads every file as a start would. No data is opened, and nothing is kept; a server may run meanwhile.
pub fn refused(config: &Config) -> Vec<Error> {
    let checks = [
        tls::check(config),
        client::tls_config(config).map(drop),
        Mail::new(config).map(drop),
        notify::check(config),
        directories::check(config),
        super::numbers_token(config).map(drop),
    ];
    checks.into_iter().filter_map(Result::err).collect()
}
