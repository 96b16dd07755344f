//! The actors that carry out what `lifecycle` decides, and the view that every query is answered from.
//!
//! ```text
//!  Sandboxes ──Post, Delete──▸ supervisor ──▸ sandbox (one per id) ──▸ traits::Cluster
//!      │                          ▲  ▲             │        │
//!      │ get, list        Changed │  │ Due         │ writes │ SetTimer
//!      ▼                          │  │             ▼        ▼
//!    View ◂── traits::WatchSink ─────┘  └───────── (View)   timer
//! ```
//!
//! All that changes a sandbox goes through its actor, so requests for one id queue and never race. Reads go
//! to the [`View`](view::View) alone.

mod admission;
mod reaper;
mod sandbox;
pub mod sandboxes;
mod supervisor;
mod timer;
pub mod view;
