//! The actors that carry out what lifecycle decides.

pub mod sandboxes;
