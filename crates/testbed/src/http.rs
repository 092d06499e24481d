//! A tiny HTTP/1.1 client for readiness checks and RabbitMQ's management API: one request a connection, bounded in time and
//! size. Only plain HTTP to a server that we started ourselves.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{Doing, Result, Trouble};

const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct HttpAnswer {
    pub status: u16,
    pub body: String,
}

impl HttpAnswer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A request to a loopback port.
pub(crate) struct HttpRequest<'a> {
    pub method: &'a str,
    pub port: u16,
    pub path: &'a str,
    pub login: Option<(&'a str, &'a str)>,
    pub json: Option<String>,
}

/// `GET http://127.0.0.1:PORT/PATH`; any status is an answer.
///
/// # Errors
/// When there is no connection or no whole answer within 30 s.
pub async fn http_get(port: u16, path: &str) -> Result<HttpAnswer> {
    HttpRequest { method: "GET", port, path, login: None, json: None }.send().await
}

impl HttpRequest<'_> {
    pub async fn send(&self) -> Result<HttpAnswer> {
        tokio::time::timeout(ANSWER_WAIT_MAX, self.exchange())
            .await
            .map_err(|_| Trouble::TimedOut { what: self.name(), after: ANSWER_WAIT_MAX })?
    }

    fn name(&self) -> String {
        format!("{} http://127.0.0.1:{}{}", self.method, self.port, self.path)
    }

    async fn exchange(&self) -> Result<HttpAnswer> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nAccept: */*\r\n",
            self.method, self.path, self.port
        );
        if let Some((user, password)) = self.login {
            head += &format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")));
        }
        let body = self.json.as_deref().unwrap_or_default();
        if self.json.is_some() {
            head += "Content-Type: application/json\r\n";
        }
        if self.json.is_some() || self.method != "GET" {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "\r\n";

        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.doing(|| self.name())?;
        stream.write_all(head.as_bytes()).await.doing(|| self.name())?;
        stream.write_all(body.as_bytes()).await.doing(|| self.name())?;
        let mut raw = Vec::new();
        stream.take(BODY_BYTES_MAX).read_to_end(&mut raw).await.doing(|| self.name())?;
        parse(&raw).ok_or_else(|| Trouble::Other(format!("{}: not a whole HTTP answer", self.name())))
    }
}

/// The answer up to the end of the connection; `None` when it is cut short or is no HTTP.
fn parse(raw: &[u8]) -> Option<HttpAnswer> {
    let split = raw.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&raw[..split]).ok()?;
    let body = &raw[split + 4..];
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let field = |name: &str| {
        head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let body = if field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        unchunk(body)?
    } else if let Some(length) = field("content-length") {
        body.get(..length.parse().ok()?)?.to_vec()
    } else {
        body.to_vec()
    };
    Some(HttpAnswer { status, body: String::from_utf8_lossy(&body).into_owned() })
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line_end]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[line_end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

/// Percent-encodes what is not allowed in one segment of a path or in a URL's user, password or vhost.
pub(crate) fn encode(segment: &str) -> String {
    segment
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_with_a_length_in_chunks_and_to_the_end() {
        for (raw, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Some("hi")),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n",
                Some("hi"),
            ),
            ("HTTP/1.1 200 OK\r\n\r\nhi", Some("hi")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", None),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhi", None),
            ("HTTP/1.1 200", None),
        ] {
            assert_eq!(parse(raw.as_bytes()).map(|answer| answer.body).as_deref(), body, "{raw:?}");
        }
    }

    #[test]
    fn a_slash_in_a_vhost_is_encoded() {
        assert_eq!(encode("/a b"), "%2Fa%20b");
    }
}
