//! The pages, driven as a browser without scripts would: forms, links, one cookie.

mod accepting;
mod account;
mod admins;
mod audit;
pub mod browser;
mod contacts;
mod contrast;
mod files;
mod help;
mod hooks;
pub mod html;
mod invitations;
mod meeting;
pub mod pages;
mod people;
mod sentences;
mod settings;
mod shares;
mod signing_in;
mod stalled;
mod trust;
mod wayf;

pub use browser::Browser;
use browser::Seen;
pub use pages::furnished;

/// The routes of the pages as `src/web/mod.rs` has them: method, path.
fn routes(method: &str) -> Vec<String> {
    let ending = format!("{method}().to(");
    include_str!("../../src/web/mod.rs")
        .lines()
        .filter(|line| line.contains(".route(") && line.contains(&ending))
        .map(|line| match line.split('"').nth(1) {
            Some(path) => path.to_owned(),
            None => ocmesh::http::INVITE_ACCEPT_DIALOG.to_owned(),
        })
        .collect()
}

/// A path of a route with something in each of its blanks.
fn example(route: &str) -> String {
    route
        .replace(r"{id:\d+}", "1")
        .replace("{path:(/.*)?}", "/")
        .replace("{address}", "x%40y.example")
        .replace("{host}", "x.example")
        .replace("{verb}", "accept")
        .replace("{upload}", "x")
        .replace("{name}", "ada")
        .replace("{file}", "icon.svg")
}

/// A file is handed out as something to keep, never as a page (T-64).
fn check_download(seen: &Seen, name: &str) {
    assert_eq!(seen.header("content-type"), "application/octet-stream");
    assert!(seen.header("content-disposition").starts_with("attachment;"));
    assert!(
        seen.header("content-disposition").ends_with(name),
        "{}",
        seen.header("content-disposition")
    );
    assert!(seen.header("content-security-policy").contains("sandbox"));
    assert_eq!(seen.header("x-content-type-options"), "nosniff");
}
