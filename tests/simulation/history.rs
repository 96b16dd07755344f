//! A record of a simulation, to understand a failure and to compare two runs.

use std::{cell::RefCell, fmt::Display, panic::AssertUnwindSafe, rc::Rc, time::Duration};

use simcluster::{Call, Cluster};
use tokio::time::Instant;

/// The number of lines that are printed after a failure.
const SHOWN: usize = 80;

/// A record of notes and of calls to the API server, with their times. Clones share the record.
#[derive(Clone, Default)]
pub struct History(Rc<RefCell<Record>>);

#[derive(Default)]
struct Record {
    /// The clusters, with what stands before the names of their resources.
    clusters: Vec<(&'static str, Cluster)>,
    start: Option<Instant>,
    noted: Vec<(Duration, String)>,
}

impl History {
    /// Includes the calls to this cluster, which was just started, with these words.
    pub fn follow(&self, words: &'static str, cluster: &Cluster) {
        let mut record = self.0.borrow_mut();
        record.clusters.push((words, cluster.clone()));
        record.start = Some(Instant::now());
    }

    /// Adds a line.
    pub fn note(&self, what: impl Display) {
        let mut record = self.0.borrow_mut();
        let at = record.start.map(|start| start.elapsed()).unwrap_or_default();
        record.noted.push((at, what.to_string()));
    }

    /// Returns all lines in the order of time.
    pub fn lines(&self) -> Vec<String> {
        let record = self.0.borrow();
        let calls = record.clusters.iter().flat_map(|(words, cluster)| {
            cluster.calls().into_iter().map(move |call| (call.at, format!("    {words}{}", in_short(&call))))
        });
        let mut all: Vec<_> = calls.chain(record.noted.iter().cloned()).collect();
        all.sort_by_key(|(at, _)| *at);
        all.into_iter().map(|(at, what)| format!("{:>9.3} s  {what}", at.as_secs_f64())).collect()
    }

    /// Runs what records a history. After a failure, prints the last lines and a hint.
    pub fn record<T>(hint: impl Display, run: impl FnOnce(Self) -> T) -> T {
        let history = Self::default();
        let recorded = history.clone();
        std::panic::catch_unwind(AssertUnwindSafe(|| run(recorded))).unwrap_or_else(|panic| {
            let lines = history.lines();
            eprintln!("{}\n{hint}", lines[lines.len().saturating_sub(SHOWN)..].join("\n"));
            std::panic::resume_unwind(panic)
        })
    }
}

fn in_short(call: &Call) -> String {
    let Call { verb, resource, name, status, .. } = call;
    let status = status.map_or("no answer".to_owned(), |status| status.to_string());
    let name = name.as_deref().unwrap_or_default();
    // The name of an Event ends with the time of this machine's clock, which no seed decides.
    let name = if *resource == "events" { name.split('.').next().unwrap_or_default() } else { name };
    format!("{verb} {resource} {name}: {status}")
}
