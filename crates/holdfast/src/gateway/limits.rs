//! Rate limits in memory: how often one address or account may do what costs much. Each gateway counts for itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use ipnet::IpNet;
use uuid::Uuid;

use super::AppState;
use super::problem::Problem;
use super::server::Connection;

/// Registrations per address.
const REGISTRATION: Rate =
    Rate { name: "registration", quota: 20, window: Duration::from_secs(60), burst: 20 };
/// Attempts to sign in (or to change a password) per address.
const SIGN_IN: Rate = Rate { name: "sign-in", quota: 30, window: Duration::from_secs(60), burst: 30 };
/// Writes of one customer.
const WRITES: Rate = Rate { name: "writes", quota: 50, window: Duration::from_secs(1), burst: 100 };
/// Keys that one limit remembers.
const KEYS_MAX: usize = 100_000;
/// Wrong passwords in a row, for one name from one address, before the next attempt has to wait.
const FAILURES_FREE: u32 = 5;
const FAILURE_WAIT_MAX: Duration = Duration::from_secs(300);
/// After this long without an attempt, failures are forgotten.
const FAILURE_MEMORY: Duration = Duration::from_secs(900);

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

#[derive(Debug, Clone, Copy)]
struct Rate {
    name: &'static str,
    quota: u32,
    window: Duration,
    burst: u32,
}

impl Rate {
    fn interval(&self) -> Duration {
        self.window / self.quota
    }
}

/// Token buckets, each kept as the one time at which it is full again (GCRA).
struct Buckets<K> {
    rate: Rate,
    full_at: Mutex<HashMap<K, Instant>>,
}

impl<K: Hash + Eq> Buckets<K> {
    fn new(rate: Rate) -> Self {
        Self { rate, full_at: Mutex::default() }
    }

    /// Takes one token, or says how long until there is one.
    fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= KEYS_MAX && !full_at.contains_key(&key) {
            full_at.retain(|_, at| *at > now);
            if full_at.len() > KEYS_MAX / 8 * 7 {
                // So many busy keys at once: rather begin anew than walk through all of them at each request.
                full_at.clear();
            }
        }
        let at = full_at.entry(key).or_insert(now);
        let next = (*at).max(now) + self.rate.interval();
        let tolerated = self.rate.interval() * self.rate.burst;
        let over = next.saturating_duration_since(now).saturating_sub(tolerated);
        if over > Duration::ZERO {
            return Err(over);
        }
        *at = next;
        Ok(())
    }

    fn check(&self, key: K) -> Result<(), Problem> {
        self.take(key, Instant::now()).map_err(|wait| {
            let Rate { name, quota, window, burst: _ } = self.rate;
            let policy = format!("\"{name}\";q={quota};w={}", window.as_secs());
            too_many(wait, name, &policy, format!("At most {quota} in {} s are allowed.", window.as_secs()))
        })
    }
}

fn too_many(wait: Duration, name: &str, policy: &str, detail: String) -> Problem {
    let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
        .retry_after(seconds)
        .header(RATE_LIMIT, &format!("\"{name}\";r=0;t={seconds}"))
        .header(RATE_LIMIT_POLICY, policy)
}

struct Failed {
    count: u32,
    last: Instant,
}

type Attempt = (String, IpAddr);

/// All limits of this gateway.
pub struct Limits {
    registration: Buckets<IpAddr>,
    sign_in: Buckets<IpAddr>,
    writes: Buckets<Uuid>,
    failures: Mutex<HashMap<Attempt, Failed>>,
}

impl Limits {
    pub fn new() -> Self {
        Self {
            registration: Buckets::new(REGISTRATION),
            sign_in: Buckets::new(SIGN_IN),
            writes: Buckets::new(WRITES),
            failures: Mutex::default(),
        }
    }

    pub fn registration(&self, address: ClientAddress) -> Result<(), Problem> {
        self.registration.check(address.network())
    }

    pub fn sign_in(&self, address: ClientAddress) -> Result<(), Problem> {
        self.sign_in.check(address.network())
    }

    /// A write of a customer.
    pub fn write(&self, account: Uuid) -> Result<(), Problem> {
        self.writes.check(account)
    }

    /// Counts an attempt as failed before it is tried, so that many at once do not slip through; 429 when the last
    /// failures are too fresh. [`succeeded`](Self::succeeded) takes all of them back.
    pub fn attempt(&self, username: &str, address: ClientAddress) -> Result<(), Problem> {
        self.attempt_at(username, address, Instant::now()).map_err(|wait| {
            let policy = format!("\"failures\";q={FAILURES_FREE};w={}", FAILURE_MEMORY.as_secs());
            too_many(
                wait,
                "failures",
                &policy,
                "Too many wrong passwords; wait before the next one.".to_owned(),
            )
        })
    }

    fn attempt_at(&self, username: &str, address: ClientAddress, now: Instant) -> Result<(), Duration> {
        let mut failures = self.failures();
        if failures.len() >= KEYS_MAX {
            failures.retain(|_, failed| now.duration_since(failed.last) < FAILURE_MEMORY);
            if failures.len() > KEYS_MAX / 8 * 7 {
                failures.clear();
            }
        }
        let failed = failures
            .entry((username.to_lowercase(), address.network()))
            .or_insert(Failed { count: 0, last: now });
        if now.duration_since(failed.last) >= FAILURE_MEMORY {
            failed.count = 0;
        }
        let wait = failure_wait(failed.count).saturating_sub(now.duration_since(failed.last));
        if wait > Duration::ZERO {
            return Err(wait);
        }
        failed.count = failed.count.saturating_add(1);
        failed.last = now;
        Ok(())
    }

    pub fn succeeded(&self, username: &str, address: ClientAddress) {
        self.failures().remove(&(username.to_lowercase(), address.network()));
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<Attempt, Failed>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long after the n-th failure in a row: nothing, then 1 s, 2 s, 4 s …
fn failure_wait(count: u32) -> Duration {
    match count.checked_sub(FAILURES_FREE) {
        None => Duration::ZERO,
        Some(doublings) => Duration::from_secs(1 << doublings.min(16)).min(FAILURE_WAIT_MAX),
    }
}

/// Where a request comes from: the peer, or whom the proxies in front of this gateway name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// From the peer outwards, as long as whoever names the next one is a proxy of ours: what stands before that anybody could
    /// have written.
    fn of(peer: Option<IpAddr>, headers: &HeaderMap, proxies: &[IpNet]) -> Self {
        let is_proxy =
            |address: IpAddr| address.is_loopback() || proxies.iter().any(|net| net.contains(&address));
        let values = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = values.flat_map(|value| value.split(',')).collect();
        let mut hops = hops.into_iter().rev();
        let mut client = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).to_canonical();
        while is_proxy(client)
            && let Some(named) = hops.next().and_then(|hop| hop.trim().parse::<IpAddr>().ok())
        {
            client = named.to_canonical();
        }
        Self(client)
    }

    /// What counts as one address: an IPv6 customer owns a whole /64.
    fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        }
    }
}

impl FromRequestParts<AppState> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Self::Rejection> {
        let peer = Connection::of(&parts.extensions).map(|connection| connection.peer.ip());
        Ok(Self::of(peer, &parts.headers, &state.settings.trusted_proxies))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;

    const HERE: ClientAddress = ClientAddress(IpAddr::V4(Ipv4Addr::LOCALHOST));

    #[test]
    fn a_burst_passes_then_one_per_interval() {
        let buckets = Buckets::new(WRITES);
        let now = Instant::now();
        for _ in 0..WRITES.burst {
            assert_eq!(buckets.take(1, now), Ok(()));
        }
        let wait = buckets.take(1, now).expect_err("the burst is used up");
        assert_eq!(wait, Duration::from_millis(20));
        assert_eq!(buckets.take(2, now), Ok(()), "another account has a bucket of its own");
        assert_eq!(buckets.take(1, now + wait), Ok(()));
        assert!(buckets.take(1, now + wait).is_err());
    }

    #[test]
    fn a_refusal_carries_the_headers_of_the_contract() {
        let limits = Limits::new();
        for _ in 0..REGISTRATION.burst {
            limits.registration(HERE).expect("within the quota");
        }
        let response = limits.registration(HERE).expect_err("one too many").into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["retry-after"], "3");
        assert_eq!(response.headers()["ratelimit"], "\"registration\";r=0;t=3");
        assert_eq!(response.headers()["ratelimit-policy"], "\"registration\";q=20;w=60");
    }

    #[test]
    fn wrong_passwords_wait_longer_and_longer_and_a_right_one_ends_it() {
        let limits = Limits::new();
        let mut now = Instant::now();
        for _ in 0..FAILURES_FREE {
            assert_eq!(limits.attempt_at("Ann", HERE, now), Ok(()));
        }
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(limits.attempt_at("ann", HERE, now), Err(Duration::from_secs(seconds)));
            assert_eq!(limits.attempt_at("bob", ClientAddress("::1".parse().expect("one")), now), Ok(()));
            limits.succeeded("bob", ClientAddress("::1".parse().expect("one")));
            now += Duration::from_secs(seconds);
            assert_eq!(limits.attempt_at("ann", HERE, now), Ok(()));
        }
        limits.succeeded("ANN", HERE);
        assert_eq!(limits.attempt_at("ann", HERE, now), Ok(()));
    }

    #[test]
    fn only_proxies_of_ours_may_name_the_client() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "9.9.9.9, 1.2.3.4".parse().expect("a value"));
        headers.append("x-forwarded-for", "10.1.0.2".parse().expect("a value"));
        let networks = ["10.1.0.0/16", "fd00::1/128"].map(|net| net.parse().expect("a network"));
        let of = |peer: &str, proxies: &[IpNet]| {
            let peer = peer.parse().expect("an address");
            ClientAddress::of(Some(peer), &headers, proxies).0.to_string()
        };
        assert_eq!(of("127.0.0.1", &[]), "10.1.0.2");
        assert_eq!(of("::ffff:127.0.0.1", &[]), "10.1.0.2");
        assert_eq!(of("10.0.0.1", &networks), "10.0.0.1");
        for peer in ["127.0.0.1", "10.1.200.7", "fd00::1"] {
            assert_eq!(of(peer, &networks), "1.2.3.4", "{peer}");
        }
        headers.clear();
        headers.append("x-forwarded-for", "1.2.3.4, unknown".parse().expect("a value"));
        let of = ClientAddress::of(Some(Ipv4Addr::LOCALHOST.into()), &headers, &networks);
        assert_eq!(of, HERE, "what is no address names nobody");
        let in_net = ClientAddress("2001:db8:1:2:3:4:5:6".parse().expect("one"));
        assert_eq!(in_net.network().to_string(), "2001:db8:1:2::");
    }
}
