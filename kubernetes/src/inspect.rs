//! Examines the connection to a cluster step by step, and reads the facts of a diagnosis. It changes nothing.
//!
//! ```text
//!   Options ──▸ access ──▸ reach: name, port, TLS ──▸ call ──▸ JSON of the API server
//!                                                       └──▸ sandboxes: the objects of the namespace
//! ```
//!
//! It uses the same kubeconfig, credentials, TLS configuration and classification of errors as the daemon.

mod access;
mod call;
mod policies;
mod reach;
mod sandboxes;

pub use self::{
    access::{Access, OpenError, Opened, Origin, open},
    call::{Failure, create, get, text},
    policies::{PolicyState, network_policies},
    reach::{ReachError, TlsFault, reach},
    sandboxes::{Listing, PodState, SandboxObjects, ServiceState, list_sandboxes},
};
pub use crate::{
    certificate::Validity,
    client::ClientError,
    credentials::{CredentialsError, PluginError},
    quota::{QuotaUse, quota_uses},
    tls::TlsError,
};
