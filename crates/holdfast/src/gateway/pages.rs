//! The web pages, built into the binary: files as they are, and `index.html` for every route of the client.
//!
//! Nothing here asks who calls or touches the database: the pages come even when everything else is down.

use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Routes;
use super::caller::header_text;
use super::problem::Problem;

/// What pages may load: their own files, and pictures from anywhere.
pub const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data: https:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
/// Pictures are images: nothing in them may run.
const PICTURE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// Where the client's own routes begin.
const CLIENT_ROUTES: [&str; 8] =
    ["shop", "orders", "cart", "register", "sign-in", "account", "admin", "health-board"];
/// Where nothing is a page.
const NO_PAGES: [&str; 6] = ["v1", "health", "metrics", "openapi.json", "docs", "assets"];

const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Holdfast</title>\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <style>body{font:1.05rem/1.6 system-ui;max-width:34rem;margin:15vh auto;padding:0 1rem;color-scheme:light dark}</style>\n\
    <h1>Holdfast runs</h1>\n<p>This binary was built without the web pages. Run <code>make build</code> in the \
    source folder: it builds the pages and then the binary with them.</p>\n\
    <p>The API is here all the same: see <a href=\"/docs\">its documentation</a>.</p></html>\n";

/// One file of the web build.
pub struct File {
    path: &'static str,
    kind: &'static str,
    etag: &'static str,
    bytes: &'static [u8],
    gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/files.rs"));

pub fn routes(routes: Routes) -> Routes {
    routes.file("/demo/pictures/{file}", get(picture))
}

/// Everything that is no route of the API: a file, a page, or 404.
pub async fn fallback(request: Request) -> Response {
    let unknown = || Problem::not_found("path").into_response();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return unknown();
    }
    let path = request.uri().path();
    if let Some(file) = find(path) {
        return send(file, request.headers());
    }
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    if first.is_empty() || CLIENT_ROUTES.contains(&first) {
        return index(request.headers());
    }
    let wants_page =
        header_text(request.headers(), "accept").is_some_and(|accept| accept.contains("text/html"));
    if wants_page && !NO_PAGES.contains(&first) {
        // The client says that there is no such page, in the shop's own words.
        let mut response = index(request.headers());
        if response.status() == StatusCode::OK {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        return response;
    }
    unknown()
}

fn find(path: &str) -> Option<&'static File> {
    FILES.binary_search_by(|file| file.path.cmp(path)).ok().and_then(|place| FILES.get(place))
}

fn index(headers: &HeaderMap) -> Response {
    match find("/index.html") {
        Some(file) => send(file, headers),
        None => {
            let head = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (head, NOT_BUILT).into_response()
        }
    }
}

fn send(file: &'static File, headers: &HeaderMap) -> Response {
    // Names in /assets change with their content.
    let lasting = file.path.starts_with("/assets/");
    let cache = if lasting { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if is_known(headers, file.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match file.gzip.filter(|_| takes_gzip(headers)) {
            Some(gzip) => ([(header::CONTENT_ENCODING, "gzip")], gzip).into_response(),
            None => file.bytes.into_response(),
        }
    };
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
    head.insert(header::ETAG, HeaderValue::from_static(file.etag));
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    head.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    head.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// Whether `If-None-Match` names this content (compared weakly, RFC 9110).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    header_text(headers, "if-none-match").is_some_and(|known| {
        known.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == etag)
    })
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    header_text(headers, "accept-encoding").is_some_and(|accepted| {
        accepted.split(',').any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32));
            name.trim().eq_ignore_ascii_case("gzip") && !refused
        })
    })
}

/// The demo shop's pictures.
async fn picture(Path(file): Path<String>) -> Response {
    let Some(svg) = file.strip_suffix(".svg").and_then(crate::demo::picture) else {
        return Problem::not_found("picture").into_response();
    };
    let head = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CONTENT_SECURITY_POLICY, PICTURE_POLICY),
        (header::CACHE_CONTROL, "public, max-age=86400"),
    ];
    (head, svg).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    async fn ask(method: &str, path: &str, pairs: &[(&str, &str)]) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in pairs {
            request = request.header(*name, *value);
        }
        fallback(request.body(Body::empty()).expect("a request")).await
    }

    fn kind(response: &Response) -> &str {
        response.headers()[header::CONTENT_TYPE].to_str().expect("text")
    }

    #[tokio::test]
    async fn the_client_s_routes_are_pages_whether_or_not_they_were_built() {
        for path in
            ["/", "/shop", "/shop/OMEGA-3.5", "/admin/items/A.B", "/health-board", "/sign-in", "/orders"]
        {
            let response = ask("GET", path, &[]).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(kind(&response), "text/html; charset=utf-8", "{path}");
            assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
        }
    }

    #[tokio::test]
    async fn what_is_no_page_is_a_problem() {
        let html = &[("accept", "text/html")][..];
        for (method, path, headers) in [
            ("GET", "/v1/nothing", html),
            ("GET", "/v1", html),
            ("GET", "/health/nothing", html),
            ("GET", "/metrics/x", html),
            ("GET", "/assets/gone.js", html),
            ("GET", "/nothing", &[]),
            ("POST", "/shop", html),
        ] {
            let response = ask(method, path, headers).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{method} {path}");
            assert_eq!(kind(&response), "application/problem+json", "{method} {path}");
        }
        let response = ask("GET", "/nothing", html).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(kind(&response), "text/html; charset=utf-8");
    }

    #[tokio::test]
    async fn files_are_compressed_cached_and_not_sent_twice() {
        assert!(FILES.is_sorted_by_key(|file| file.path));
        for file in FILES {
            let response = ask("GET", file.path, &[("accept-encoding", "br, gzip;q=0.5")]).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), file.gzip.is_some());
            assert_eq!(
                file.path.starts_with("/assets/"),
                response.headers()[header::CACHE_CONTROL] != "no-cache"
            );
            let plain = ask("GET", file.path, &[("accept-encoding", "gzip;q=0")]).await;
            assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
            let again = ask("GET", file.path, &[("if-none-match", &format!("\"x\", W/{}", file.etag))]).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        }
    }
}
