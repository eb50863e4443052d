//! What is counted, for Prometheus. It is the only place that names its library.
//!
//! No number is kept by user, path, server or token: whoever reads them learns how much this server does, not for whom,
//! and nobody from outside can make their list grow.

mod reading;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;

pub use self::reading::Fill;
pub use self::reading::Reading;
use self::reading::Readings;

/// How [`Metrics::text`] is written down.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a request that nothing here is meant for is counted as.
pub const OTHER: &str = "other";

/// Seconds: from a page out of memory to a peer that takes as long as it may.
const DURATIONS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
/// How much longer what was read by walking the store stays as it is than the walk took, and how long at least: a walk
/// costs at most one part in a hundred of one processor, however often somebody looks and however much is kept.
const REST: u32 = 100;
const REST_AT_LEAST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(600);

type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;

/// The numbers of one server. Clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Counted>);

struct Counted {
    registry: Registry,
    requests: Counters<3>,
    durations: Histogram,
    peer_requests: Counters<3>,
    verifications: Counters<1>,
    invites: Counters<1>,
    webdav_bytes: Counters<2>,
    token_exchanges: Counters<1>,
    acme_orders: Counters<1>,
    panics: Counter,
    readings: Readings,
    /// From when on the readings are too old.
    stale: Mutex<Timestamp>,
    /// Held by the one who reads anew; the others answer with what there is.
    turn: tokio::sync::Mutex<()>,
}

/// Which way bytes go, as seen from this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    In,
    Out,
}

impl Flow {
    fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// Which server of a share this one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The Sending Server: the files are here.
    Sender,
    /// The Receiving Server: the files are there.
    Receiver,
}

impl Side {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Receiver => "receiver",
        }
    }
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("ocm");
        let durations = Histogram::new(DURATIONS);
        registry.register(
            "http_request_duration_seconds",
            "Time that requests took until their answer began",
            durations.clone(),
        );
        let panics = Counter::default();
        registry.register("panics", "Requests that met a fault of this program", panics.clone());
        let readings = Readings::default();
        registry.register_collector(Box::new(readings.clone()));
        let counted = Counted {
            requests: counters(&mut registry, "http_requests", "Requests answered"),
            peer_requests: counters(
                &mut registry,
                "peer_requests",
                "Requests of known servers (in), and to them (out)",
            ),
            verifications: counters(&mut registry, "signature_verifications", "Signatures looked at"),
            invites: counters(&mut registry, "invites", "What was done with invites"),
            webdav_bytes: counters(
                &mut registry,
                "webdav_bytes",
                "Bytes of shared files read and written across servers",
            ),
            token_exchanges: counters(&mut registry, "token_exchanges", "Secrets exchanged for tokens here"),
            acme_orders: counters(&mut registry, "acme_orders", "Certificates ordered"),
            durations,
            panics,
            readings,
            stale: Mutex::new(Timestamp(i64::MIN)),
            turn: tokio::sync::Mutex::default(),
            registry,
        };
        // What is alerted on must be there before it happens for the first time: a rate of nothing is no rate.
        for outcome in ["ok", "failed"] {
            let _ = counted.acme_orders.get_or_create(&[("outcome", outcome.into())]);
        }
        Self(Arc::new(counted))
    }

    /// A request was answered. `route` is a pattern of ours, never the path that was asked for.
    pub fn request(&self, route: String, method: &'static str, code: u16, took: Duration) {
        let labels = [
            ("route", Cow::Owned(route)),
            ("method", Cow::Borrowed(method)),
            ("code", Cow::Owned(code.to_string())),
        ];
        self.0.requests.get_or_create(&labels).inc();
        self.0.durations.observe(took.as_secs_f64());
    }

    /// A known server asked something of us ([`Flow::In`]), or we of it; `kind` and `outcome` are words of ours.
    pub fn peer_request(&self, flow: Flow, kind: &'static str, outcome: &'static str) {
        let labels = [
            ("direction", flow.as_str().into()),
            ("kind", kind.into()),
            ("outcome", outcome.into()),
        ];
        self.0.peer_requests.get_or_create(&labels).inc();
    }

    /// A signature was looked at: `valid`, or the code of what is wrong with it.
    pub fn verification<T>(&self, outcome: &Result<T>) {
        let outcome = outcome.as_ref().map_or_else(|error| error.reason().code(), |_| "valid");
        self.0.verifications.get_or_create(&[("outcome", outcome.into())]).inc();
    }

    /// Something was done with an invite, in the word of the audit log.
    pub fn invite(&self, event: &'static str) {
        self.0.invites.get_or_create(&[("event", event.into())]).inc();
    }

    /// Bytes of a shared file passed.
    pub fn webdav_bytes(&self, flow: Flow, side: Side, bytes: usize) {
        let labels = [("direction", flow.as_str().into()), ("side", side.as_str().into())];
        self.0.webdav_bytes.get_or_create(&labels).inc_by(bytes as u64);
    }

    /// Another server asked for a token.
    pub fn token_exchange<T>(&self, outcome: &Result<T>) {
        let outcome = outcome.as_ref().map_or_else(|error| error.reason().code(), |_| "ok");
        self.0
            .token_exchanges
            .get_or_create(&[("outcome", outcome.into())])
            .inc();
    }

    /// A certificate was ordered, and had or not.
    pub fn acme_order(&self, had: bool) {
        let outcome = if had { "ok" } else { "failed" };
        self.0.acme_orders.get_or_create(&[("outcome", outcome.into())]).inc();
    }

    /// A request met a fault of this program (T-89).
    pub fn panic(&self) {
        self.0.panics.inc();
    }

    /// All numbers, as Prometheus reads them. What is read rather than counted is read by `read`, if nobody did so
    /// lately; whoever comes while it is being read gets what was read before.
    ///
    /// # Errors
    ///
    /// As `read`.
    pub async fn text(&self, now: Timestamp, read: impl AsyncFnOnce() -> Result<Vec<Reading>>) -> Result<String> {
        self.refresh(now, read).await?;
        let mut text = String::new();
        text::encode(&mut text, &self.0.registry).map_err(Error::internal)?;
        Ok(text)
    }

    async fn refresh(&self, now: Timestamp, read: impl AsyncFnOnce() -> Result<Vec<Reading>>) -> Result<()> {
        // The first to come has nothing to go by, and waits.
        let _turn = match self.0.readings.are_empty() {
            true => self.0.turn.lock().await,
            false => match self.0.turn.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(()),
            },
        };
        let stale = *self.0.stale.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not keep old numbers for ever.
        let fresh = now < stale && stale < now.plus(LONGEST_REST);
        if fresh && !self.0.readings.are_empty() {
            return Ok(());
        }
        let begun = std::time::Instant::now();
        let readings = read().await?;
        let rest = (begun.elapsed() * REST).clamp(REST_AT_LEAST, LONGEST_REST);
        self.0.readings.replace(readings);
        *self.0.stale.lock().unwrap_or_else(PoisonError::into_inner) = now.plus(rest);
        Ok(())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn counters<const N: usize>(registry: &mut Registry, name: &str, help: &str) -> Counters<N> {
    let counters = Counters::default();
    registry.register(name, help, counters.clone());
    counters
}

/// The method, if it is one; anybody can make up others, and each would be a number of its own.
pub fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 15] = [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "OPTIONS",
        "PATCH",
        "PROPFIND",
        "PROPPATCH",
        "MKCOL",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
        "REPORT",
    ];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000);

    fn reading(value: f64) -> Vec<Reading> {
        vec![Reading::new("contents", "What is in it").value(value)]
    }

    async fn text(metrics: &Metrics, now: Timestamp, value: f64) -> String {
        metrics.text(now, async || Ok(reading(value))).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_read_is_read_again_only_after_a_rest() {
        let metrics = Metrics::new();
        assert!(text(&metrics, NOW, 1.0).await.contains("\nocm_contents 1"));
        assert!(
            text(&metrics, NOW.plus(Duration::from_secs(4)), 2.0)
                .await
                .contains("\nocm_contents 1")
        );
        assert!(
            text(&metrics, NOW.plus(Duration::from_secs(5)), 3.0)
                .await
                .contains("\nocm_contents 3")
        );
        let back = NOW.minus(Duration::from_secs(86_400));
        assert!(
            text(&metrics, back, 4.0).await.contains("\nocm_contents 4"),
            "a clock set back"
        );
    }

    #[tokio::test]
    async fn a_walk_that_takes_long_is_followed_by_a_longer_rest() {
        let metrics = Metrics::new();
        let slow = async || {
            std::thread::sleep(Duration::from_millis(200));
            Ok(reading(1.0))
        };
        metrics.text(NOW, slow).await.unwrap();
        assert!(
            text(&metrics, NOW.plus(Duration::from_secs(19)), 2.0)
                .await
                .contains("\nocm_contents 1")
        );
    }

    #[tokio::test]
    async fn methods_that_somebody_made_up_are_one_number() {
        let metrics = Metrics::new();
        for method in ["GET", "get", "BREW", "X-1", "X-2"] {
            metrics.request("/x".to_owned(), known_method(method), 200, Duration::ZERO);
        }
        let text = text(&metrics, NOW, 0.0).await;
        let counted =
            |method: &str| format!("ocm_http_requests_total{{route=\"/x\",method=\"{method}\",code=\"200\"}}");
        assert!(text.contains(&format!("{} 1", counted("GET"))), "{text}");
        assert!(text.contains(&format!("{} 4", counted("other"))), "{text}");
    }
}
