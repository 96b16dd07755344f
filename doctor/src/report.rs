//! Evaluates the checks: each once, after those that it needs.

use std::collections::BTreeMap;

use crate::{
    check::{Check, Outcome},
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
            is_shown.then_some(Entry { check, outcome, blocked_by })
        };
        Self { entries: checks::all().filter_map(entry).collect() }
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

    /// Returns the codes of the checks that failed.
    #[must_use]
    pub fn failures(&self) -> Vec<&'static str> {
        let has_failed = |entry: &&Entry| matches!(entry.outcome, Outcome::Failed(_));
        self.entries.iter().filter(has_failed).map(|entry| entry.check.code).collect()
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
