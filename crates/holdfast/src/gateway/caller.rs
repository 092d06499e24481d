//! Who calls, and what a route lets in. Access is declared where the route is; a handler that asks for its
//! [`Caller`] on a route without a declaration gets 403: denied is the default.

use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use holdfast_domain::{Actor, Role};
use holdfast_store::accounts::PrincipalKind;
use uuid::Uuid;

use super::metrics::RouteTimes;
use super::problem::Problem;
use super::server::Connection;
use super::{AppState, auth};

/// Who may use a route.
#[derive(Debug, Clone, Copy)]
pub enum Access {
    /// Anyone; who is signed in is known nevertheless.
    Public,
    SignedIn,
    /// Staff and admin.
    Staff,
    /// Staff, admin and services.
    StaffOrService,
    /// Customers, services and admin.
    Buyer,
    Service,
    Admin,
}

impl Access {
    fn allows(self, role: Role) -> bool {
        match self {
            Access::Public | Access::SignedIn => true,
            Access::Staff => role.is_staff(),
            Access::StaffOrService => role.is_staff() || role == Role::Service,
            Access::Buyer => matches!(role, Role::Customer | Role::Service | Role::Admin),
            Access::Service => matches!(role, Role::Service | Role::Admin),
            Access::Admin => role == Role::Admin,
        }
    }
}

/// Who is signed in. `hash` is the SHA-256 of the token or key; `actor` is what commands are sent as.
#[derive(Debug)]
pub struct SignedIn {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    pub kind: PrincipalKind,
    pub hash: [u8; 32],
    pub actor: Actor,
}

/// The caller of a request; `None` inside when nobody is signed in (on public routes only).
#[derive(Debug, Clone)]
pub struct Caller(pub Option<Arc<SignedIn>>);

impl Caller {
    pub fn signed_in(&self) -> Result<&SignedIn, Problem> {
        self.0.as_deref().ok_or_else(Problem::unauthorised)
    }

    /// The actor that commands are sent as.
    pub fn actor(&self) -> Result<Actor, Problem> {
        Ok(self.signed_in()?.actor.clone())
    }

    /// What idempotency keys are scoped to: the account, or `anonymous`.
    pub fn scope(&self) -> &str {
        self.0.as_ref().map_or("anonymous", |who| &who.actor.name)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(Problem::forbidden)
    }
}

/// A handler behind its gate, which finds out who calls and lets in whom the route allows. The gate is no layer: that
/// would cost each request a box and a copy of everything that lies within.
#[derive(Clone)]
pub struct Gated<H> {
    pub access: Access,
    pub times: Arc<RouteTimes>,
    pub handler: H,
}

impl<T: 'static, H: Handler<T, AppState>> Handler<T, AppState> for Gated<H> {
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, mut request: Request, state: AppState) -> Self::Future {
        Box::pin(async move {
            if let Some(connection) = Connection::of(request.extensions()) {
                connection.found(&self.times);
            }
            match identify(&state, self.access, request.method(), request.headers()).await {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    self.handler.call(request, state).await
                }
                Err(problem) => problem.into_response(),
            }
        })
    }
}

async fn identify(
    state: &AppState,
    access: Access,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Caller, Problem> {
    let public = matches!(access, Access::Public);
    let Some(credential) = auth::credential(headers) else {
        return if public { Ok(Caller(None)) } else { Err(Problem::unauthorised()) };
    };
    if credential.from_cookie && !method.is_safe() && !auth::same_site(headers) {
        return Err(Problem::new(
            axum::http::StatusCode::FORBIDDEN,
            "cross_site",
            "State-changing calls with the session cookie must come from this site's own pages.",
        ));
    }
    let Some(who) = state.auth.identify(&credential.secret).await? else {
        // A stale cookie does not keep anybody from what is public.
        if public && credential.from_cookie {
            return Ok(Caller(None));
        }
        return Err(Problem::unauthorised());
    };
    if !access.allows(who.role) {
        return Err(Problem::forbidden());
    }
    let by_person = matches!(who.kind, PrincipalKind::Session { .. });
    if by_person && who.role == Role::Customer && !method.is_safe() {
        state.limits.write(who.id)?;
    }
    Ok(Caller(Some(who)))
}

/// Reads a header as text.
pub fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The bearer token of an `Authorization` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
