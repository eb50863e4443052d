//! The style sheet and the icon: compiled in, served under a name that changes with their content.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Path;
use aws_lc_rs::digest;

use crate::error::Error;
use crate::web::page::Answer;

const STYLE: &str = include_str!("../../static/app.css");
const ICON: &str = include_str!("../../static/icon.svg");

static STYLE_PATH: LazyLock<String> = LazyLock::new(|| {
    let hash = digest::digest(&digest::SHA256, STYLE.as_bytes());
    let short: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("/static/app.{short}.css")
});

/// Where the style sheet is.
pub fn style_path() -> &'static str {
    &STYLE_PATH
}

pub async fn file(name: Path<String>) -> Answer {
    let (kind, content) = match name.as_str() {
        "icon.svg" => ("image/svg+xml", ICON),
        name if STYLE_PATH.ends_with(&format!("/{name}")) => ("text/css; charset=utf-8", STYLE),
        _ => return Err(Error::not_found("There is no such file.").into()),
    };
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_sheet_stays_small_and_asks_for_nothing_from_elsewhere() {
        assert!(STYLE.len() <= 16 << 10, "{} bytes", STYLE.len());
        for forbidden in ["@import", "url(http", "url(//", "expression("] {
            assert!(!STYLE.contains(forbidden), "{forbidden}");
        }
    }
}
