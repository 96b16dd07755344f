//! Builds the parts of the program, owns the handle of every task, and starts and stops them in order.

mod attach;
mod cluster;
mod core;
mod daemon;
mod render;
mod serve;
mod signals;
mod welcome;

pub use self::{
    cluster::cluster,
    core::Core,
    daemon::{Daemon, StartError, Stopped},
    render::render,
    serve::serve,
};

use crate::{
    settings::{Log, LogFormat},
    telemetry::{self, Format, TelemetryError},
};

fn start_log(log: &Log) -> Result<(), TelemetryError> {
    let format = match log.format {
        LogFormat::Auto => Format::Auto,
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    telemetry::init(&log.level.to_string(), format)
}
