//! One keep-alive HTTP/1.1 connection, driven by the task that waits for its answers: no pool, no second task, no
//! hand-over between threads, so that the load generator takes as little of the machine as it can.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one answer may take: longer than the server ever lets a caller wait.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_secs(15);

pub const POSITION: HeaderName = HeaderName::from_static("holdfast-position");
pub const AT_LEAST: HeaderName = HeaderName::from_static("holdfast-at-least");
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The server under load, and the headers that every request carries, built once.
#[derive(Debug)]
pub struct Target {
    address: String,
    signed: HeaderMap,
    anonymous: HeaderMap,
}

impl Target {
    /// From `http://host:port` and an API key.
    pub fn new(url: &str, api_key: &str) -> anyhow::Result<Arc<Self>> {
        let uri: Uri = url.parse().with_context(|| format!("--url: {url:?} is not a URL"))?;
        anyhow::ensure!(uri.scheme_str() == Some("http"), "--url: {url:?} must begin with http://");
        anyhow::ensure!(matches!(uri.path(), "" | "/"), "--url: {url:?} must have no path");
        let host = uri.host().with_context(|| format!("--url: {url:?} names no host"))?;
        let port = uri.port_u16().unwrap_or(80);
        let mut key = HeaderValue::from_str(&format!("Bearer {api_key}"))
            .context("--api-key: it has characters that a key never has")?;
        key.set_sensitive(true);
        let mut anonymous = HeaderMap::new();
        let named = HeaderValue::from_str(&format!("{host}:{port}"))
            .context("--url: the host does not fit a header")?;
        anonymous.insert(header::HOST, named);
        let mut signed = anonymous.clone();
        signed.insert(header::AUTHORIZATION, key);
        signed.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Arc::new(Self { address: format!("{host}:{port}"), signed, anonymous }))
    }
}

/// What to ask.
#[derive(Debug, Clone)]
pub struct Ask {
    method: Method,
    path: Uri,
    body: Bytes,
    signed: bool,
    more: Option<(HeaderName, HeaderValue)>,
}

impl Ask {
    /// A GET with the API key.
    pub fn get(path: Uri) -> Self {
        Self { method: Method::GET, path, body: Bytes::new(), signed: true, more: None }
    }

    /// A GET as anybody.
    pub fn public(path: Uri) -> Self {
        Self { signed: false, ..Self::get(path) }
    }

    pub fn post(path: Uri, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(path) }
    }

    /// One more header.
    pub fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { more: Some((name, value)), ..self }
    }

    fn request(self, target: &Target) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.path;
        *request.headers_mut() = if self.signed { target.signed.clone() } else { target.anonymous.clone() };
        if let Some((name, value)) = self.more {
            request.headers_mut().insert(name, value);
        }
        request
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub position: Option<HeaderValue>,
    pub body: Bytes,
}

impl Reply {
    /// The machine word of a problem, or of a batch's result; empty if there is none.
    pub fn code(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Coded {
            code: String,
        }
        serde_json::from_slice::<Coded>(&self.body).map(|problem| problem.code).unwrap_or_default()
    }
}

/// No answer came: nobody knows whether the request was taken.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("the server cannot be reached: {0}")]
    Unreachable(std::io::Error),
    #[error("the connection broke: {0}")]
    Cut(#[from] hyper::Error),
    #[error("no answer within {} s", ANSWER_WAIT_MAX.as_secs())]
    TimedOut,
}

impl Broken {
    /// The word under which it is counted.
    pub fn code(&self) -> &'static str {
        match self {
            Broken::Unreachable(_) => "unreachable",
            Broken::Cut(_) => "connection_broke",
            Broken::TimedOut => "no_answer",
        }
    }
}

type Wire = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

struct Open {
    sender: http1::SendRequest<Full<Bytes>>,
    wire: Pin<Box<Wire>>,
}

/// A connection that opens itself when it is needed, and again after it broke.
pub struct Connection {
    target: Arc<Target>,
    open: Option<Open>,
}

impl Connection {
    pub fn new(target: Arc<Target>) -> Self {
        Self { target, open: None }
    }

    /// Connects, if that has not happened yet.
    pub async fn connect(&mut self) -> Result<(), Broken> {
        if self.open.is_none() {
            self.open = Some(open(&self.target).await?);
        }
        Ok(())
    }

    pub async fn send(&mut self, ask: Ask) -> Result<Reply, Broken> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => open(&self.target).await?,
        };
        let request = ask.request(&self.target);
        let (reply, ended) = timeout(ANSWER_WAIT_MAX, exchange(&mut open, request))
            .await
            .map_err(|_elapsed| Broken::TimedOut)?;
        let reply = reply?;
        if !ended {
            self.open = Some(open);
        }
        Ok(reply)
    }
}

async fn open(target: &Target) -> Result<Open, Broken> {
    let stream = TcpStream::connect(&target.address).await.map_err(Broken::Unreachable)?;
    stream.set_nodelay(true).map_err(Broken::Unreachable)?;
    let (sender, wire) = http1::handshake(TokioIo::new(stream)).await?;
    Ok(Open { sender, wire: Box::pin(wire) })
}

/// One request and its whole answer, and whether the connection ended meanwhile.
async fn exchange(open: &mut Open, request: Request<Full<Bytes>>) -> (Result<Reply, hyper::Error>, bool) {
    let Open { sender, wire } = open;
    let mut ended = false;
    let mut answer = pin!(async {
        sender.ready().await?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: head.status, position: head.headers.get(POSITION).cloned(), body })
    });
    let reply = poll_fn(|context| {
        // The wire first: what it has read is what the answer waits for.
        if !ended {
            ended = wire.as_mut().poll(context).is_ready();
        }
        answer.as_mut().poll(context)
    })
    .await;
    (reply, ended)
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn a_url_must_be_plain_http_without_a_path() {
        for bad in
            ["https://127.0.0.1:8080", "127.0.0.1:8080", "http://127.0.0.1/shop", "http://", "not a url"]
        {
            let error = Target::new(bad, "key").expect_err(bad).to_string();
            assert!(error.starts_with("--url"), "{bad}: {error}");
        }
        let target = Target::new("http://shop.example:81/", "key").expect("a good URL");
        assert_eq!(target.address, "shop.example:81");
    }

    #[test]
    fn the_port_of_a_url_without_one_is_80() {
        assert_eq!(Target::new("http://localhost", "key").expect("a good URL").address, "localhost:80");
    }

    #[test]
    fn the_key_is_never_in_a_log() {
        let target = Target::new("http://localhost", "very-secret").expect("a good URL");
        assert!(!format!("{target:?}").contains("very-secret"));
    }
}
