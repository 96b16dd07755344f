//! `serve`: the daemon, from start to signal.

use std::process::ExitCode;

use super::{Daemon, signals::Signals, start_log, welcome};
use crate::settings::{Embedded, Settings};

/// Runs the daemon until it is told to stop.
///
/// Exit status: 0 after a shutdown in good order, 1 when it cannot start or a part of it fails, 130 when a
/// second signal cuts the shutdown short.
pub async fn serve(settings: Settings) -> ExitCode {
    if let Err(error) = start_log(&settings.log) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return failed(&format!("cannot listen for signals: {error}")),
    };
    let embedded = settings.embedded.as_ref().map(|Embedded { sandbox_bind }| {
        simcluster::Cluster::start(simcluster::Options {
            sandbox_servers: Some(*sandbox_bind),
            ..simcluster::Options::default()
        })
    });
    let mut daemon = match Daemon::start(&settings, embedded.clone()).await {
        Ok(daemon) => daemon,
        Err(error) => return failed(&error.to_string()),
    };
    if settings.http.api_key.is_none() && !daemon.address().ip().is_loopback() {
        tracing::warn!(
            address = %daemon.address(),
            "no API key is set (PROVISIONER_AUTH=none): whoever reaches this address can make and delete sandboxes"
        );
    }
    welcome::print(&settings, daemon.address());

    tokio::select! {
        ended = daemon.run() => {
            let Err(ended) = ended;
            return failed(&ended.to_string());
        }
        signal = signals.next() => tracing::info!(signal, "shutting down: what is in flight ends first"),
    }
    tokio::select! {
        drained = daemon.stop() => tracing::info!(cut = drained.cut, "shut down"),
        signal = signals.next() => {
            tracing::warn!(signal, "a second signal: ending at once");
            return ExitCode::from(130);
        }
    }
    if let Some(cluster) = embedded {
        cluster.shutdown().await;
    }
    ExitCode::SUCCESS
}

fn failed(why: &str) -> ExitCode {
    tracing::error!("{why}");
    ExitCode::FAILURE
}
