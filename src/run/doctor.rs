//! `doctor`: checks the settings, the cluster and the daemon.

use std::{collections::BTreeSet, fmt::Write as _, path::Path, process::ExitCode, time::Duration};

use doctor::{
    Cluster, Daemon, DaemonUrl, Facts, Fixed, Machine, Report, Selection, SettingsFacts, Subject, Verdict,
};
use futures::future::join_all;
use kubernetes::connect::Connection;
use lifecycle::ids::ProfileName;
use tokio::time::{Instant, sleep};

use crate::{
    cli::DoctorArgs,
    settings::{
        ClusterSettings, Settings, environment::Environment, load, problem::Problems, profiles::unoffered,
        rules,
    },
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
    let chosen: Vec<_> = match &args.cluster {
        None => settings.clusters.iter().collect(),
        Some(name) => settings.clusters.get(name).into_iter().collect(),
    };
    if let (true, Some(name)) = (chosen.is_empty(), &args.cluster) {
        let names = settings.clusters.names();
        return Ok(bad_usage(&format!("--cluster: there is no cluster '{name}'; the settings have {names}")));
    }
    let problems: Vec<String> = problems.unwrap_or_default();
    let are_several = chosen.len() > 1;
    let subjects = chosen.into_iter().map(async |of| Subject {
        settings: facts_of(&settings, of, problems.clone()),
        machine: machine(environment),
        cluster: cluster(&settings, of).await,
        name: settings.clusters.are_several().then(|| of.name.clone()),
        daemon: daemon(&settings, url.clone()),
    });
    let diagnosis = Diagnosis { subjects: join_all(subjects).await, are_several, selection };
    Ok(finish(diagnosis, &args).await)
}

/// The clusters to check.
struct Diagnosis {
    subjects: Vec<Subject>,
    /// Whether each line names its cluster.
    are_several: bool,
    selection: Selection,
}

impl Diagnosis {
    /// Gathers the facts of all clusters, at the same time.
    async fn gather(&mut self, args: &DoctorArgs) -> Vec<Facts> {
        let now = jiff::Timestamp::now();
        for subject in &mut self.subjects {
            subject.machine.now = now;
        }
        let gather = |subject| doctor::gather(subject, &self.selection, args.timeout);
        let mut facts = join_all(self.subjects.iter().map(gather)).await;
        let names = self.subjects.iter().filter_map(|subject| subject.name.as_ref());
        doctor::find_doubles(names.zip(&mut facts));
        facts
    }

    fn report(&self, facts: &[Facts]) -> Report {
        let reports = facts.iter().map(|facts| Report::new(facts, &self.selection));
        if self.are_several {
            let named = |(subject, report): (&Subject, _)| (subject.name.clone().unwrap_or_default(), report);
            Report::of_clusters(self.subjects.iter().zip(reports).map(named))
        } else {
            Report { entries: reports.flat_map(|report| report.entries).collect() }
        }
    }

    /// Gathers facts, with `--wait` until no check fails or the time is over.
    async fn settle(&mut self, args: &DoctorArgs) -> Vec<Facts> {
        let end = args.wait.map(|wait| Instant::now() + wait);
        let mut told = Vec::new();
        loop {
            let facts = self.gather(args).await;
            let failures = self.report(&facts).failures();
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

    /// Deletes the orphans of each cluster. Returns their fates, and an error for each cluster where nothing can be deleted.
    async fn fix(&self, facts: &[Facts]) -> (Vec<Fixed>, Vec<String>) {
        let (mut fixed, mut errors) = (Vec::new(), Vec::new());
        for (subject, facts) in self.subjects.iter().zip(facts) {
            let name = subject.name.as_ref().filter(|_| self.are_several);
            let of = name.map_or_else(String::new, |name| format!("{name}: "));
            match doctor::fix(subject, facts).await {
                Ok(done) => fixed.extend(
                    done.into_iter().map(|one| Fixed { object: format!("{of}{}", one.object), ..one }),
                ),
                Err(why) => errors.push(format!("{of}{why}")),
            }
        }
        (fixed, errors)
    }
}

/// Checks, deletes orphans if asked, and prints the report.
async fn finish(mut diagnosis: Diagnosis, args: &DoctorArgs) -> ExitCode {
    let mut facts = diagnosis.settle(args).await;
    let mut fixed: Option<Vec<Fixed>> = None;
    let mut has_failed = false;
    if args.fix {
        let (done, errors) = diagnosis.fix(&facts).await;
        for why in &errors {
            eprintln!("error: {why}");
        }
        has_failed = !errors.is_empty() || done.iter().any(|fixed| fixed.result.is_err());
        if !done.is_empty() {
            facts = diagnosis.gather(args).await;
        }
        fixed = Some(done).filter(|done| !done.is_empty() || errors.is_empty());
    }
    let report = diagnosis.report(&facts);
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

fn facts_of(settings: &Settings, cluster: &ClusterSettings, problems: Vec<String>) -> SettingsFacts {
    // A profile that the cluster does not offer needs nothing of it. A request without a profile counts as one with the
    // default profile, whose absence would mean the bare settings.
    let mut template = cluster.template.clone();
    template
        .profiles
        .retain(|name| cluster.terms.offers(Some(name)) || *name == ProfileName::default_profile());
    SettingsFacts {
        problems,
        listen: Some(settings.http.listen),
        has_key: settings.http.api_key.is_some(),
        unoffered_profiles: unoffered(&settings.clusters),
        template,
        reads_metrics: cluster.probes.idle_cpu_millis.is_some(),
        reads_logs: cluster.kubernetes.exit_log_lines > 0,
    }
}

fn machine(environment: &Environment) -> Machine {
    let is_pod = environment.in_cluster().is_some();
    let has_mark = CONTAINER_MARKS.iter().any(|mark| Path::new(mark).exists());
    Machine { is_container: is_pod || has_mark, is_pod, now: jiff::Timestamp::now() }
}

/// Returns the cluster of the settings. The embedded one is in the daemon, and a new one has the same objects as it had at
/// its start.
async fn cluster(settings: &Settings, of: &ClusterSettings) -> Cluster {
    let Some(embedded) = &settings.embedded else {
        return Cluster::Configured(of.kubernetes.connect.clone());
    };
    let namespace = of.template.namespace.clone();
    let cluster = simcluster::Cluster::start(simcluster::Options {
        node: Some(simcluster::NodeOptions::several(embedded.nodes)),
        namespaces: vec![namespace.clone()],
        ..simcluster::Options::default()
    });
    // Without a node the checks of nodes fail, which is then right.
    let _ = cluster.wait_for("nodes", None, EMBEDDED_START, |nodes| nodes.len() >= embedded.nodes).await;
    let connection = Connection::from_service(cluster.service(), &namespace, of.kubernetes.limits);
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
