//! The HTTP side: authorisation, validation, limits, routing. Stateless but for caches; any number of gateways may
//! stand behind a balancer. One file per resource, its path is its name.

pub mod accounts;
pub mod answer;
pub mod api_keys;
pub mod auth;
pub mod caller;
pub mod commands;
pub mod dead_letters;
pub mod dispatcher;
pub mod events;
pub mod health;
pub mod holds;
pub mod imports;
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
use axum::middleware::from_fn_with_state;
use axum::routing::MethodRouter;
use holdfast_store::Database;

use crate::config::GatewaySettings;
use crate::follow::read_model::ReadModel;
use crate::follow::stats::Stats;
use crate::monitor::Monitor;
use caller::Access;
use dispatcher::Dispatcher;
pub use metrics::observability_router;

/// What handlers reach: each of these is one room, and none holds request state.
pub struct Gateway {
    pub settings: GatewaySettings,
    pub dispatcher: Dispatcher,
    pub model: Arc<ReadModel>,
    pub database: Database,
    pub auth: auth::Auth,
    pub limits: limits::Limits,
    pub stats: Arc<Stats>,
    pub monitor: Arc<Monitor>,
    pub metrics: Arc<metrics::Metrics>,
    pub imports: imports::Imports,
    /// Becomes true when the process stops: long-lived streams end.
    pub stopping: tokio::sync::watch::Receiver<bool>,
}

pub type AppState = Arc<Gateway>;

/// Builds routes whose access is declared beside them.
pub struct Routes {
    router: Router<AppState>,
    state: AppState,
}

impl Routes {
    pub fn new(state: AppState) -> Self {
        Self { router: Router::new(), state }
    }

    /// Adds methods of a path under one access rule. The same path may come again with another rule for other
    /// methods.
    pub fn route(mut self, path: &str, access: Access, methods: MethodRouter<AppState>) -> Self {
        let layer = from_fn_with_state((self.state.clone(), access), caller::enforce);
        self.router = self.router.route(path, methods.route_layer(layer));
        self
    }

    /// Adds what knows nobody: files. Nothing behind it may ask for its caller.
    pub fn file(mut self, path: &str, methods: MethodRouter<AppState>) -> Self {
        self.router = self.router.route(path, methods);
        self
    }

    pub fn finish(self) -> (Router<AppState>, AppState) {
        (self.router, self.state)
    }
}

/// The whole API and the pages.
pub fn router(state: AppState) -> Router {
    let routes = Routes::new(state);
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
    let routes = pages::routes(routes);
    let (router, state) = routes.finish();
    server::with_layers(router, &state).with_state(state)
}
