//! Evaluates the checks: each once, after those that it needs.

use std::collections::BTreeMap;

use lifecycle::ids::ClusterName;

use crate::{
    check::{Check, Outcome, Scope},
    checks,
    facts::Facts,
    selection::Selection,
};

/// The outcomes of all selected checks, in the order of their codes.
#[derive(Debug, Clone)]
pub struct Report {
    /// The outcomes.
    pub entries: Vec<Entry>,
}

/// A check with its outcome.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The check.
    pub check: &'static Check,
    /// The cluster, if the settings have several and the check is about one.
    pub cluster: Option<ClusterName>,
    /// Its outcome.
    pub outcome: Outcome,
    /// The failed check because of which it was skipped.
    pub blocked_by: Option<&'static str>,
}

/// The result of a diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// No check found a fault.
    Passed,
    /// A check warned, and none failed.
    Warned,
    /// A check failed.
    Failed,
}

/// The outcomes so far, and the failed check that blocks a check.
type Done = BTreeMap<&'static str, (Outcome, Option<&'static str>)>;

// === impl Report ===

impl Report {
    /// Runs the selected checks on the facts.
    #[must_use]
    pub fn new(facts: &Facts, selection: &Selection) -> Self {
        let mut done = Done::new();
        for check in checks::all().filter(|check| selection.shows(check)) {
            evaluate(check, facts, selection, &mut done);
        }
        // A check that was not selected is shown if it blocks one that was.
        let entry = |check: &'static Check| {
            let (outcome, blocked_by) = done.get(check.code)?.clone();
            let is_shown = selection.shows(check) || matches!(outcome, Outcome::Failed(_));
            is_shown.then_some(Entry { check, cluster: None, outcome, blocked_by })
        };
        Self { entries: checks::all().filter_map(entry).collect() }
    }

    /// Merges the reports of several clusters. The checks of the settings and of the daemon are the same in each, and stay
    /// once; those of the others have the name of their cluster.
    #[must_use]
    pub fn of_clusters(reports: impl IntoIterator<Item = (ClusterName, Self)>) -> Self {
        let (mut before, mut middle, mut after) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (name, report)) in reports.into_iter().enumerate() {
            for entry in report.entries {
                match (entry.check.scope(), index) {
                    (Scope::Cluster, _) => middle.push(Entry { cluster: Some(name.clone()), ..entry }),
                    (Scope::Settings, 0) => before.push(entry),
                    (Scope::Daemon, 0) => after.push(entry),
                    (Scope::Settings | Scope::Daemon, _) => {}
                }
            }
        }
        Self { entries: before.into_iter().chain(middle).chain(after).collect() }
    }

    /// Returns the result.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let of = |entry: &Entry| match entry.outcome {
            Outcome::Failed(_) => Verdict::Failed,
            Outcome::Warned(_) => Verdict::Warned,
            Outcome::Passed(_) | Outcome::Skipped(_) => Verdict::Passed,
        };
        self.entries.iter().map(of).max().unwrap_or(Verdict::Passed)
    }

    /// Returns the codes of the checks that failed or warned.
    #[must_use]
    pub fn faults(&self) -> Vec<&'static str> {
        let is_fault = |entry: &&Entry| matches!(entry.outcome, Outcome::Failed(_) | Outcome::Warned(_));
        self.entries.iter().filter(is_fault).map(|entry| entry.check.code).collect()
    }

    /// Returns the codes of the checks that failed, each after the name of its cluster.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let has_failed = |entry: &&Entry| matches!(entry.outcome, Outcome::Failed(_));
        self.entries.iter().filter(has_failed).map(Entry::name).collect()
    }
}

// === impl Entry ===

impl Entry {
    /// Returns the code, after the name of the cluster.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.cluster {
            Some(cluster) => format!("{cluster} {}", self.check.code),
            None => self.check.code.to_owned(),
        }
    }
}

/// Evaluates a check after those that it needs. Returns the failed check that blocks those that need this one.
fn evaluate(
    check: &'static Check,
    facts: &Facts,
    selection: &Selection,
    done: &mut Done,
) -> Option<&'static str> {
    if !done.contains_key(check.code) {
        let mut needed = check.needs.iter().filter_map(|code| checks::find(code));
        let blocking = needed.find_map(|needed| evaluate(needed, facts, selection, done));
        let outcome = match blocking {
            Some(code) => Outcome::skipped(format!("needs {code}")),
            None if !selection.runs(check) => {
                Outcome::skipped(format!("runs only with --slow, or as {}", check.code))
            }
            None => (check.run)(facts),
        };
        done.insert(check.code, (outcome, blocking));
    }
    let (outcome, blocked_by) = done.get(check.code)?;
    if matches!(outcome, Outcome::Failed(_)) { Some(check.code) } else { *blocked_by }
}
