//! `serve`: runs the daemon until a signal.

use std::process::ExitCode;

use super::{
    Daemon,
    daemon::Stopped,
    embedded::EmbeddedClusters,
    reload,
    signals::{Caught, Signals},
    start_log, welcome,
};
use crate::{
    settings::{environment, load::Loaded, problem::Problems, profiles::unoffered},
    telemetry::spans::{Export, Started},
};

/// The exit status of a shutdown in which requests were refused.
const CUT_SHORT: u8 = 3;

/// Runs the daemon until a signal stops it. `reload` reads the settings again, at a SIGHUP.
///
/// Exit status: 0 after a shutdown in which every request finished, 1 if it cannot start or a part fails, 3 if
/// requests were refused because of the drain deadline, and 128 plus the signal's number if a second signal stops
/// the daemon at once.
pub async fn serve(loaded: Loaded, reload: impl Fn() -> Result<Loaded, Problems>) -> ExitCode {
    let mut loaded = loaded;
    let settings = &loaded.settings;
    let Started { export, layer, problem } = Export::start(environment::of_exporter);
    if let Err(error) = start_log(&settings.log, layer) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    if let Some(problem) = problem {
        tracing::warn!("{problem}");
    }
    let mut signals = match Signals::new(loaded.has_file) {
        Ok(signals) => signals,
        Err(error) => return failed(&format!("cannot listen for signals: {error}")),
    };
    let mut embedded = match &settings.embedded {
        Some(options) => {
            let names = settings.clusters.iter().map(|cluster| cluster.name.clone());
            match EmbeddedClusters::start(options.clone(), names).await {
                Ok(clusters) => Some(clusters),
                Err(why) => return failed(&why),
            }
        }
        None => None,
    };
    let clusters = embedded.as_ref().map(EmbeddedClusters::clusters).unwrap_or_default();
    let mut daemon = match Daemon::start(settings, clusters).await {
        Ok(daemon) => daemon,
        Err(error) => return failed(&error.to_string()),
    };
    if settings.http.api_key.is_none() && !daemon.address().ip().is_loopback() {
        tracing::warn!(
            address = %daemon.address(),
            "no API key is set (PROVISIONER_AUTH=none): anyone who reaches this address can make and delete sandboxes"
        );
    }
    for sentence in unoffered(&settings.clusters) {
        tracing::warn!("{sentence}");
    }
    welcome::print(settings, embedded.as_ref(), daemon.address());
    if let Some(address) = daemon.metrics_address() {
        tracing::info!(%address, "the metrics are on an address of their own");
    }

    loop {
        let signal = tokio::select! {
            ended = daemon.run() => {
                let Err(ended) = ended;
                return failed(&ended.to_string());
            }
            signal = signals.next() => signal,
        };
        if signal == Caught::Hangup && loaded.has_file {
            reload::reload(&mut loaded, reload(), &mut daemon, embedded.as_mut()).await;
            continue;
        }
        tracing::info!(signal = signal.name(), "shutting down: what is in flight ends first");
        break;
    }
    let stopped = tokio::select! {
        stopped = daemon.stop() => finished(stopped),
        signal = signals.next() => {
            tracing::warn!(signal = signal.name(), "a second signal: ending at once");
            return signal.status();
        }
    };
    if let Some(clusters) = embedded {
        clusters.shut_down().await;
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
