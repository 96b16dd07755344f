//! The two programs that the node simulates, for Pods that test the network:
//!
//! ```text
//!   sh -c SCRIPT until-reachable ADDRESS PORT    ends with 0 once a connection to the port succeeds
//!   sh -c SCRIPT until-blocked ADDRESS PORT      ends with 0 once it fails, and with 3 if it still succeeds after 30 s
//! ```

use std::net::IpAddr;

use serde_json::Value;

/// A simulated program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Program {
    /// Whether it waits until the port can be reached, or until it cannot.
    pub until: bool,
    /// The address to which it connects.
    pub address: IpAddr,
    /// The port to which it connects.
    pub port: u16,
}

/// How often a program tries, once a second.
pub(crate) const TRIES: u32 = 30;

// === impl Program ===

impl Program {
    /// Returns the program of a container; `None` if it has another one.
    pub fn of(container: &Value) -> Option<Self> {
        let command: Vec<_> = container["command"].as_array()?.iter().filter_map(Value::as_str).collect();
        let ["sh", "-c", _, name, address, port, ..] = command[..] else { return None };
        let until = match name {
            "until-reachable" => true,
            "until-blocked" => false,
            _ => return None,
        };
        Some(Self { until, address: address.parse().ok()?, port: port.parse().ok()? })
    }
}
