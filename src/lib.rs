//! Sandbox Provisioner: gives AI-agent backends isolated sandboxes on Kubernetes over a small REST API.
//!
//! The program is this library and a `main` that parses the command line. The face (HTTP) and the cluster
//! never meet: `lifecycle` in the middle owns the traits, the edges implement them, and one module here
//! introduces them to each other.
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
pub mod run;
pub mod settings;
pub mod stdout;
pub mod telemetry;
