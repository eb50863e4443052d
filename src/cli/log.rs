//! What this program writes about itself, and what it never does, whatever level is asked for.
//!
//! Our own lines hold no secret at any level (T-44). Libraries don't promise that: at their lowest levels they write
//! whole headers, bodies and mail dialogues. So they are cut off above those, where no setting reaches.

use std::io::IsTerminal;
use std::panic;

use tracing::Metadata;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::Registry;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Config;
use crate::config::LogFormat;
use crate::logbook;

/// The target of our own lines.
const OWN: &str = "ocmesh";

/// Libraries that say too much also where they say what would usually be worth it: every start of a listener, every
/// client that goes away.
const QUIETER: [(&str, LevelFilter); 3] = [
    ("actix_server", LevelFilter::WARN),
    ("rustls::msgs", LevelFilter::ERROR),
    ("actix_http::h1::dispatcher", LevelFilter::OFF),
];

/// Begins to write to stderr; commands only say what is wrong, the server also what it does.
pub fn start(config: &Config, served: bool) {
    let level = if served { config.log.level.as_str() } else { "error" };
    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| level.to_owned());
    let text = match config.log.format {
        LogFormat::Auto => std::io::stderr().is_terminal() || !served,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    // Set already where a test runs several commands in one process.
    let _ = subscriber(&wanted, text, std::io::stderr)
        .with(logbook::layer())
        .try_init();
    if served {
        keep_panics_short();
    }
}

/// What takes the lines of this program at the levels that `wanted` says, as far as any setting may say it.
pub fn subscriber<W>(wanted: &str, text: bool, writer: W) -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(wanted).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines: Box<dyn Layer<_> + Send + Sync> = if text {
        lines.with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).with_span_list(false).boxed()
    };
    Registry::default().with(lines).with(filter).with(Cap)
}

/// A panic is told by its place: what it says may hold anything.
pub fn keep_panics_short() {
    panic::set_hook(Box::new(|panicked| {
        let at = panicked.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at, "A panic at {at}");
    }));
}

/// Lets nothing through that a library says below the level `info`.
struct Cap;

impl Cap {
    fn lets_through(about: &Metadata<'_>) -> bool {
        let target = about.target();
        let within = |library: &str| target == library || target.starts_with(&format!("{library}::"));
        if within(OWN) {
            return true;
        }
        let quieter = QUIETER.iter().find(|(library, _)| within(library));
        *about.level() <= quieter.map_or(LevelFilter::INFO, |(_, level)| *level)
    }
}

impl<S: Subscriber> Layer<S> for Cap {
    fn register_callsite(&self, about: &'static Metadata<'static>) -> Interest {
        match Self::lets_through(about) {
            true => Interest::always(),
            // What comes by way of the `log` crate has one callsite for each level, and its target only as it comes.
            false if about.target() == "log" => Interest::sometimes(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, about: &Metadata<'_>, _: Context<'_, S>) -> bool {
        Self::lets_through(about)
    }
}
