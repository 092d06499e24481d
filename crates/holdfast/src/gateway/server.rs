//! The HTTP/1.1 server around the routes: bounds on connections, headers, bodies and time; panics and unknown paths
//! become problems; every answer carries the headers that browsers should have.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Extensions, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, StreamExt};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower_service::Service;

use super::AppState;
use super::alarm::{Alarm, HeadTimer};
use super::metrics::{Metrics, RouteTimes};
use super::problem::Problem;
use super::request::BODY_BYTES_MAX;
use crate::config::CONNECTIONS_MAX;
use crate::lifecycle::told;

/// How long a client may take to send a request's head.
const HEADER_READ_MAX: Duration = Duration::from_secs(10);
/// How long a request may take from its head to its answer's head; streams and imports are beyond it by then.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// Of a body that is too large so much is still read, for so long, before the answer: a client that is cut off while it
/// writes sees a broken connection instead.
const DISCARDED_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;
const DISCARD_MAX: Duration = Duration::from_secs(2);
/// Bytes of a request's head at most.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long open connections may take to finish when stopping.
const GRACE_MAX: Duration = Duration::from_secs(4);

/// What a browser may do with an answer that is no page: nothing.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Puts the answers around a router that belong to no route.
pub fn with_fallbacks(router: Router<AppState>) -> Router<AppState> {
    router.fallback(super::pages::fallback).method_not_allowed_fallback(|| async {
        let detail = "The path exists, but not for this method.";
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    })
}

/// What stands around all routes: bounds, time-outs, panics, the security headers, and a look at the clock. It calls the
/// router as a function: a layer costs each request a box and a copy of everything that lies within.
pub struct Front {
    router: Router,
    places: Semaphore,
    metrics: Arc<Metrics>,
}

/// What the requests of a connection have in common; it goes with each of them. They come one after the other.
pub struct Connection {
    pub peer: SocketAddr,
    pub alarm: Arc<Alarm>,
    /// The route of the request that is worked on, once it is known.
    route: Mutex<Option<Arc<RouteTimes>>>,
}

impl Connection {
    fn new(peer: SocketAddr, alarm: Arc<Alarm>) -> Arc<Self> {
        Arc::new(Self { peer, alarm, route: Mutex::default() })
    }

    /// The one that a request came over; none where no server stands in front.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get::<Arc<Self>>().map(Arc::as_ref)
    }

    /// Says which route answers. On the way there and not with the answer: what times out or panics is its route's too.
    pub fn found(&self, route: &Arc<RouteTimes>) {
        *self.route.lock().unwrap_or_else(PoisonError::into_inner) = Some(route.clone());
    }

    fn take_route(&self) -> Option<Arc<RouteTimes>> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Only the CSV of an import is read as it comes; its route bounds each record instead.
fn is_import(request: &Request) -> bool {
    request.uri().path() == "/v1/imports"
}

/// What is refused before anything looks at it: too large by its own word, or one too many.
fn refused(request: &Request, places: &Semaphore) -> Option<Problem> {
    let length =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > BODY_BYTES_MAX as u64) && !is_import(request) {
        let detail = format!("The body is larger than {BODY_BYTES_MAX} bytes.");
        return Some(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail));
    }
    if places.available_permits() == 0 && !is_of_supervisors(request) {
        return Some(Problem::unavailable("overloaded", "Too many requests are worked on."));
    }
    None
}

/// Supervisors must see that a busy process lives, and they take nobody's place.
fn is_of_supervisors(request: &Request) -> bool {
    request.uri().path().starts_with("/health/")
}

async fn discard(body: Body) {
    let mut stream = body.into_data_stream();
    let mut bytes = 0;
    while bytes <= DISCARDED_BYTES_MAX
        && let Some(Ok(part)) = stream.next().await
    {
        bytes += part.len();
    }
}

impl Front {
    /// So many requests are worked on at once; beyond that they are refused, surely not taken.
    pub fn new(router: Router, requests_max: usize, metrics: Arc<Metrics>) -> Self {
        Self { router, places: Semaphore::new(requests_max), metrics }
    }

    async fn answer(&self, mut request: Request, connection: &Arc<Connection>) -> Response {
        let started = Instant::now();
        request.extensions_mut().insert(connection.clone());
        let method = request.method().clone();
        let mut response = match refused(&request, &self.places) {
            Some(problem) => {
                if problem.status == StatusCode::PAYLOAD_TOO_LARGE {
                    let discarded = discard(request.into_body());
                    drop(tokio::time::timeout(DISCARD_MAX, discarded).await);
                }
                problem.into_response()
            }
            None => {
                let _place = (!is_of_supervisors(&request)).then(|| self.places.try_acquire());
                answered(request, &self.router, &connection.alarm).await
            }
        };
        if is_bare_error(&response) {
            response = described(response.status()).into_response();
        }
        let (status, took) = (response.status(), started.elapsed());
        match connection.take_route() {
            Some(route) => route.add(&method, status, took),
            None => self.metrics.no_route().add(&method, status, took),
        }
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(DATA_POLICY));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }
}

/// Errors of the framework itself come as plain text or nothing.
fn is_bare_error(response: &Response) -> bool {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    (status.is_client_error() || status.is_server_error())
        && kind.is_none_or(|kind| kind.starts_with("text/plain"))
}

fn described(status: StatusCode) -> Problem {
    let code = if status.is_client_error() { "invalid_request" } else { "internal_error" };
    Problem::new(
        status,
        code,
        format!("The request failed: {}.", status.canonical_reason().unwrap_or("unknown")),
    )
}

async fn answered(request: Request, router: &Router, alarm: &Alarm) -> Response {
    // An import may take as long as its body takes to arrive.
    let patience = if is_import(&request) { REQUEST_MAX * 60 } else { REQUEST_MAX };
    let safe = request.method().is_safe();
    let answered = std::panic::AssertUnwindSafe(router.clone().call(request)).catch_unwind();
    match alarm.within(patience, answered).await {
        Some(Ok(Ok(response))) => response,
        Some(Ok(Err(never))) => match never {},
        Some(Err(_panic)) => {
            tracing::error!("a request's handler panicked");
            Problem::internal().into_response()
        }
        None => {
            // A read has no outcome; of a write nobody can say here whether it was decided.
            let code = if safe { "too_slow" } else { "outcome_unknown" };
            Problem::new(StatusCode::GATEWAY_TIMEOUT, code, "The request took too long.").into_response()
        }
    }
}

/// Serves until `stop` becomes true; then open requests finish, within a bound.
pub async fn serve(
    listener: TcpListener,
    front: Front,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.header_read_timeout(HEADER_READ_MAX).pipeline_flush(true).max_buf_size(HEAD_BYTES_MAX);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let front = Arc::new(front);
    let open = GracefulShutdown::new();
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place?,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or a client that went away: neither is a reason to stop.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
            () = told(&mut stop) => break,
        };
        drop(stream.set_nodelay(true));
        let front = front.clone();
        let alarm = Alarm::new();
        builder.timer(HeadTimer(alarm.clone()));
        let connection = Connection::new(peer, alarm);
        let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let (front, connection) = (front.clone(), connection.clone());
            async move { Ok::<_, Infallible>(front.answer(request.map(Body::new), &connection).await) }
        });
        let connection = open.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // A connection's end by reset or time-out concerns its client alone.
            drop(connection.await);
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE_MAX, open.shutdown()).await.is_err() {
        tracing::warn!("some connections did not finish in time");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{get, post};

    async fn panics() -> StatusCode {
        panic!("on purpose")
    }

    fn front(places: usize) -> Front {
        let router = Router::new()
            .route("/panics", get(panics))
            .route("/plain", get(|| async { (StatusCode::BAD_REQUEST, "plain words") }))
            .route("/v1/orders", post(|| async { "taken" }))
            .route("/v1/imports", post(|| async { "taken" }))
            .route("/health/live", get(|| async { "alive" }));
        Front::new(router, places, Arc::new(Metrics::new()))
    }

    async fn ask(front: &Front, method: &str, path: &str, length: usize) -> Response {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_LENGTH, length);
        let request = request.body(Body::empty()).expect("a request");
        front.answer(request, &connection()).await
    }

    fn connection() -> Arc<Connection> {
        Connection::new(([127, 0, 0, 1], 0).into(), Alarm::new())
    }

    fn is_problem(response: &Response) -> bool {
        response.headers()[header::CONTENT_TYPE] == "application/problem+json"
    }

    #[tokio::test]
    async fn panics_and_plain_errors_become_problems_with_security_headers() {
        let front = front(1);
        for (path, status) in [("/panics", 500), ("/plain", 400), ("/nothing", 404)] {
            let response = ask(&front, "GET", path, 0).await;
            assert_eq!(response.status(), status, "{path}");
            assert!(is_problem(&response), "{path}");
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
            assert_eq!(response.headers()["content-security-policy"], DATA_POLICY);
        }
    }

    #[tokio::test]
    async fn large_bodies_are_refused_by_their_length_but_imports_stream() {
        let front = front(1);
        assert_eq!(ask(&front, "POST", "/v1/orders", BODY_BYTES_MAX).await.status(), 200);
        let response = ask(&front, "POST", "/v1/orders", BODY_BYTES_MAX + 1).await;
        assert_eq!(response.status(), 413);
        assert!(is_problem(&response));
        assert_eq!(ask(&front, "POST", "/v1/imports", BODY_BYTES_MAX + 1).await.status(), 200);
    }

    #[tokio::test]
    async fn a_request_counts_under_its_own_route_and_not_under_that_of_the_one_before() {
        let metrics = Arc::new(Metrics::new());
        let times = metrics.route("/known");
        let known = async move |request: Request| {
            Connection::of(request.extensions()).expect("it came over one").found(&times);
            assert_ne!(request.uri().query(), Some("panic"), "on purpose");
        };
        let router = Router::new().route("/known", get(known));
        let front = Front::new(router, 1, metrics.clone());
        let connection = connection();
        for path in ["/known", "/known?panic", "/nothing", "/known"] {
            let request = Request::get(path).body(Body::empty()).expect("a request");
            front.answer(request, &connection).await;
        }
        let text = metrics.text();
        for line in [
            "holdfast_http_requests_total{method=\"GET\",route=\"/known\",status=\"200\"} 2",
            "holdfast_http_requests_total{method=\"GET\",route=\"/known\",status=\"500\"} 1",
            "holdfast_http_requests_total{method=\"GET\",route=\"other\",status=\"404\"} 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn a_full_server_refuses_at_once_but_says_that_it_lives() {
        let front = front(0);
        let response = ask(&front, "POST", "/v1/orders", 0).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(ask(&front, "GET", "/health/live", 0).await.status(), 200);
    }
}
