//! `workspaces`: shows, enlarges or deletes workspaces.

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Session, finished, list};
use crate::{
    age,
    api::{Call, escaped},
    args::{CommonArgs, Format, WorkspaceAction, WorkspacesArgs},
    columns::elapsed,
    environment::Environment,
    error::{Exit, Failure},
    output::Console,
    table::{Cell, Colour},
    text::lines,
};

const TITLES: [&str; 8] = ["ID", "SCOPE", "OWNER", "SIZE", "PHASE", "USED-BY", "DELETES", "AGE"];
const WIDE: [&str; 4] = ["CAPACITY", "CLASS", "PROFILE", "LAST-USED"];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Workspace {
    id: String,
    scope: String,
    sandbox_id: Option<String>,
    thread_id: Option<String>,
    user_id: Option<String>,
    profile: Option<String>,
    size: String,
    capacity: Option<String>,
    storage_class: Option<String>,
    phase: String,
    created_at: Option<Timestamp>,
    in_use_by: Vec<String>,
    last_used: Option<Timestamp>,
    deletes_at: Option<Timestamp>,
}

pub(super) async fn run(
    environment: &Environment,
    console: &mut Console<'_>,
    args: WorkspacesArgs,
) -> Result<(), Failure> {
    match args.action {
        None => {
            let session = &mut Session::new(environment, &args.common.connection, console)?;
            let value = session.api.get("/api/workspaces").await?;
            let all = parse(&value["workspaces"]).ok_or_else(|| session.api.foreign())?;
            list::warn(session.console, "workspaces", list::away(&value));
            print(session.console, &value, &all, &args.common)
        }
        Some(WorkspaceAction::Delete { ids, connection }) => {
            delete(&mut Session::new(environment, &connection, console)?, &ids).await
        }
        Some(WorkspaceAction::Resize { id, size, common }) => {
            let session = &mut Session::new(environment, &common.connection, console)?;
            let body = json!({ "size": size });
            let path = path(&id);
            let call = Call { path: &path, method: Method::PATCH, body: Some(&body), owner: None };
            let value = session.api.call(call).await?;
            let workspace = Workspace::deserialize(&value).map_err(|_| session.api.foreign())?;
            print(session.console, &value, &[workspace], &common)
        }
    }
}

async fn delete(session: &mut Session<'_, '_>, ids: &[String]) -> Result<(), Failure> {
    let api = &session.api;
    let deleted = list::each(ids, async |id| {
        api.call(Call { path: &path(id), method: Method::DELETE, ..Call::default() }).await?;
        Ok(())
    });
    let mut exit = Exit::Success;
    for (id, outcome) in deleted.await {
        match outcome {
            Ok(()) => session.console.print(&format!("workspace {id:?} deleted\n"))?,
            Err(failure) => exit = session.report(&failure, exit),
        }
    }
    finished(exit)
}

fn path(id: &str) -> String {
    format!("/api/workspaces/{}", escaped(id))
}

fn parse(values: &Value) -> Option<Vec<Workspace>> {
    Vec::deserialize(values).ok()
}

fn print(
    console: &mut Console<'_>,
    value: &Value,
    all: &[Workspace],
    args: &CommonArgs,
) -> Result<(), Failure> {
    let format = args.output.output;
    match format {
        Format::Json | Format::Yaml => console.value(value, format),
        Format::Name => console.print(&lines(all.iter().map(|workspace| &workspace.id))),
        Format::Table | Format::Wide if all.is_empty() => {
            console.note("No workspaces found.");
            Ok(())
        }
        Format::Table | Format::Wide => {
            let is_wide = format == Format::Wide;
            let titles: Vec<_> = TITLES.into_iter().chain(WIDE.into_iter().filter(|_| is_wide)).collect();
            let now = Timestamp::now();
            let rows: Vec<_> = all.iter().map(|workspace| workspace.row(is_wide, now)).collect();
            console.table(&titles, &rows, &args.output)
        }
    }
}

// === impl Workspace ===

impl Workspace {
    fn row(&self, is_wide: bool, now: Timestamp) -> Vec<Cell> {
        let colour = match &*self.phase {
            "Bound" => Colour::Green,
            "Lost" => Colour::Red,
            "Terminating" => Colour::Grey,
            _ => Colour::Yellow,
        };
        let deletes = self.deletes_at.map(|at| age::short(age::since(now, at)));
        let mut row = vec![
            Cell::plain(&self.id),
            Cell::plain(&self.scope),
            Cell::optional(self.owner()),
            Cell::plain(&self.size),
            Cell::new(&self.phase, colour),
            Cell::optional(Some(self.in_use_by.join(","))),
            Cell::optional(deletes),
            elapsed(self.created_at, now),
        ];
        if is_wide {
            row.extend([
                Cell::optional(self.capacity.as_deref()),
                Cell::optional(self.storage_class.as_deref()),
                Cell::optional(self.profile.as_deref()),
                elapsed(self.last_used, now),
            ]);
        }
        row
    }

    /// Returns the ids of the scope, such as `alice/thread-1`.
    fn owner(&self) -> Option<String> {
        let ids = [&self.user_id, &self.thread_id, &self.sandbox_id];
        let ids: Vec<_> = ids.into_iter().flatten().map(String::as_str).collect();
        (!ids.is_empty()).then(|| ids.join("/"))
    }
}
