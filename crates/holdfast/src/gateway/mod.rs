//! The HTTP side: authorisation, validation, limits, routing. Stateless but for caches; any number of gateways may
//! stand behind a balancer. One file per resource, its path is its name.

pub mod accounts;
pub mod alarm;
pub mod answer;
pub mod api_keys;
pub mod auth;
pub mod beliefs;
pub mod caller;
pub mod commands;
pub mod dead_letters;
pub mod dispatcher;
pub mod events;
pub mod health;
pub mod holds;
pub mod imports;
pub mod item_texts;
pub mod items;
pub mod limits;
pub mod locations;
pub mod metrics;
pub mod movements;
pub mod openapi;
pub mod orders;
pub mod pages;
pub mod problem;
pub mod request;
pub mod server;
pub mod sessions;
pub mod stats;
pub mod stock;
pub mod stream;
pub mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::map_request_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use holdfast_bus::amqp::DeadLetters;
use holdfast_store::Database;

use crate::config::GatewaySettings;
use crate::follow::read_model::ReadModel;
use crate::follow::stats::Stats;
use crate::instance::Instance;
use crate::monitor::Board;
use caller::{Access, Gated};
use dispatcher::Dispatcher;
use metrics::RouteTimes;
pub use metrics::observability;
use openapi::operation::Operation;
use server::{Connection, Front};

/// What handlers reach: each of these is one room, and none holds request state.
pub struct Gateway {
    pub settings: GatewaySettings,
    pub dispatcher: Dispatcher,
    pub model: Arc<ReadModel>,
    pub item_texts: item_texts::ItemTexts,
    pub database: Database,
    pub auth: auth::Auth,
    pub limits: limits::Limits,
    pub stats: Arc<Stats>,
    pub instance: Arc<Instance>,
    pub board: Arc<Board>,
    /// Commands that could not be read; `None` without a broker, where everything was read before it travels.
    pub dead_letters: Option<DeadLetters>,
    pub metrics: Arc<metrics::Metrics>,
    pub imports: imports::Imports,
    /// Becomes true when the process stops: long-lived streams end.
    pub stopping: tokio::sync::watch::Receiver<bool>,
}

pub type AppState = Arc<Gateway>;

/// Builds routes: who is let in and what the document says of them are declared beside them.
pub struct Routes {
    router: Router<AppState>,
    /// Absent where the routes are only described.
    state: Option<AppState>,
    described: Vec<(Access, Operation)>,
    undescribed: Vec<String>,
}

impl Routes {
    fn new(state: Option<AppState>) -> Self {
        Self { router: Router::new(), state, described: Vec::new(), undescribed: Vec::new() }
    }

    /// Adds an operation of the API.
    pub fn on<H, T>(self, access: Access, operation: Operation, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        let (path, filter) = (operation.path(), operation.filter());
        let mut routes = self.guarded(path, access, filter, handler);
        routes.described.push((access, operation));
        routes
    }

    /// Adds what is no operation of its own: the API's description, and paths that another operation describes.
    pub fn beside<H, T>(mut self, path: &str, access: Access, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        self.undescribed.push(path.to_owned());
        self.guarded(path, access, MethodFilter::GET, handler)
    }

    /// Adds what knows nobody: files. Nothing behind it may ask for its caller.
    pub fn file(mut self, path: &str, methods: MethodRouter<AppState>) -> Self {
        self.undescribed.push(path.to_owned());
        let methods = match &self.state {
            Some(state) => methods.route_layer(map_request_with_state(state.metrics.route(path), timed)),
            None => methods,
        };
        self.router = self.router.route(path, methods);
        self
    }

    /// Adds a method of a path. The same path may come again with another rule for another method.
    fn guarded<H, T>(mut self, path: &str, access: Access, filter: MethodFilter, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        if let Some(state) = &self.state {
            let gated = Gated { access, times: state.metrics.route(path), handler };
            self.router = self.router.route(path, on(filter, gated));
        }
        self
    }
}

/// Tells the front which route answered.
async fn timed(State(times): State<Arc<RouteTimes>>, request: Request) -> Request {
    if let Some(connection) = Connection::of(request.extensions()) {
        connection.found(&times);
    }
    request
}

/// The whole API and the pages.
pub fn front(state: AppState) -> Front {
    let routes = every_route(Routes::new(Some(state.clone())));
    let (metrics, requests_max) = (state.metrics.clone(), state.settings.requests_max);
    Front::new(server::with_fallbacks(routes.router).with_state(state), requests_max, metrics)
}

/// What the document describes: the same declarations, with nothing behind them.
fn described() -> Routes {
    every_route(Routes::new(None))
}

fn every_route(routes: Routes) -> Routes {
    let routes = accounts::routes(routes);
    let routes = sessions::routes(routes);
    let routes = api_keys::routes(routes);
    let routes = items::routes(routes);
    let routes = locations::routes(routes);
    let routes = stock::routes(routes);
    let routes = orders::routes(routes);
    let routes = holds::routes(routes);
    let routes = commands::routes(routes);
    let routes = events::routes(routes);
    let routes = stream::routes(routes);
    let routes = webhooks::routes(routes);
    let routes = imports::routes(routes);
    let routes = dead_letters::routes(routes);
    let routes = stats::routes(routes);
    let routes = health::routes(routes);
    let routes = metrics::routes(routes);
    let routes = openapi::routes(routes);
    pages::routes(routes)
}
