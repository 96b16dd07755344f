//! All checks, one file for each group.

mod certificate;
mod connection;
mod daemon;
mod images;
mod json;
mod kubeconfig;
mod namespace;
mod network;
mod node_ports;
mod nodes;
mod rights;
mod sandboxes;
mod settings;
mod storage;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    nodes::named_classes,
    rights::{RIGHTS, Right},
    sandboxes::orphans_of,
    storage::claims_of,
};
use crate::check::Check;

/// Returns all checks in the order of their codes.
pub fn all() -> impl Iterator<Item = &'static Check> {
    const GROUPS: [&[Check]; 13] = [
        settings::CHECKS,
        kubeconfig::CHECKS,
        connection::CHECKS,
        certificate::CHECKS,
        rights::CHECKS,
        namespace::CHECKS,
        storage::CHECKS,
        network::CHECKS,
        nodes::CHECKS,
        images::CHECKS,
        node_ports::CHECKS,
        sandboxes::CHECKS,
        daemon::CHECKS,
    ];
    GROUPS.into_iter().flatten()
}

/// Returns the check with a code.
#[must_use]
pub fn find(code: &str) -> Option<&'static Check> {
    all().find(|check| check.code == code)
}
