//! The last lines of the log, kept in memory for who asks for help: what a log elsewhere has may be gone, or out of reach.

use std::collections::VecDeque;
use std::io;
use std::io::Write;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tracing::Level;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::registry::LookupSpan;

/// How many lines are kept, and how much of each.
const LINES: usize = 1_000;
const LONGEST: usize = 2_000;

/// A process has one log, whatever runs in it.
static BOOK: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// What keeps the lines from the level `info` on, to be put into the subscriber of this process.
pub fn layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // The level is that of the writer: a filter of its own is more than every subscriber can bear.
    fmt::layer()
        .with_ansi(false)
        .with_writer((|| Pen).with_max_level(Level::INFO))
}

/// The lines there are, the oldest first.
pub fn lines() -> Vec<String> {
    book().iter().cloned().collect()
}

/// The last of them, so many at most.
pub fn last(number: usize) -> Vec<String> {
    let book = book();
    let skipped = book.len().saturating_sub(number);
    book.iter().skip(skipped).cloned().collect()
}

fn book() -> MutexGuard<'static, VecDeque<String>> {
    BOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Pen;

impl Write for Pen {
    /// An event comes in one piece.
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let line: String = String::from_utf8_lossy(text).trim_end().chars().take(LONGEST).collect();
        let mut book = book();
        while book.len() >= LINES {
            book.pop_front();
        }
        book.push_back(line);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn the_last_lines_are_kept_from_info_on_and_no_more_than_there_is_room_for() {
        let log = tracing_subscriber::registry().with(layer());
        tracing::subscriber::with_default(log, || {
            tracing::debug!("too quiet");
            for number in 0..LINES {
                tracing::info!(number, "A line");
            }
            tracing::warn!(long = "x".repeat(2 * LONGEST), "The last line");
        });
        let kept = lines();
        assert_eq!(kept.len(), LINES);
        assert!(kept[0].contains("A line number=1"), "{}", kept[0]);
        let last = kept.last().unwrap();
        assert!(last.contains("WARN") && last.contains("The last line"), "{last}");
        assert_eq!(last.len(), LONGEST);
        assert_eq!(super::last(2), kept[LINES - 2..]);
        assert_eq!(super::last(LINES + 1), kept);
        assert!(!kept.iter().any(|line| line.contains("too quiet")));
    }
}
