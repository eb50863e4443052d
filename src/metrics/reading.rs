//! What is not counted as it happens but read when somebody asks: how much there is of something, and since when.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use crate::clock::Timestamp;

type Labels = Vec<(&'static str, String)>;

/// One thing that was read: its name without the prefix, and its values by their labels. It may have none.
#[derive(Clone, Debug)]
pub struct Reading {
    name: &'static str,
    help: &'static str,
    values: Vec<(Labels, f64)>,
}

impl Reading {
    pub fn new(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            values: Vec::new(),
        }
    }

    /// The one value of something without labels.
    #[must_use]
    pub fn value(mut self, value: f64) -> Self {
        self.values.push((Labels::new(), value));
        self
    }

    /// A moment in seconds since 1970, where there was one.
    #[must_use]
    pub fn moment(self, moment: Option<Timestamp>) -> Self {
        match moment {
            Some(moment) => self.value(moment.0 as f64),
            None => self,
        }
    }

    /// A value among others. Labels are words of ours or of the operator's settings.
    #[must_use]
    pub fn with(mut self, labels: &[(&'static str, &str)], value: f64) -> Self {
        let labels = labels.iter().map(|(name, text)| (*name, (*text).to_owned()));
        self.values.push((labels.collect(), value));
        self
    }
}

/// How full something is that lives in memory, and how full it may be (T-85).
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    pub what: &'static str,
    pub entries: u64,
    pub cap: u64,
}

impl Fill {
    pub fn new(what: &'static str, entries: usize, cap: usize) -> Self {
        Self {
            what,
            entries: entries as u64,
            cap: cap as u64,
        }
    }

    /// Of a cache that counts for itself, which may lag behind a little.
    pub fn of_cache(what: &'static str, entries: u64, cap: u64) -> Self {
        Self { what, entries, cap }
    }
}

/// What was read last. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Readings(Arc<Mutex<Vec<Reading>>>);

impl Readings {
    pub(super) fn are_empty(&self) -> bool {
        self.all().is_empty()
    }

    pub(super) fn replace(&self, readings: Vec<Reading>) {
        *self.all() = readings;
    }

    fn all(&self) -> MutexGuard<'_, Vec<Reading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readings(...)")
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for reading in self.all().iter() {
            let mut metric = encoder.encode_descriptor(reading.name, reading.help, None, MetricType::Gauge)?;
            for (labels, value) in &reading.values {
                if labels.is_empty() {
                    metric.encode_gauge(value)?;
                } else {
                    metric.encode_family(labels)?.encode_gauge(value)?;
                }
            }
        }
        Ok(())
    }
}
