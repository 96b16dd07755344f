//! The actors that execute what `lifecycle` decides, and the view that answers all reads.
//!
//! ```text
//!  Sandboxes ──Post, Delete──▸ supervisor ──▸ sandbox (one per id) ──▸ traits::Cluster
//!      │                        ▲      ▲          │          │
//!      │ get, list      Changed │      │ Due      │ writes   │ SetTimer
//!      ▼                        │      │          ▼          ▼
//!    View ──────────────────────┘      │       (View)      timer
//!      ▲                               └─────────────────────┘
//!      └── traits::WatchSink
//! ```
//!
//! Every change of a sandbox goes through its actor, so requests for one id queue and never race. Reads use only the
//! [`View`](view::View).

mod admission;
mod limiter;
mod log_stream;
mod mailbox;
mod messages;
mod metrics;
mod reap_log;
mod recent;
mod sandbox;
pub mod sandboxes;
pub mod state;
pub mod streams;
mod supervisor;
mod timelines;
mod timer;
pub mod view;
pub mod workspaces;
mod write_log;
