//! All tests that need a server, in one binary. The list is the table of contents.

mod harness;

mod architecture;
mod code_flow;
mod command_line;
mod discovery;
mod invite_flow;
mod legacy_access;
mod notifications;
mod outbound;
mod outbox;
mod resource_access;
mod settings;
mod share_creation;
mod signatures;
mod trust;
mod web;
