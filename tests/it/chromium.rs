//! The pages in a real browser, without a person: what only a browser knows of them (T-68, T-71), and whether someone with
//! a mouse, or with keys alone, gets through. `tests/run` installs Chromium where it may.

mod flows;
mod keys;
mod pipe;
mod reading;
mod rubbish;
mod tab;

pub use tab::Look;
pub use tab::Tab;

/// One part of what Chromium's protocol says, as text; nothing where it is not there.
fn text<'a>(value: &'a serde_json::Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
}
