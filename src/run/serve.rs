//! `serve`: runs the daemon until a signal.

use std::process::ExitCode;

use super::{Daemon, daemon::Stopped, signals::Signals, start_log, welcome};
use crate::{
    settings::{Embedded, Settings, environment},
    telemetry::spans::{Export, Started},
};

/// The exit status of a shutdown in which requests were refused.
const CUT_SHORT: u8 = 3;

/// Runs the daemon until a signal stops it.
///
/// Exit status: 0 after a shutdown in which every request finished, 1 if it cannot start or a part fails, 3 if
/// requests were refused because of the drain deadline, and 128 plus the signal's number if a second signal stops
/// the daemon at once.
pub async fn serve(settings: Settings) -> ExitCode {
    let Started { export, layer, problem } = Export::start(environment::of_exporter);
    if let Err(error) = start_log(&settings.log, layer) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    if let Some(problem) = problem {
        tracing::warn!("{problem}");
    }
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return failed(&format!("cannot listen for signals: {error}")),
    };
    let embedded = settings.embedded.as_ref().map(|Embedded { sandbox_bind, nodes, api: _ }| {
        simcluster::Cluster::start(simcluster::Options {
            node: Some(simcluster::NodeOptions::several(*nodes)),
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
            "no API key is set (PROVISIONER_AUTH=none): anyone who reaches this address can make and delete sandboxes"
        );
    }
    welcome::print(&settings, daemon.address());
    if let Some(address) = daemon.metrics_address() {
        tracing::info!(%address, "the metrics are on an address of their own");
    }

    tokio::select! {
        ended = daemon.run() => {
            let Err(ended) = ended;
            return failed(&ended.to_string());
        }
        signal = signals.next() => {
            tracing::info!(signal = signal.name(), "shutting down: what is in flight ends first");
        }
    }
    let stopped = tokio::select! {
        stopped = daemon.stop() => finished(stopped),
        signal = signals.next() => {
            tracing::warn!(signal = signal.name(), "a second signal: ending at once");
            return signal.status();
        }
    };
    if let Some(cluster) = embedded {
        cluster.shutdown().await;
    }
    export.stop().await;
    stopped
}

fn finished(Stopped { rejected, cut }: Stopped) -> ExitCode {
    if rejected == 0 && cut == 0 {
        tracing::info!("shut down");
        return ExitCode::SUCCESS;
    }
    tracing::warn!(rejected, cut, "shut down; the drain deadline cut requests short");
    ExitCode::from(CUT_SHORT)
}

fn failed(why: &str) -> ExitCode {
    tracing::error!("{why}");
    ExitCode::FAILURE
}
