//! The forms of a report: a table, short lines, or JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    check::{Finding, Outcome},
    fix::Fixed,
    report::{Entry, Report, Verdict},
};

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// All checks by groups, with the cause and the remedy of each fault.
    #[default]
    Table,
    /// One line for each fault.
    Short,
    /// One JSON object.
    Json,
}

// === impl Format ===

impl Format {
    /// Returns a report as text. `fixed` is the result of a fix, if there was one.
    #[must_use]
    pub fn show(self, report: &Report, fixed: Option<&[Fixed]>) -> String {
        match self {
            Self::Table => table(report, fixed),
            Self::Short => short(report, fixed),
            Self::Json => format!("{:#}\n", to_json(report, fixed)),
        }
    }
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "table" => Ok(Self::Table),
            "short" => Ok(Self::Short),
            "json" => Ok(Self::Json),
            _ => Err("expected table, short or json".to_owned()),
        }
    }
}

/// Shows all checks. Writing to a String cannot fail.
fn table(report: &Report, fixed: Option<&[Fixed]>) -> String {
    let mut text = String::new();
    let mut group = None;
    // Consecutive checks that were skipped for the same reason share a line.
    let is_same = |one: &Entry, other: &Entry| {
        matches!(one.outcome, Outcome::Skipped(_))
            && one.outcome == other.outcome
            && (one.check.group, &one.cluster) == (other.check.group, &other.cluster)
    };
    for entries in report.entries.chunk_by(is_same) {
        let [entry, rest @ ..] = entries else { continue };
        let heading = (&entry.cluster, entry.check.group);
        if group != Some(heading) {
            let gap = if group.is_none() { "" } else { "\n" };
            let _ = match &entry.cluster {
                Some(cluster) => writeln!(text, "{gap}{} of {cluster}", entry.check.group),
                None => writeln!(text, "{gap}{}", entry.check.group),
            };
            group = Some(heading);
        }
        let of = entry.cluster.as_ref().map_or_else(String::new, |cluster| format!("{cluster}: "));
        let _ = match (rest.last(), &entry.outcome) {
            (Some(last), Outcome::Skipped(why)) => {
                let (first, last) = (entry.check.code, last.check.code);
                writeln!(text, "  skip  {first} to {last}  {of}{} checks ({})", entries.len(), one_line(why))
            }
            _ => writeln!(text, "  {:<4}  {}  {of}{}", word(&entry.outcome), entry.check.code, line(entry)),
        };
        if let Some(Finding { found, cause, action }) = finding(entry) {
            for (name, value) in
                [("found", found), ("cause", cause), ("do", action), ("see", &entry.check.doc())]
            {
                let _ = writeln!(text, "        {:<7}{}", format!("{name}:"), one_line(value));
            }
        }
    }
    if fixed.is_some() {
        text.push('\n');
    }
    show_fixed(&mut text, fixed);
    let _ = writeln!(text, "\n{}", summary(report));
    text
}

fn short(report: &Report, fixed: Option<&[Fixed]>) -> String {
    let mut text = String::new();
    for entry in &report.entries {
        if let Some(Finding { found, action, .. }) = finding(entry) {
            let word = if matches!(entry.outcome, Outcome::Failed(_)) { "failed" } else { "warning" };
            let name = entry.name();
            let _ = writeln!(text, "{name} {word}: {}; {}", one_line(found), one_line(action));
        }
    }
    show_fixed(&mut text, fixed);
    let _ = writeln!(text, "{}", summary(report));
    text
}

fn show_fixed(text: &mut String, fixed: Option<&[Fixed]>) {
    let _ = match fixed {
        None => Ok(()),
        Some([]) => writeln!(text, "there is no orphan to delete"),
        Some(fixed) => fixed.iter().try_for_each(|line| writeln!(text, "{}", one_line(&line.to_string()))),
    };
}

fn to_json(report: &Report, fixed: Option<&[Fixed]>) -> Value {
    let checks: Vec<_> = report.entries.iter().map(entry_json).collect();
    let status = match report.verdict() {
        Verdict::Passed => "passed",
        Verdict::Warned => "warning",
        Verdict::Failed => "failed",
    };
    let mut value = json!({ "status": status, "checks": checks });
    if let Some(fixed) = fixed {
        value["fixed"] = fixed.iter().map(Fixed::to_json).collect();
    }
    value
}

fn entry_json(entry: &Entry) -> Value {
    let check = entry.check;
    let mut value = json!({
        "code": check.code,
        "group": check.group.name(),
        "title": check.title,
        "status": status(&entry.outcome),
        "needs": check.needs,
        "doc": check.doc(),
    });
    match &entry.outcome {
        Outcome::Passed(details) if details.is_empty() => {}
        Outcome::Passed(details) => value["details"] = details.as_str().into(),
        Outcome::Skipped(why) => value["details"] = why.as_str().into(),
        Outcome::Warned(finding) | Outcome::Failed(finding) => {
            value["found"] = finding.found.as_str().into();
            value["cause"] = finding.cause.as_str().into();
            value["action"] = finding.action.as_str().into();
        }
    }
    if let Some(cluster) = &entry.cluster {
        value["cluster"] = cluster.as_str().into();
    }
    if let Some(code) = entry.blocked_by {
        value["blocked_by"] = code.into();
    }
    value
}

fn status(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed(_) => "passed",
        Outcome::Warned(_) => "warning",
        Outcome::Failed(_) => "failed",
        Outcome::Skipped(_) => "skipped",
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed(_) => "ok",
        Outcome::Warned(_) => "WARN",
        Outcome::Failed(_) => "FAIL",
        Outcome::Skipped(_) => "skip",
    }
}

fn line(entry: &Entry) -> String {
    let title = entry.check.title;
    match &entry.outcome {
        Outcome::Passed(details) | Outcome::Skipped(details) if !details.is_empty() => {
            format!("{title} ({})", one_line(details))
        }
        _ => title.to_owned(),
    }
}

fn finding(entry: &Entry) -> Option<&Finding> {
    match &entry.outcome {
        Outcome::Warned(finding) | Outcome::Failed(finding) => Some(finding),
        Outcome::Passed(_) | Outcome::Skipped(_) => None,
    }
}

fn summary(report: &Report) -> String {
    let count = |wanted: &str| report.entries.iter().filter(|entry| status(&entry.outcome) == wanted).count();
    format!(
        "{} passed, {} failed, {}, {} skipped",
        count("passed"),
        count("failed"),
        match count("warning") {
            1 => "1 warning".to_owned(),
            n => format!("{n} warnings"),
        },
        count("skipped")
    )
}

/// Replaces control characters: a message of the cluster may contain line ends or escape sequences.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
