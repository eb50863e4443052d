//! All tests that need a server, in one binary. The list is the table of contents.

mod harness;

mod architecture;
mod chromium;
mod code_flow;
mod command_line;
mod description;
mod dialects;
mod directories;
mod discovery;
mod handshake;
mod invite_flow;
mod key_rotation;
mod legacy_access;
mod lookups;
mod notifications;
mod outbound;
mod outbox;
mod outside;
mod packages;
mod probe;
mod recipes;
mod resource_access;
mod rules;
mod settings;
mod share_creation;
mod share_requests;
mod signatures;
mod slow_clients;
mod trust;
mod web;
