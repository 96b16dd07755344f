//! An in-memory Kubernetes API server with a simulated node.
//!
//! Its responses are those of a real API server (1.36.2), as recorded: status, reason, message, defaults and the
//! sequence of watch events. `kubectl` and `kube` work with it unmodified. There is no global state and no real time:
//! many clusters run in one process, also with tokio's paused clock.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use simcluster::{Cluster, Effect, Options, Refusal, Rule, Verb};
//!
//! let cluster = Cluster::start(Options::with_namespace("deer-flow"));
//! // let client = kube::Client::new(cluster.service(), "deer-flow");
//! cluster.fault(Rule::new(Effect::Refuse(Refusal::TooManyRequests)).verb(Verb::Create).times(3));
//! assert_eq!(cluster.count("pods", Some("deer-flow")), 0);
//! # }
//! ```
//!
//! # Contents
//!
//! - [`Cluster`]: the handle. [`Cluster::start`] with [`Options`]; [`Cluster::service`] for `kube::Client::new`, or
//!   [`serve`] on a listener for `kubectl`.
//! - Reading and changing objects: [`Cluster::objects`], [`Cluster::object`], [`Cluster::count`],
//!   [`Cluster::wait_for`]; without validation [`Cluster::put`], [`Cluster::change`], [`Cluster::remove`],
//!   [`Cluster::set_phase`], [`Cluster::set_status`].
//! - The call record: [`Cluster::calls`], [`Cluster::mark`] with [`Cluster::calls_since`], [`Cluster::count_calls`],
//!   [`Cluster::reset_calls`]; each [`Call`] has a [`Verb`].
//! - Faults: [`Cluster::fault`] takes a [`Rule`] ([`Matcher`], [`Timing`], [`Effect`]). For the whole server:
//!   [`Cluster::set_away`], [`Cluster::away_for`], [`Cluster::restart`], [`Cluster::snapshot`] with
//!   [`Cluster::restore`]; for watches: [`Cluster::cut_watches`], [`Cluster::stall_watches`],
//!   [`Cluster::expire_watch_window`]; for the wall clock: [`Cluster::step_clock`].
//! - The node: [`NodeOptions`] and [`Times`]. The fate of a Pod is a [`Behaviour`]: set by the annotation
//!   [`BEHAVIOUR_ANNOTATION`], for all Pods by [`NodeOptions::behaviour`] and [`Cluster::set_behaviour`], for one by
//!   [`Cluster::set_pod_behaviour`]. By default a Pod runs and gets ready, unless it exceeds the capacity
//!   ([`Cluster::set_capacity`]) or the node is unreachable ([`Cluster::set_node_lost`]).
//!   Several nodes: [`NodeOptions::several`] and [`OtherNode`].
//! - Releases and storage: [`Options::resize`] and [`Options::standard_class`]; other storage classes are objects.
//! - Sandboxes: with [`Options::sandbox_servers`] each ready Pod of a `NodePort` Service serves `GET /v1/sandbox` on
//!   its node port of the host, and the sessions of [`Cluster::begin_session`] at `/v1/shell/sessions`,
//!   `/v1/bash/sessions`, `/v1/jupyter/sessions` and `/v1/nodejs/sessions`.
//! - The same methods over HTTP: the endpoint that [`control`] describes.
//! - Access, with the cargo feature `rbac`: [`Options::access`] takes [`AccessOptions`] ([`AccessOptions::rbac`],
//!   [`User`]s by their tokens); at run time [`Cluster::add_token`], [`Cluster::issue_token`],
//!   [`Cluster::revoke_token`], [`Cluster::service_account_token`]. Roles and bindings are objects. Without RBAC all
//!   requests are allowed. [`serve_tls`] with [`Tls`] serves HTTPS, and a [`Kubeconfig`] is written for clients.
//!
//! # Cargo features
//!
//! - `kubectl`: tables, managed fields and server-side apply, strategic merges, `OpenAPI`, the check of all fields, and
//!   bodies in Protobuf.
//! - `rbac`: tokens, roles and bindings, reviews, TLS, kubeconfigs.
//! - `custom-resources`: `Options::custom_resources` adds the policies of Cilium and snapshots of volumes.
//!
//! # Limits
//!
//! These are not supported: client certificates and HTTP/2; responses in Protobuf; `exec`, `attach`, `port-forward`
//! and proxies; kinds that sandboxes do not use, other custom resources, webhooks; preemption, the data of snapshots and
//! clones of volumes; the effect of network policies. Requests for them are rejected as a server without them does, or
//! stored without effect. `docs/embedded-cluster.md` has the list.
//!
//! # Structure
//!
//! `store` has the objects and does not know HTTP; `api` implements the verbs on it; `service` applies faults and
//! records calls in front of them; `node`, `controllers` and `storage` are tasks that write to the store as a kubelet
//! and a controller manager do. `route`, `selector`, `patch`, `validate`, `defaults`, `faults`, `node::life` and
//! `node::report` are pure.

mod accept;
#[cfg(feature = "rbac")]
mod access;
mod api;
mod behaviour;
mod body;
mod calls;
mod clock;
mod cluster;
pub mod control;
mod controllers;
mod defaults;
mod discovery;
mod duration;
mod faults;
mod fields;
mod follower;
mod form;
mod label_index;
pub mod network;
mod node;
#[cfg(feature = "kubectl")]
mod openapi;
mod options;
#[cfg(feature = "kubectl")]
mod ownership;
mod page;
mod patch;
mod ports;
#[cfg(feature = "kubectl")]
mod protobuf;
mod query;
mod quote;
mod random;
mod reply;
mod request;
mod requests;
mod resource;
mod route;
mod sandbox;
#[cfg(feature = "kubectl")]
mod schema;
mod selector;
mod serve;
mod service;
mod shared;
mod status;
mod storage;
mod store;
#[cfg(feature = "kubectl")]
mod table;
mod timers;
mod validate;
mod view;

#[cfg(feature = "rbac")]
pub use access::handle::TokenError;
#[cfg(feature = "rbac")]
pub use access::kubeconfig::{Kubeconfig, KubeconfigError};
#[cfg(feature = "rbac")]
pub use access::options::AccessOptions;
#[cfg(feature = "rbac")]
pub use access::tls::{Tls, TlsError, serve_tls};
#[cfg(feature = "rbac")]
pub use access::user::User;
pub use behaviour::{ANNOTATION as BEHAVIOUR_ANNOTATION, Behaviour, BehaviourError, Course};
pub use body::{Body, ConnectionLost};
pub use calls::{Call, CallMark, Verb};
pub use cluster::{ChangeError, Cluster};
pub use faults::{ActiveRule, Effect, Matcher, Refusal, Rule, RuleError, RuleId, Timing, WatchFault};
pub use options::{Capacity, NodeOptions, Options, OtherNode, Resize, Times};
pub use sandbox::sessions::{Session, SessionKind};
pub use serve::serve;
pub use service::Service;
pub use store::Snapshot;

/// The guide to this crate. Its examples run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedded-cluster.md")]
pub struct Page;
