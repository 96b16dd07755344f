//! `profiles`: shows the profiles that a create may name.

use lifecycle::spec::Resources;
use serde::Deserialize;
use serde_json::Value;

use super::Session;
use crate::{
    args::{CommonArgs, Format},
    columns,
    error::Failure,
    table::Cell,
    text::lines,
};

const TITLES: [&str; 6] = ["NAME", "RESOURCES", "TTL", "IDLE-TIMEOUT", "WORKSPACE", "DESCRIPTION"];
const WIDE: &str = "OVERRIDES";

#[derive(Debug, Deserialize)]
struct Profiles {
    profiles: Vec<Profile>,
    default: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    name: String,
    description: Option<String>,
    #[serde(default)]
    resources: Resources,
    ttl: Option<String>,
    idle_timeout: Option<String>,
    workspace: Option<Workspace>,
    #[serde(default)]
    overrides: Value,
}

#[derive(Debug, Deserialize)]
struct Workspace {
    size: String,
    scope: String,
}

pub(super) async fn run(session: &mut Session<'_, '_>, args: &CommonArgs) -> Result<(), Failure> {
    let value = session.api.get("/api/profiles").await?;
    let list = Profiles::deserialize(&value).map_err(|_| session.api.foreign())?;
    let format = args.output.output;
    match format {
        Format::Json | Format::Yaml => session.console.value(&value, format),
        Format::Name => session.console.print(&lines(list.profiles.iter().map(|profile| &profile.name))),
        Format::Table | Format::Wide if list.profiles.is_empty() => {
            session.console.note("No profiles found: the daemon's settings have none.");
            Ok(())
        }
        Format::Table | Format::Wide => {
            let is_wide = format == Format::Wide;
            let titles: Vec<_> = TITLES.into_iter().chain(is_wide.then_some(WIDE)).collect();
            let rows: Vec<_> = list.profiles.iter().map(|profile| row(profile, &list, is_wide)).collect();
            session.console.table(&titles, &rows, &args.output)
        }
    }
}

fn row(profile: &Profile, list: &Profiles, is_wide: bool) -> Vec<Cell> {
    let is_default = list.default.as_ref() == Some(&profile.name);
    let workspace = profile.workspace.as_ref().map(|Workspace { size, scope }| format!("{size} per {scope}"));
    let mut row = vec![
        Cell::plain(if is_default { format!("{} (default)", profile.name) } else { profile.name.clone() }),
        Cell::plain(columns::resources(&profile.resources)),
        Cell::optional(profile.ttl.as_deref()),
        Cell::optional(profile.idle_timeout.as_deref()),
        Cell::optional(workspace),
        Cell::optional(profile.description.as_deref()),
    ];
    if is_wide {
        row.push(Cell::optional(overrides(&profile.overrides)));
    }
    row
}

/// Returns the fields that a request may set, such as `cpu<=4,env`.
fn overrides(value: &Value) -> Option<String> {
    let fields = value.as_object()?;
    let mut shown = Vec::new();
    for (name, bounds) in fields {
        match (name.as_str(), bounds) {
            ("resources" | "workspace", Value::Object(bounds)) => {
                shown.extend(bounds.iter().map(|(what, bounds)| bounded(name, what, bounds)));
            }
            _ => shown.push(name.clone()),
        }
    }
    Some(shown.join(","))
}

fn bounded(name: &str, what: &str, bounds: &Value) -> String {
    let of = |bound: &str| bounds[bound].as_str();
    let what = if name == "workspace" { format!("workspace.{what}") } else { what.to_owned() };
    match (of("min"), of("max")) {
        (Some(min), Some(max)) => format!("{min}<={what}<={max}"),
        (Some(min), None) => format!("{what}>={min}"),
        (None, Some(max)) => format!("{what}<={max}"),
        (None, None) => what,
    }
}
