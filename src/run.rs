//! Builds the parts of the program, owns the handle of every task, and starts and stops them in order.

mod attach;
mod cluster;
mod core;
mod daemon;
mod doctor;
mod embedded;
mod profiles;
mod reload;
mod render;
mod serve;
mod signals;
mod stack;
mod staleness;
mod welcome;

pub use self::{
    cluster::cluster,
    core::Core,
    daemon::{Daemon, StartError, Stopped},
    doctor::doctor,
    render::{render, render_network_policies},
    serve::serve,
};

use crate::{
    settings::Log,
    telemetry::{self, TelemetryError, spans::SpanLayer},
};

fn start_log(log: &Log, export: Option<SpanLayer>) -> Result<(), TelemetryError> {
    telemetry::init(log.level.as_str(), log.format, export)
}
