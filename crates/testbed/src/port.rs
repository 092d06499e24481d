//! Free TCP ports that stay ours until the server that was promised one has bound it.
//!
//! Binding port 0 and letting go again is a race twice over: another test may be given the same number, and any outgoing
//! connection may pick it as its source port. So numbers come from below the kernel's ephemeral range, and each one is
//! reserved, machine-wide and for as long as the [`Port`] lives, by an abstract Unix socket that carries the number in its
//! name. Such a socket is exclusive, belongs to the network namespace as ports do, and ends with its process: nothing is
//! left behind, even after kill -9.

use std::fmt;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Result, Trouble};

const PORT_MIN: u16 = 15_700;
const PORT_MAX_DEFAULT: u16 = 32_767;
const ATTEMPTS_MAX: u32 = 2_000;

/// A port number on loopback, reserved until dropped.
pub struct Port {
    number: u16,
    _reservation: UnixListener,
}

impl Port {
    /// Reserves this very port.
    ///
    /// # Errors
    /// When somebody listens on it or has reserved it.
    pub fn exactly(number: u16) -> Result<Self> {
        match reserve(number) {
            Some(reservation) if nobody_listens(number) => Ok(Self { number, _reservation: reservation }),
            _ => Err(Trouble::Other(format!("port {number} is taken"))),
        }
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({})", self.number)
    }
}

/// Reserves a port that nobody listens on.
///
/// # Errors
/// When a few thousand attempts found none, which means that something else is badly wrong.
pub fn free_port() -> Result<Port> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let span = u32::from(port_max().saturating_sub(PORT_MIN)).max(1);
    // Processes start at different places so that they seldom ask for the same number.
    let origin = std::process::id().wrapping_mul(7_919);
    for _ in 0..ATTEMPTS_MAX {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = origin.wrapping_add(step) % span;
        let number = PORT_MIN + u16::try_from(offset).expect("the span fits a port number");
        if let Ok(port) = Port::exactly(number) {
            return Ok(port);
        }
    }
    Err(Trouble::Other(format!("no free port found between {PORT_MIN} and {}", port_max())))
}

fn reserve(number: u16) -> Option<UnixListener> {
    let name = SocketAddr::from_abstract_name(format!("holdfast-testbed-port-{number}")).ok()?;
    UnixListener::bind_addr(&name).ok()
}

fn nobody_listens(number: u16) -> bool {
    TcpListener::bind(("127.0.0.1", number)).is_ok() && TcpListener::bind(("0.0.0.0", number)).is_ok()
}

/// The last port below the range from which the kernel takes source ports of outgoing connections.
fn port_max() -> u16 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse::<u16>().ok())
        .map_or(PORT_MAX_DEFAULT, |first| if first > PORT_MIN + 1_000 { first - 1 } else { PORT_MAX_DEFAULT })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_port_is_given_to_one_holder_at_a_time() {
        let ports: Vec<Port> = (0..50).map(|_| free_port().unwrap()).collect();
        let distinct: HashSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(distinct.len(), ports.len());
        for port in &ports {
            assert!(reserve(port.number()).is_none(), "{port} could be reserved twice");
        }
        let number = ports[0].number();
        drop(ports);
        assert!(reserve(number).is_some(), "a dropped port is free again");
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_free() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!nobody_listens(listener.local_addr().unwrap().port()));
    }
}
