//! The style sheet, the script and the icon: compiled in, served under a name that changes with their content.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Path;
use aws_lc_rs::digest;

use crate::error::Error;
use crate::web::page::Answer;

const STYLE: &str = include_str!("../../static/app.css");
const SCRIPT: &str = include_str!("../../static/app.js");
const ICON: &str = include_str!("../../static/icon.svg");

static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path_of("css", STYLE));
static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| path_of("js", SCRIPT));

fn path_of(ending: &str, content: &str) -> String {
    let hash = digest::digest(&digest::SHA256, content.as_bytes());
    let short: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("/static/app.{short}.{ending}")
}

/// Where the style sheet is.
pub fn style_path() -> &'static str {
    &STYLE_PATH
}

/// Where the script is.
pub fn script_path() -> &'static str {
    &SCRIPT_PATH
}

pub async fn file(name: Path<String>) -> Answer {
    let asked = format!("/static/{name}");
    let (kind, content) = match asked.as_str() {
        "/static/icon.svg" => ("image/svg+xml", ICON),
        path if path == *STYLE_PATH => ("text/css; charset=utf-8", STYLE),
        path if path == *SCRIPT_PATH => ("text/javascript; charset=utf-8", SCRIPT),
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

    #[test]
    fn the_script_stays_small_and_keeps_and_fetches_nothing_of_its_own() {
        assert!(SCRIPT.len() <= 8 << 10, "{} bytes", SCRIPT.len());
        for forbidden in [
            "eval(",
            "innerHTML",
            "document.write",
            "import(",
            "http://",
            "https://",
            "localStorage",
        ] {
            assert!(!SCRIPT.contains(forbidden), "{forbidden}");
        }
    }
}
