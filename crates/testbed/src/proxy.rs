//! A TCP proxy that stands between any two programs and breaks the wire on command.
//!
//! It has a thread and a runtime of its own: a test that blocks its runtime, or ends it, does not change what the wire does.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::{Doing, Result, Trouble};
use crate::port::{Port, free_port};

const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks on their way through a delayed wire, per direction; a full wire pushes back on the sender.
const CHUNKS_IN_FLIGHT_MAX: usize = 256;
/// A throttled wire moves its bytes in steps of about this time.
const THROTTLE_STEP: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Up,
    Cut,
    HalfOpen,
}

#[derive(Debug, Clone, Copy)]
struct Conditions {
    link: Link,
    /// One way.
    delay: Duration,
    bytes_per_second: Option<NonZeroU64>,
}

const HEALTHY: Conditions = Conditions { link: Link::Up, delay: Duration::ZERO, bytes_per_second: None };

enum Order {
    Conditions(Conditions),
    DropConnections,
}

#[derive(Default)]
struct Meters {
    open: AtomicUsize,
    accepted: AtomicU64,
    carried_bytes: AtomicU64,
}

/// A loopback port that leads to another one; ends with all its connections when dropped.
pub struct FaultProxy {
    port: Port,
    upstream: SocketAddr,
    conditions: std::sync::Mutex<Conditions>,
    orders: Option<mpsc::Sender<(Order, oneshot::Sender<()>)>>,
    meters: Arc<Meters>,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// A healthy wire to `127.0.0.1:upstream`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn in_front_of(upstream: u16) -> Result<Self> {
        Self::to(SocketAddr::from(([127, 0, 0, 1], upstream))).await
    }

    /// A healthy wire to any address.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn to(upstream: SocketAddr) -> Result<Self> {
        let port = free_port()?;
        let number = port.number();
        let meters = Arc::new(Meters::default());
        let (orders, inbox) = mpsc::channel(8);
        let (started, start) = oneshot::channel();
        let wire_meters = Arc::clone(&meters);
        let thread = std::thread::Builder::new()
            .name("fault-proxy".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = match runtime {
                    Ok(runtime) => runtime,
                    Err(trouble) => return drop(started.send(Err(trouble))),
                };
                runtime.block_on(async move {
                    match TcpListener::bind(("127.0.0.1", number)).await {
                        Ok(listener) => {
                            // Nobody waits for the start any more when the test has ended meanwhile.
                            let _ = started.send(Ok(()));
                            Wire { number, upstream, meters: wire_meters }.run(listener, inbox).await;
                        }
                        Err(trouble) => drop(started.send(Err(trouble))),
                    }
                });
            })
            .doing(|| "starting the proxy's thread".to_owned())?;
        start
            .await
            .map_err(|_| Trouble::Other("the proxy's thread ended".to_owned()))?
            .doing(|| format!("listening on port {number}"))?;
        Ok(Self {
            port,
            upstream,
            conditions: std::sync::Mutex::new(HEALTHY),
            orders: Some(orders),
            meters,
            thread: Some(thread),
        })
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The URL with the upstream's `host:port` replaced by the proxy's: `redirect(&rabbit.amqp_url("/"))`.
    pub fn redirect(&self, url: &str) -> String {
        url.replace(&self.upstream.to_string(), &format!("127.0.0.1:{}", self.port()))
    }

    /// Closes all connections and refuses new ones.
    pub async fn cut(&self) {
        self.change(|conditions| conditions.link = Link::Cut).await;
    }

    /// The black hole: connections stay open and new ones are accepted, but not one byte (nor a close) gets through. What
    /// was sent meanwhile arrives after [`FaultProxy::heal`], as after a real outage.
    pub async fn half_open(&self) {
        self.change(|conditions| conditions.link = Link::HalfOpen).await;
    }

    /// Every byte takes this much longer, in each direction; the round trip is twice that.
    pub async fn delay(&self, one_way: Duration) {
        self.change(|conditions| conditions.delay = one_way).await;
    }

    /// At most this many bytes a second, per connection and direction.
    pub async fn throttle(&self, bytes_per_second: NonZeroU64) {
        self.change(|conditions| conditions.bytes_per_second = Some(bytes_per_second)).await;
    }

    /// Closes the present connections; new ones work.
    pub async fn drop_connections(&self) {
        self.order(Order::DropConnections).await;
    }

    /// No faults any more.
    pub async fn heal(&self) {
        self.change(|conditions| *conditions = HEALTHY).await;
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.meters.open.load(Ordering::Relaxed)
    }

    /// Connections accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.meters.accepted.load(Ordering::Relaxed)
    }

    /// Bytes delivered since the start, both directions.
    pub fn carried_bytes(&self) -> u64 {
        self.meters.carried_bytes.load(Ordering::Relaxed)
    }

    /// Returns when the change is in force.
    async fn change(&self, change: impl FnOnce(&mut Conditions)) {
        let conditions = {
            let mut conditions = self.conditions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            change(&mut conditions);
            *conditions
        };
        self.order(Order::Conditions(conditions)).await;
    }

    async fn order(&self, order: Order) {
        let (done, wait) = oneshot::channel();
        let orders = self.orders.as_ref().expect("only drop takes the orders away");
        orders.send((order, done)).await.expect("the wire runs until the proxy is dropped");
        wait.await.expect("the wire acknowledges every order");
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already.
            let _ = thread.join();
        }
    }
}

/// The part that lives in the thread.
struct Wire {
    number: u16,
    upstream: SocketAddr,
    meters: Arc<Meters>,
}

impl Wire {
    async fn run(self, listener: TcpListener, mut inbox: mpsc::Receiver<(Order, oneshot::Sender<()>)>) {
        let mut listener = Some(listener);
        let mut connections = JoinSet::new();
        let (conditions, watched) = watch::channel(HEALTHY);
        loop {
            tokio::select! {
                order = inbox.recv() => {
                    let Some((order, done)) = order else { return };
                    match order {
                        Order::DropConnections => connections.shutdown().await,
                        Order::Conditions(fresh) => {
                            conditions.send_replace(fresh);
                            if fresh.link == Link::Cut {
                                listener = None;
                                connections.shutdown().await;
                            } else if listener.is_none() {
                                listener = Some(self.listen_again().await);
                            }
                        }
                    }
                    // The one who ordered may have given up waiting.
                    let _ = done.send(());
                }
                Some(accepted) = accept(listener.as_ref()) => {
                    if let Ok((client, _)) = accepted {
                        self.meters.accepted.fetch_add(1, Ordering::Relaxed);
                        let open = Open::count(Arc::clone(&self.meters));
                        connections.spawn(carry(client, self.upstream, watched.clone(), open));
                    }
                }
                // Ended connections are forgotten as they end.
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn listen_again(&self) -> TcpListener {
        loop {
            match TcpListener::bind(("127.0.0.1", self.number)).await {
                Ok(listener) => return listener,
                Err(trouble) => {
                    eprintln!("fault proxy: port {} cannot be bound again yet: {trouble}", self.number);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// `None` (which disables the branch of a `select!`) without a listener.
async fn accept(listener: Option<&TcpListener>) -> Option<std::io::Result<(TcpStream, SocketAddr)>> {
    match listener {
        Some(listener) => Some(listener.accept().await),
        None => None,
    }
}

/// Counts a connection as open for as long as it lives, however it ends.
struct Open(Arc<Meters>);

impl Open {
    fn count(meters: Arc<Meters>) -> Self {
        meters.open.fetch_add(1, Ordering::Relaxed);
        Self(meters)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn carry(
    client: TcpStream,
    upstream: SocketAddr,
    mut conditions: watch::Receiver<Conditions>,
    open: Open,
) {
    flowing(&mut conditions).await;
    // A refused connection shows as a closed one: a proxy has accepted by then.
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    // Delays are ours to make.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_reader, client_writer) = client.into_split();
    let (server_reader, server_writer) = server.into_split();
    let meters = &open.0;
    // An error in one direction drops all four halves and so ends the other.
    let _ = tokio::try_join!(
        pump(client_reader, server_writer, conditions.clone(), meters),
        pump(server_reader, client_writer, conditions, meters),
    );
}

/// Waits while the wire is half open; a cut one ends the connection's task from outside.
async fn flowing(conditions: &mut watch::Receiver<Conditions>) -> Conditions {
    let up =
        conditions.wait_for(|conditions| conditions.link == Link::Up).await.map(|conditions| *conditions);
    match up {
        Ok(conditions) => conditions,
        // The wire is being torn down with all its connections.
        Err(_) => std::future::pending().await,
    }
}

/// Moves one direction. Reading and writing are separate so that a delay lengthens the wire without narrowing it.
async fn pump(
    mut reader: OwnedReadHalf,
    mut writer: OwnedWriteHalf,
    conditions: watch::Receiver<Conditions>,
    meters: &Meters,
) -> std::io::Result<()> {
    let (sender, mut chunks) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_IN_FLIGHT_MAX);
    let mut read_conditions = conditions.clone();
    let read = async move {
        loop {
            let Conditions { delay, .. } = flowing(&mut read_conditions).await;
            let mut chunk = vec![0; CHUNK_BYTES];
            let count = tokio::select! {
                count = reader.read(&mut chunk) => count?,
                // Look at the conditions again before taking more.
                _ = read_conditions.changed() => continue,
            };
            chunk.truncate(count);
            // An empty chunk is the end; it takes as long as any other.
            if sender.send((Instant::now() + delay, chunk)).await.is_err() || count == 0 {
                return Ok::<_, std::io::Error>(());
            }
        }
    };
    let mut write_conditions = conditions;
    let write = async move {
        while let Some((due, chunk)) = chunks.recv().await {
            tokio::time::sleep_until(due).await;
            let mut rest = chunk.as_slice();
            while !rest.is_empty() {
                let Conditions { bytes_per_second, .. } = flowing(&mut write_conditions).await;
                let (step, pause) = step(bytes_per_second, rest.len());
                tokio::time::sleep(pause).await;
                // Half-open may have begun during the pause.
                flowing(&mut write_conditions).await;
                writer.write_all(&rest[..step]).await?;
                meters.carried_bytes.fetch_add(step as u64, Ordering::Relaxed);
                rest = &rest[step..];
            }
            if chunk.is_empty() {
                flowing(&mut write_conditions).await;
                writer.shutdown().await?;
            }
        }
        Ok(())
    };
    tokio::try_join!(read, write).map(|_| ())
}

/// How many of `waiting` bytes to send next, and how long they take on a wire of this width.
fn step(bytes_per_second: Option<NonZeroU64>, waiting: usize) -> (usize, Duration) {
    let Some(rate) = bytes_per_second else { return (waiting, Duration::ZERO) };
    let per_step = rate.get() * THROTTLE_STEP.as_millis() as u64 / 1_000;
    let bytes = (waiting as u64).min(per_step.max(1));
    (bytes as usize, Duration::from_secs_f64(bytes as f64 / rate.get() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttled_wire_moves_bytes_in_steps_of_its_width() {
        assert_eq!(step(None, 9_000), (9_000, Duration::ZERO));
        assert_eq!(step(NonZeroU64::new(100_000), 9_000), (2_000, Duration::from_millis(20)));
        assert_eq!(step(NonZeroU64::new(10), 9_000), (1, Duration::from_millis(100)));
    }
}
