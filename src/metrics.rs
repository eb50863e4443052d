//! What is counted, for Prometheus. It is the only place that names its library.

use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::error::Error;
use crate::error::Result;

/// The numbers of one server. Clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Counted>);

struct Counted {
    registry: Registry,
    acme_orders: Counter,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("ocm");
        let acme_orders = Counter::default();
        registry.register("acme_orders", "Certificates ordered", acme_orders.clone());
        Self(Arc::new(Counted { registry, acme_orders }))
    }

    /// A certificate was ordered, and had or not.
    pub fn acme_order(&self, _had: bool) {
        self.0.acme_orders.inc();
    }

    /// All numbers, as Prometheus reads them.
    ///
    /// # Errors
    ///
    /// None that is known; the library has one.
    pub fn text(&self) -> Result<String> {
        let mut text = String::new();
        text::encode(&mut text, &self.0.registry).map_err(Error::internal)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
