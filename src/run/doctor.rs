//! `doctor`: checks the settings, the cluster and the daemon.

use std::{collections::BTreeSet, fmt::Write as _, path::Path, process::ExitCode, time::Duration};

use doctor::{
    Cluster, Daemon, DaemonUrl, Facts, Fixed, Machine, Report, Selection, SettingsFacts, Subject, Verdict,
};
use kubernetes::connect::Connection;
use tokio::time::{Instant, sleep};

use crate::{
    cli::DoctorArgs,
    settings::{Settings, environment::Environment, load, problem::Problems, rules},
    stdout,
};

/// The exit status for an invalid command line, the same as clap's.
const BAD_USAGE: u8 = 2;

/// The interval of the checks of `--wait`.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long the embedded cluster may take until its node is ready.
const EMBEDDED_START: Duration = Duration::from_secs(1);

/// The files that container runtimes make in each container.
const CONTAINER_MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];

/// Runs the checks and prints the report.
///
/// Exit status: 0 if no check failed, 1 if one failed or, with `--strict`, warned, 2 for invalid arguments.
///
/// # Errors
/// Invalid settings.
pub async fn doctor(args: DoctorArgs, environment: &Environment) -> Result<ExitCode, Problems> {
    let selection = match Selection::parse(&args.checks, args.slow) {
        Ok(selection) => selection,
        Err(error) => return Ok(bad_usage(&error.to_string())),
    };
    if args.list {
        let listed = stdout::deliver(&list(&selection));
        return Ok(if listed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let url: Option<DaemonUrl> = match args.url.as_deref().map(str::parse).transpose() {
        Ok(url) => url,
        Err(error) => return Ok(bad_usage(&format!("--url: {error}"))),
    };
    let (config, flags) = (args.settings.config.as_deref(), &args.settings.flags.0);
    let settings = load::for_looking(config, environment, flags)?.settings;
    let serving = load::for_serving(config, environment, flags);
    let problems = serving.err().map(|problems| problems.0.iter().map(ToString::to_string).collect());
    let mut subject = Subject {
        settings: facts_of(&settings, problems.unwrap_or_default()),
        machine: machine(environment),
        cluster: cluster(&settings).await,
        daemon: daemon(&settings, url),
    };
    let facts = settled(&mut subject, &selection, &args).await;
    Ok(finish(&subject, facts, &selection, &args).await)
}

/// Gathers facts, with `--wait` until no check fails or the time is over.
async fn settled(subject: &mut Subject, selection: &Selection, args: &DoctorArgs) -> Facts {
    let end = args.wait.map(|wait| Instant::now() + wait);
    let mut told = Vec::new();
    loop {
        subject.machine.now = jiff::Timestamp::now();
        let facts = doctor::gather(subject, selection, args.timeout).await;
        let failures = Report::new(&facts, selection).failures();
        let Some(end) = end.filter(|end| !failures.is_empty() && Instant::now() + INTERVAL < *end) else {
            return facts;
        };
        if told != failures {
            let left = end.saturating_duration_since(Instant::now()).as_secs();
            eprintln!("waiting for {}, at most {left} s", failures.join(", "));
            told = failures;
        }
        sleep(INTERVAL).await;
    }
}

/// Deletes orphans if asked, and prints the report.
async fn finish(subject: &Subject, facts: Facts, selection: &Selection, args: &DoctorArgs) -> ExitCode {
    let mut facts = facts;
    let mut fixed: Option<Vec<Fixed>> = None;
    let mut has_failed = false;
    if args.fix {
        match doctor::fix(subject, &facts).await {
            Ok(done) => {
                has_failed = done.iter().any(|fixed| fixed.result.is_err());
                if !done.is_empty() {
                    facts = doctor::gather(subject, selection, args.timeout).await;
                }
                fixed = Some(done);
            }
            Err(why) => {
                eprintln!("error: {why}");
                has_failed = true;
            }
        }
    }
    let report = Report::new(&facts, selection);
    let is_shown = stdout::deliver(&args.output.show(&report, fixed.as_deref()));
    let is_fault = match report.verdict() {
        Verdict::Passed => false,
        Verdict::Warned => args.strict,
        Verdict::Failed => true,
    };
    if is_fault || has_failed || !is_shown { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn bad_usage(why: &str) -> ExitCode {
    eprintln!("error: {why}");
    ExitCode::from(BAD_USAGE)
}

fn list(selection: &Selection) -> String {
    let mut text = String::new();
    let mut groups = BTreeSet::new();
    for check in doctor::all().filter(|check| selection.shows(check)) {
        if groups.insert(check.group) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", check.group);
        }
        let slow = if check.is_slow { " (slow)" } else { "" };
        let _ = writeln!(text, "  {}  {}{slow}", check.code, check.title);
    }
    text
}

fn facts_of(settings: &Settings, problems: Vec<String>) -> SettingsFacts {
    SettingsFacts {
        problems,
        listen: Some(settings.http.listen),
        has_key: settings.http.api_key.is_some(),
        template: settings.clusters.first.template.clone(),
        reads_metrics: settings.clusters.first.probes.idle_cpu_millis.is_some(),
        reads_logs: settings.clusters.first.kubernetes.exit_log_lines > 0,
    }
}

fn machine(environment: &Environment) -> Machine {
    let is_pod = environment.in_cluster().is_some();
    let has_mark = CONTAINER_MARKS.iter().any(|mark| Path::new(mark).exists());
    Machine { is_container: is_pod || has_mark, is_pod, now: jiff::Timestamp::now() }
}

/// Returns the cluster of the settings. The embedded one is in the daemon, and a new one has the same objects as it had at
/// its start.
async fn cluster(settings: &Settings) -> Cluster {
    let Some(embedded) = &settings.embedded else {
        return Cluster::Configured(settings.clusters.first.kubernetes.connect.clone());
    };
    let namespace = settings.clusters.first.template.namespace.clone();
    let cluster = simcluster::Cluster::start(simcluster::Options {
        node: Some(simcluster::NodeOptions::several(embedded.nodes)),
        namespaces: vec![namespace.clone()],
        ..simcluster::Options::default()
    });
    // Without a node the checks of nodes fail, which is then right.
    let _ = cluster.wait_for("nodes", None, EMBEDDED_START, |nodes| nodes.len() >= embedded.nodes).await;
    let connection =
        Connection::from_service(cluster.service(), &namespace, settings.clusters.first.kubernetes.limits);
    Cluster::Embedded { connection, has_sandboxes: false }
}

fn daemon(settings: &Settings, named: Option<DaemonUrl>) -> Daemon {
    let reachable = |mut address: std::net::SocketAddr| {
        address.set_ip(rules::reachable(address.ip()));
        DaemonUrl::of(address)
    };
    let is_named = named.is_some();
    let url = named.unwrap_or_else(|| reachable(settings.http.listen));
    let metrics = match settings.http.metrics_listen {
        Some(listen) => reachable(listen),
        None => url.clone(),
    };
    Daemon {
        url,
        is_named,
        metrics: Some(metrics),
        key: settings.http.api_key.clone(),
        version: env!("CARGO_PKG_VERSION"),
    }
}
