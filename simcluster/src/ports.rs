//! The allocation of node ports and cluster addresses.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use serde_json::Value;
use tokio::net::TcpSocket;

use crate::fields::items;
use crate::random::Random;

/// The node ports of a cluster.
#[derive(Debug)]
pub(crate) struct NodePorts {
    range: RangeInclusive<u16>,
    /// The address on the host where ports are reserved; `None` if they exist in the cluster only.
    host: Option<IpAddr>,
    allocated: BTreeMap<u16, Option<ReservedPort>>,
}

/// A reserved port on the host: bound but not listening, so that connections are refused and no other process gets it.
#[derive(Debug)]
pub(crate) struct ReservedPort(TcpSocket);

/// Why a port was not allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PortError {
    #[error("provided port is already allocated")]
    Allocated,
    #[error("provided port is not in the valid range")]
    OutOfRange,
    #[error("range is full")]
    Full,
}

/// The cluster addresses in use.
#[derive(Debug, Default)]
pub(crate) struct ClusterAddresses(HashSet<Ipv4Addr>);

/// Returns the node ports of a Service.
pub(crate) fn node_ports(service: &Value) -> Vec<u16> {
    items(&service["spec"]["ports"])
        .filter_map(|port| u16::try_from(port["nodePort"].as_u64()?).ok())
        .filter(|port| *port != 0)
        .collect()
}

// === impl NodePorts ===

impl NodePorts {
    pub fn new(range: RangeInclusive<u16>, host: Option<IpAddr>) -> Self {
        Self { range, host, allocated: BTreeMap::new() }
    }

    /// Returns the range as messages print it.
    pub fn range_text(&self) -> String {
        format!("{}-{}", self.range.start(), self.range.end())
    }

    /// Allocates a given port.
    pub fn allocate(&mut self, port: u16) -> Result<(), PortError> {
        if !self.range.contains(&port) {
            return Err(PortError::OutOfRange);
        }
        if self.allocated.contains_key(&port) {
            return Err(PortError::Allocated);
        }
        let held = self.hold(port).map_err(|_| PortError::Allocated)?;
        self.allocated.insert(port, held);
        Ok(())
    }

    /// Allocates a free port that is also free on the host. The search starts at a random port, so that a released
    /// port is seldom reused at once.
    pub fn allocate_any(&mut self, random: &mut Random) -> Result<u16, PortError> {
        let (first, last) = (*self.range.start(), *self.range.end());
        let size = u64::from(last.saturating_sub(first)) + 1;
        if self.range.is_empty() || self.allocated.len() as u64 >= size {
            return Err(PortError::Full);
        }
        let start = u16::try_from(random.below(size)).unwrap_or(0) + first;
        (start..=last).chain(first..start).find(|port| self.allocate(*port).is_ok()).ok_or(PortError::Full)
    }

    /// Releases a port.
    pub fn release(&mut self, port: u16) {
        self.allocated.remove(&port);
    }

    /// Moves the host's side of a port to its server.
    pub fn claim(&mut self, port: u16) -> Option<ReservedPort> {
        self.allocated.get_mut(&port)?.take()
    }

    fn hold(&self, port: u16) -> std::io::Result<Option<ReservedPort>> {
        let Some(host) = self.host else { return Ok(None) };
        let socket = if host.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(SocketAddr::new(host, port))?;
        Ok(Some(ReservedPort(socket)))
    }
}

// === impl ReservedPort ===

impl ReservedPort {
    /// Starts to accept connections. The backlog is short, because a sandbox accepts immediately.
    pub fn listen(self) -> std::io::Result<tokio::net::TcpListener> {
        self.0.listen(128)
    }

    /// Stops accepting and keeps the port. A listening socket that is shut down is only bound again. The standard
    /// library has `shutdown` for streams only, hence the conversion.
    pub fn resume(listener: tokio::net::TcpListener) -> std::io::Result<Self> {
        let socket = std::net::TcpStream::from(std::os::fd::OwnedFd::from(listener.into_std()?));
        socket.shutdown(std::net::Shutdown::Read)?;
        Ok(Self(TcpSocket::from_std_stream(socket)))
    }
}

// === impl ClusterAddresses ===

impl ClusterAddresses {
    /// Allocates a free address of 10.96.0.0/16.
    pub fn allocate_any(&mut self, random: &mut Random) -> Ipv4Addr {
        loop {
            let [.., c, d] = random.below(0xfffd).wrapping_add(1).to_be_bytes();
            let address = Ipv4Addr::new(10, 96, c, d);
            if self.0.len() >= 0xfff0 || self.0.insert(address) {
                return address;
            }
        }
    }

    /// Allocates a given address. Returns false if it is in use.
    pub fn allocate(&mut self, address: Ipv4Addr) -> bool {
        self.0.insert(address)
    }

    pub fn release(&mut self, address: Ipv4Addr) {
        self.0.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_range_is_exhausted_and_a_released_port_is_reused() {
        let mut random = Random::seeded(1);
        let mut ports = NodePorts::new(30000..=30002, None);
        let mut got: Vec<_> = (0..3).map(|_| ports.allocate_any(&mut random).unwrap()).collect();
        got.sort_unstable();
        assert_eq!(got, [30000, 30001, 30002]);
        assert_eq!(ports.allocate_any(&mut random), Err(PortError::Full));
        ports.release(30001);
        assert_eq!(ports.allocate_any(&mut random), Ok(30001));
        assert_eq!(ports.allocate(30001), Err(PortError::Allocated));
        assert_eq!(ports.allocate(80), Err(PortError::OutOfRange));
    }

    /// Guards that an allocated port works: a port that another process uses on the host is never allocated.
    #[tokio::test]
    async fn a_port_in_use_on_the_host_is_skipped() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let mut ports = NodePorts::new(port..=port, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(ports.allocate_any(&mut Random::seeded(1)), Err(PortError::Full));
    }

    /// Guards that connections are refused while no Pod is ready, and that the port stays reserved.
    #[tokio::test]
    async fn a_port_can_stop_listening_and_start_again() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut ports = NodePorts::new(free.port()..=free.port(), Some(free.ip()));
        ports.allocate(free.port()).unwrap();
        let held = ports.claim(free.port()).unwrap();
        assert!(std::net::TcpStream::connect(free).is_err());
        let listener = held.listen().unwrap();
        assert!(std::net::TcpStream::connect(free).is_ok());
        let held = ReservedPort::resume(listener).unwrap();
        assert!(std::net::TcpStream::connect(free).is_err());
        assert!(std::net::TcpListener::bind(free).is_err());
        let _listener = held.listen().unwrap();
        assert!(std::net::TcpStream::connect(free).is_ok());
    }
}
