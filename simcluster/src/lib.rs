//! An in-memory Kubernetes API server with a simulated node.
//!
//! It answers as a real API server (1.36.2) was recorded to answer: status, reason, message, defaulted fields and the
//! sequence of watch events. `kubectl` and `kube` work against it unmodified. There is no global state and no real
//! time: any number of clusters run in one process, under tokio's paused clock too.
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
//! # What there is
//!
//! - [`Cluster`]: the handle. [`Cluster::start`] with [`Options`]; [`Cluster::service`] for `kube::Client::new`, or
//!   [`serve`] on a listener for `kubectl`.
//! - Looking and meddling: [`Cluster::objects`], [`Cluster::object`], [`Cluster::count`], [`Cluster::wait_for`]; by hand [`Cluster::put`],
//!   [`Cluster::change`], [`Cluster::remove`], [`Cluster::set_phase`], [`Cluster::set_status`].
//! - The record of calls: [`Cluster::calls`], [`Cluster::mark`] with [`Cluster::calls_since`],
//!   [`Cluster::count_calls`], [`Cluster::reset_calls`]; each a [`Call`] with its [`Verb`].
//! - Faults: [`Cluster::fault`] takes a [`Rule`] ([`Matcher`], [`Timing`], [`Effect`]). The server as a whole:
//!   [`Cluster::set_away`], [`Cluster::away_for`], [`Cluster::restart`], [`Cluster::snapshot`] with
//!   [`Cluster::restore`]; its watches: [`Cluster::cut_watches`], [`Cluster::stall_watches`],
//!   [`Cluster::expire_watch_window`]; its wall clock: [`Cluster::step_clock`].
//! - The node: [`NodeOptions`] and [`Times`]. What becomes of a Pod is a [`Behaviour`]: chosen by the annotation
//!   [`BEHAVIOUR_ANNOTATION`], for all Pods by [`NodeOptions::behaviour`] and [`Cluster::set_behaviour`], for one by
//!   [`Cluster::set_pod_behaviour`]. Without any a Pod runs and gets ready, unless there is no room for it
//!   ([`Cluster::set_capacity`]) or nothing is heard of the node ([`Cluster::set_node_lost`]).
//! - Sandboxes: with [`Options::sandbox_servers`] each ready Pod behind a `NodePort` Service answers
//!   `GET /v1/sandbox` on its node port of the host, and lists the sessions that [`Cluster::begin_session`] began at
//!   `/v1/shell/sessions`, `/v1/bash/sessions`, `/v1/jupyter/sessions` and `/v1/nodejs/sessions`.
//! - The same switches over HTTP: the endpoint that [`control`] describes.
//! - Access, with the cargo feature `rbac`: [`Options::access`] takes [`AccessOptions`] ([`AccessOptions::rbac`], [`User`]s by their tokens); later
//!   [`Cluster::add_token`], [`Cluster::issue_token`], [`Cluster::revoke_token`], [`Cluster::service_account_token`].
//!   Roles and bindings are objects. Without it everybody may do everything. [`serve_tls`] with [`Tls`] serves HTTPS, and
//!   a [`Kubeconfig`] tells clients how to get there.
//!
//! # Cargo features
//!
//! - `kubectl`: tables, managed fields and server-side apply, strategic merges, `OpenAPI`, the check of all fields, and
//!   bodies in Protobuf.
//! - `rbac`: tokens, roles and bindings, reviews, TLS, kubeconfigs.
//!
//! # What there is not
//!
//! Client certificates and HTTP/2. Responses in Protobuf. `exec`, `attach`, `port-forward`
//! and proxies. Kinds that a sandbox has no use for, custom resources, webhooks. Affinity, priorities, volumes: claims
//! are never bound. What network policies say. Each is refused as a server refuses what it does not have, or kept and
//! without effect; `docs/embedded-cluster.md` has the list.
//!
//! # How it is built
//!
//! `store` remembers and knows nothing of HTTP; `api` does what each verb does to it; `service` stands in front with
//! the record and the faults; `node` and `controllers` are tasks that write to the store as a kubelet and a controller
//! manager would. Decisions (`route`, `selector`, `patch`, `validate`, `defaults`, `faults`, `node::life`,
//! `node::report`) are pure.

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
mod form;
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
mod store;
#[cfg(feature = "kubectl")]
mod table;
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
pub use cluster::{Cluster, HandError};
pub use faults::{ActiveRule, Effect, Matcher, Refusal, Rule, RuleError, RuleId, Timing, WatchFault};
pub use options::{Capacity, NodeOptions, Options, Times};
pub use sandbox::sessions::{Session, SessionKind};
pub use serve::serve;
pub use service::Service;
pub use store::Snapshot;

/// The page on this crate, whose examples are tried as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedded-cluster.md")]
pub struct Page;
