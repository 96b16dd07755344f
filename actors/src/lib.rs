//! The actors that carry out what `lifecycle` decides, and the view that every query is answered from.
//!
//! ```text
//!  Sandboxes ──Post, Delete──▸ supervisor ──▸ sandbox (one per id) ──▸ ports::Cluster
//!      │                          ▲  ▲             │        │
//!      │ get, list        Changed │  │ Due         │ writes │ WakeAt
//!      ▼                          │  │             ▼        ▼
//!    View ◂── ports::Watched ─────┘  └───────── (View)   sleeper
//! ```
//!
//! All that changes a sandbox goes through its actor, so requests for one id queue and never race. Reads go
//! to the [`View`](view::View) alone.

mod admission;
mod reaper;
mod sandbox;
pub mod sandboxes;
mod sleeper;
mod supervisor;
pub mod view;
