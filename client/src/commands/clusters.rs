//! `clusters`: shows the daemon's clusters.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::Session;
use crate::{
    args::{Format, ListArgs},
    columns::elapsed,
    error::Failure,
    table::{Cell, Colour},
    text::lines,
};

const TITLES: [&str; 6] = ["NAME", "READY", "VERSION", "FRESH-FOR", "SANDBOXES", "PROBLEMS"];
const WIDE: [&str; 2] = ["BY-STATUS", "CREATES"];

#[derive(Debug, Deserialize)]
struct Clusters {
    clusters: Vec<Cluster>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cluster {
    name: String,
    ready: bool,
    version: Option<String>,
    fresh_since: Option<Timestamp>,
    sandboxes: Sandboxes,
    creates: Creates,
    problems: Vec<Problem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sandboxes {
    count: u64,
    ready: u64,
    by_status: BTreeMap<String, u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Creates {
    running: u64,
    running_max: u64,
    waiting: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    check: String,
    message: String,
    optional: bool,
}

pub(super) async fn run(session: &mut Session<'_, '_>, args: &ListArgs) -> Result<(), Failure> {
    let value = session.api.get("/api/clusters").await?;
    let Clusters { clusters } = Clusters::deserialize(&value).map_err(|_| session.api.foreign())?;
    let format = args.output.output;
    match format {
        Format::Json | Format::Yaml => session.console.value(&value, format),
        Format::Name => session.console.print(&lines(clusters.iter().map(|cluster| &cluster.name))),
        Format::Table | Format::Wide => {
            let is_wide = format == Format::Wide;
            let titles: Vec<_> = TITLES.into_iter().chain(WIDE.into_iter().filter(|_| is_wide)).collect();
            let now = Timestamp::now();
            let rows: Vec<_> = clusters.iter().map(|cluster| cluster.row(is_wide, now)).collect();
            session.console.table(&titles, &rows, &args.output)?;
            // A table has no room for sentences.
            for cluster in &clusters {
                for Problem { check, message, optional } in &cluster.problems {
                    let kind = if *optional { "warning" } else { "problem" };
                    let text = format!("{kind}: {}: {check}: {message}", cluster.name);
                    session.console.note(&crate::text::printable(&text));
                }
            }
            Ok(())
        }
    }
}

// === impl Cluster ===

impl Cluster {
    fn row(&self, is_wide: bool, now: Timestamp) -> Vec<Cell> {
        let Sandboxes { count, ready, by_status } = &self.sandboxes;
        let problems: Vec<_> = self.problems.iter().map(|problem| problem.check.as_str()).collect();
        let is_ready =
            if self.ready { Cell::new("True", Colour::Green) } else { Cell::new("False", Colour::Red) };
        let mut row = vec![
            Cell::plain(&self.name),
            is_ready,
            Cell::optional(self.version.as_deref()),
            elapsed(self.fresh_since, now),
            Cell::plain(format!("{count} ({ready} ready)")),
            Cell::optional(Some(problems.join(","))),
        ];
        if is_wide {
            let by_status: Vec<_> =
                by_status.iter().map(|(status, count)| format!("{status}={count}")).collect();
            let Creates { running, running_max, waiting } = self.creates;
            row.push(Cell::optional(Some(by_status.join(","))));
            row.push(Cell::plain(format!("{running} of {running_max}, {waiting} waiting")));
        }
        row
    }
}
