//! Prometheus metrics: handles made once, so that hot paths only add.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use holdfast_bus::topology;
use holdfast_domain::{CommandQueue, Event};
use holdfast_store::Committed;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::caller::Access;
use super::server::Front;
use super::{AppState, Routes};
use crate::config::REQUESTS_MAX;
use crate::instance::Instance;
use crate::monitor::Board;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: String,
}

/// Without the status: it would make eighteen buckets out of each of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: String,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: String,
}

/// Counts and times the requests of one route. Its handles are made once for each method and status; a hot path looks
/// them up in a handful.
pub struct RouteTimes {
    route: String,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    known: RwLock<Vec<Known>>,
}

struct Known {
    method: &'static str,
    status: StatusCode,
    count: Counter,
    seconds: Histogram,
}

impl RouteTimes {
    /// A request that was answered.
    pub fn add(&self, method: &Method, status: StatusCode, took: Duration) {
        let method = known_method(method);
        let found = |known: &Known| {
            let same = known.method == method && known.status == status;
            if same {
                known.count.inc();
                known.seconds.observe(took.as_secs_f64());
            }
            same
        };
        if self.known.read().unwrap_or_else(PoisonError::into_inner).iter().any(found) {
            return;
        }
        let labels = RequestLabels {
            method: method.to_owned(),
            route: self.route.clone(),
            status: status.as_str().to_owned(),
        };
        let count = self.requests.get_or_create(&labels).clone();
        let labels = RouteLabels { method: labels.method, route: labels.route };
        let seconds = self.seconds.get_or_create(&labels).clone();
        count.inc();
        seconds.observe(took.as_secs_f64());
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have been as quick: the same handles twice do no harm.
        known.push(Known { method, status, count, seconds });
    }
}

/// Clients can invent methods without end; labels must not grow with them.
fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    known.into_iter().find(|known| method.as_str() == *known).unwrap_or("other")
}

pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    no_route: RouteTimes,
    batch_commands: Histogram,
    batch_seconds: Histogram,
    accepted: Counter,
    rejected: Counter,
    queue_waiting: Family<QueueLabels, Gauge>,
    log_position: Gauge<i64>,
    read_model_position: Gauge<i64>,
    verified_position: Gauge<i64>,
    oversold: Gauge<i64>,
    audit_finding: Gauge<i64>,
    store_seconds: Gauge<f64, AtomicU64>,
}

fn route_times(
    path: &str,
    requests: &Family<RequestLabels, Counter>,
    seconds: &Family<RouteLabels, Histogram, fn() -> Histogram>,
) -> RouteTimes {
    let (requests, seconds) = (requests.clone(), seconds.clone());
    RouteTimes { route: path.to_owned(), requests, seconds, known: RwLock::default() }
}

fn seconds() -> Histogram {
    // 0.1 ms to about 13 s.
    Histogram::new(exponential_buckets(0.0001, 2.0, 18))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("holdfast");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What runs", build);
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let request_seconds: Family<RouteLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(seconds);
        registry.register("http_request_seconds", "Time to the answer's head", request_seconds.clone());
        let batch_commands = Histogram::new(exponential_buckets(1.0, 2.0, 11));
        registry.register("batch_commands", "Commands in one transaction", batch_commands.clone());
        let batch_seconds = seconds();
        registry.register("batch_seconds", "Time of one transaction", batch_seconds.clone());
        let orders = Family::<OutcomeLabels, Counter>::default();
        registry.register("orders_decided", "Orders decided by this process", orders.clone());
        let queue_waiting = Family::<QueueLabels, Gauge>::default();
        registry.register("queue_waiting", "Envelopes that wait for a worker", queue_waiting.clone());
        let log_position = Gauge::default();
        registry.register("log_position", "Where the log ends", log_position.clone());
        let read_model_position = Gauge::default();
        registry.register(
            "read_model_position",
            "What this gateway's reads show",
            read_model_position.clone(),
        );
        let verified_position = Gauge::default();
        registry.register(
            "verified_position",
            "How far the auditor has proven the log",
            verified_position.clone(),
        );
        let audit_finding = Gauge::default();
        registry.register(
            "audit_finding",
            "1: the auditor found the books wrong, see the health board; always 0",
            audit_finding.clone(),
        );
        let oversold = Gauge::default();
        registry.register("oversold", "Promises accepted beyond available: always 0", oversold.clone());
        let store_seconds = Gauge::<f64, AtomicU64>::default();
        registry.register(
            "store_seconds",
            "Time that the database last took to answer",
            store_seconds.clone(),
        );
        let counter =
            |outcome: &str| orders.get_or_create(&OutcomeLabels { outcome: outcome.to_owned() }).clone();
        let (accepted, rejected) = (counter("accepted"), counter("rejected"));
        let no_route = route_times("other", &requests, &request_seconds);
        Self {
            registry,
            requests,
            request_seconds,
            no_route,
            batch_commands,
            batch_seconds,
            accepted,
            rejected,
            queue_waiting,
            log_position,
            read_model_position,
            verified_position,
            oversold,
            audit_finding,
            store_seconds,
        }
    }

    /// A transaction of a worker.
    pub fn batch(&self, commands: usize, took: Duration) {
        self.batch_commands.observe(commands as f64);
        self.batch_seconds.observe(took.as_secs_f64());
    }

    /// What became of orders, by what is in the log.
    pub fn decided(&self, committed: &Committed) {
        let (mut accepted, mut rejected) = (0, 0);
        for recorded in committed.events.iter() {
            if matches!(recorded.event, Event::OrderAccepted { .. }) {
                accepted += 1;
            } else if matches!(recorded.event, Event::OrderRejected { .. }) {
                rejected += 1;
            }
        }
        self.accepted.inc_by(accepted);
        self.rejected.inc_by(rejected);
    }

    /// For the requests of one route.
    pub fn route(&self, path: &str) -> Arc<RouteTimes> {
        Arc::new(route_times(path, &self.requests, &self.request_seconds))
    }

    /// For requests that belong to no route.
    pub fn no_route(&self) -> &RouteTimes {
        &self.no_route
    }

    /// The text that Prometheus scrapes.
    pub fn text(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("writing into a string does not fail");
        out
    }

    /// Takes over what others measure, just before it is told.
    async fn refresh(&self, board: &Board, instance: &Instance) {
        let document = board.document().await;
        for queue in CommandQueue::ALL {
            let name = topology::queue_name(queue);
            let waiting = document["queues"]
                .as_array()
                .and_then(|queues| queues.iter().find(|queue| queue["name"] == name))
                .and_then(|queue| queue["ready"].as_i64());
            let labels = QueueLabels { queue: name.to_owned() };
            self.queue_waiting.get_or_create(&labels).set(waiting.unwrap_or_default());
        }
        let (head, model) = instance.positions().await;
        self.log_position.set(head.0 as i64);
        self.read_model_position.set(model.0 as i64);
        let audit = &document["audit"];
        let verified = audit["verified_position"].as_str().and_then(|text| text.parse().ok());
        self.verified_position.set(verified.unwrap_or_default());
        self.oversold.set(audit["oversold"].as_i64().unwrap_or_default());
        self.audit_finding.set(i64::from(audit["finding"].is_string()));
        self.store_seconds.set(instance.database_latency().unwrap_or_default().as_secs_f64());
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async fn answer(metrics: &Metrics, board: &Board, instance: &Instance) -> Response {
    metrics.refresh(board, instance).await;
    ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.text()).into_response()
}

async fn get_metrics(State(state): State<AppState>) -> Response {
    answer(&state.metrics, &state.board, &state.instance).await
}

pub fn routes(routes: Routes) -> Routes {
    routes.beside("/metrics", Access::Public, get_metrics)
}

/// `/metrics` and `/health` on an address of their own, for processes of any role.
pub fn observability(metrics: Arc<Metrics>, board: Arc<Board>, instance: Arc<Instance>) -> Front {
    let for_metrics = instance.clone();
    let counted = metrics.clone();
    let router = axum::Router::new()
        .route(
            "/metrics",
            get(move || {
                let (metrics, board, instance) = (metrics.clone(), board.clone(), for_metrics.clone());
                async move { answer(&metrics, &board, &instance).await }
            }),
        )
        .route("/health/live", get(|| async { super::health::live() }))
        .route(
            "/health/ready",
            get(move || {
                let instance = instance.clone();
                async move { super::health::readiness(&instance) }
            }),
        );
    Front::new(router, REQUESTS_MAX, counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_status_and_timed_by_route_whatever_methods_clients_invent() {
        let metrics = Metrics::new();
        let route = metrics.route("/v1/items");
        for (method, status) in [("GET", 200), ("GET", 200), ("GET", 404), ("BREW", 405), ("WHEN", 405)] {
            let method = Method::from_bytes(method.as_bytes()).expect("a token");
            let status = StatusCode::from_u16(status).expect("a status");
            route.add(&method, status, Duration::from_millis(3));
        }
        let text = metrics.text();
        for line in [
            "holdfast_http_requests_total{method=\"GET\",route=\"/v1/items\",status=\"200\"} 2",
            "holdfast_http_requests_total{method=\"GET\",route=\"/v1/items\",status=\"404\"} 1",
            "holdfast_http_requests_total{method=\"other\",route=\"/v1/items\",status=\"405\"} 2",
            "holdfast_http_request_seconds_count{method=\"GET\",route=\"/v1/items\"} 3",
            concat!("holdfast_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
    }
}
