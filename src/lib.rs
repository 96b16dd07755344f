//! Sandbox Provisioner: gives AI-agent backends isolated sandboxes on Kubernetes over a small REST API.
//!
//! The program is this library and a `main` that parses the command line. HTTP and the cluster do not depend on
//! each other: `lifecycle` defines the traits, the other crates implement them, and [`run`] connects them.
//!
//! ```text
//!   backend ──HTTP──▸ warp routes ──messages──▸ supervisor ──spawns──▸ one actor per sandbox ──▸ Kubernetes API
//!                         │                                                    ▲                       │
//!                         └────── reads ──▸ status view (DashMap) ◂── phases ──┴──── shared watch ◂────┘
//! ```

pub mod admin;
pub mod cli;
pub mod health;
pub mod http;
pub mod listener;
pub mod metrics;
pub mod run;
pub mod settings;
pub mod stdout;
pub mod telemetry;
