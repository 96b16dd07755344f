//! `clusters`: shows the daemon's clusters, drains one, or changes its weight.

use std::collections::BTreeMap;

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Session;
use crate::{
    api::{self, Api, Call},
    args::{ClustersArgs, Format},
    columns::elapsed,
    error::{Exit, Failure},
    table::{Cell, Colour},
    text::lines,
};

const TITLES: [&str; 7] = ["NAME", "READY", "WEIGHT", "VERSION", "FRESH-FOR", "SANDBOXES", "PROBLEMS"];
const WIDE: [&str; 5] = ["ROOM", "BY-STATUS", "CREATES", "LABELS", "PROFILES"];

#[derive(Debug, Deserialize)]
struct Clusters {
    clusters: Vec<Cluster>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cluster {
    name: String,
    ready: bool,
    weight: Option<u64>,
    drain: bool,
    room: Option<u64>,
    labels: BTreeMap<String, String>,
    profiles: Option<Vec<String>>,
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

pub(super) async fn run(session: &mut Session<'_, '_>, args: &ClustersArgs) -> Result<(), Failure> {
    let Some(name) = &args.name else {
        let value = session.api.get("/api/clusters").await?;
        let Clusters { clusters } = Clusters::deserialize(&value).map_err(|_| session.api.foreign())?;
        return print(session, &value, &clusters, args);
    };
    let value = match change(args) {
        Some(body) => {
            let path = format!("/api/clusters/{}", api::escaped(name));
            let call = Call { path: &path, method: Method::PATCH, body: Some(&body), owner: None };
            session.api.call(call).await?
        }
        None => one(&session.api, name).await?,
    };
    let cluster = Cluster::deserialize(&value).map_err(|_| session.api.foreign())?;
    if args.undrain && cluster.drain {
        session
            .console
            .note(&format!("warning: {} still drains, because its weight is 0; use --weight", cluster.name));
    }
    print(session, &value, &[cluster], args)
}

/// Returns the body of the change; `None` if nothing changes.
fn change(args: &ClustersArgs) -> Option<Value> {
    let mut body = Map::new();
    if let Some(weight) = args.weight {
        body.insert("weight".to_owned(), weight.into());
    }
    if args.drain || args.undrain {
        body.insert("drain".to_owned(), args.drain.into());
    }
    (!body.is_empty()).then_some(Value::Object(body))
}

/// Returns the cluster with this name.
async fn one(api: &Api, name: &str) -> Result<Value, Failure> {
    let value = api.get("/api/clusters").await?;
    let all = value["clusters"].as_array().ok_or_else(|| api.foreign())?;
    let found = all.iter().find(|cluster| cluster["name"] == name);
    found.cloned().ok_or_else(|| {
        let names: Vec<_> = all.iter().filter_map(|cluster| cluster["name"].as_str()).collect();
        let text = format!("there is no cluster {name:?}; the clusters are {}", names.join(", "));
        Failure::Other(Exit::NotFound, crate::text::printable(&text))
    })
}

fn print(
    session: &mut Session<'_, '_>,
    value: &Value,
    clusters: &[Cluster],
    args: &ClustersArgs,
) -> Result<(), Failure> {
    let format = args.common.output.output;
    match format {
        Format::Json | Format::Yaml => session.console.value(value, format),
        Format::Name => session.console.print(&lines(clusters.iter().map(|cluster| &cluster.name))),
        Format::Table | Format::Wide => {
            let is_wide = format == Format::Wide;
            let titles: Vec<_> = TITLES.into_iter().chain(WIDE.into_iter().filter(|_| is_wide)).collect();
            let now = Timestamp::now();
            let rows: Vec<_> = clusters.iter().map(|cluster| cluster.row(is_wide, now)).collect();
            session.console.table(&titles, &rows, &args.common.output)?;
            // A table has no room for sentences.
            for cluster in clusters {
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
    /// Returns the weight, and whether the cluster drains in spite of it.
    fn weight(&self) -> Cell {
        let weight = self.weight.map(|weight| weight.to_string());
        if self.drain {
            return Cell::new(&format!("{} (drain)", weight.unwrap_or_default()), Colour::Yellow);
        }
        Cell::optional(weight)
    }

    fn row(&self, is_wide: bool, now: Timestamp) -> Vec<Cell> {
        let Sandboxes { count, ready, by_status } = &self.sandboxes;
        let problems: Vec<_> = self.problems.iter().map(|problem| problem.check.as_str()).collect();
        let is_ready =
            if self.ready { Cell::new("True", Colour::Green) } else { Cell::new("False", Colour::Red) };
        let mut row = vec![
            Cell::plain(&self.name),
            is_ready,
            self.weight(),
            Cell::optional(self.version.as_deref()),
            elapsed(self.fresh_since, now),
            Cell::plain(format!("{count} ({ready} ready)")),
            Cell::optional(Some(problems.join(","))),
        ];
        if is_wide {
            let by_status: Vec<_> =
                by_status.iter().map(|(status, count)| format!("{status}={count}")).collect();
            let Creates { running, running_max, waiting } = self.creates;
            let labels: Vec<_> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            row.push(Cell::optional(self.room.map(|room| room.to_string())));
            row.push(Cell::optional(Some(by_status.join(","))));
            row.push(Cell::plain(format!("{running} of {running_max}, {waiting} waiting")));
            row.push(Cell::optional(Some(labels.join(","))));
            row.push(Cell::plain(self.profiles.as_ref().map_or("all".to_owned(), |names| names.join(","))));
        }
        row
    }
}
