//! Lists of sandboxes: reading and printing.

use std::fmt::Display;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Session;
use crate::{
    api::{self, Api, escaped},
    args::{FilterArgs, Format, OutputArgs},
    columns::{self, Choice},
    error::{CallError, Exit, Failure},
    output::Console,
    sandbox::Sandbox,
    text::{lines, printable},
};

/// How many calls of one command run at the same time.
pub(super) const AT_ONCE: usize = 8;

/// How many sandboxes one answer has.
const PAGE: usize = 1000;

/// The sandboxes of a list.
pub(super) struct Found {
    /// Those that match, in the order of their ids.
    pub(super) sandboxes: Vec<Sandbox>,
    /// The clusters that the list leaves out and that the filter wants.
    pub(super) incomplete: Vec<String>,
}

/// Returns the sandboxes that match.
pub(super) async fn read(api: &Api, filter: &FilterArgs) -> Result<Found, Failure> {
    let mut parameters = filter.parameters();
    parameters.push(format!("limit={PAGE}"));
    let query = parameters.join("&");
    let mut found = Found { sandboxes: Vec::new(), incomplete: Vec::new() };
    let mut more = String::new();
    loop {
        let mut list = api.get(&format!("/api/sandboxes?{query}{more}")).await?;
        let Value::Array(page) = list["sandboxes"].take() else { return Err(api.foreign().into()) };
        if filter.needs_origin() && list.get("version").is_none() {
            let text = "the daemon is older than this program, and cannot select by label, user or thread";
            return Err(Failure::Other(Exit::Failed, text.to_owned()));
        }
        let page = page.into_iter().filter_map(Sandbox::parse);
        found.sandboxes.extend(page.filter(|sandbox| filter.matches(&sandbox.fields)));
        let is_wanted =
            |name: &&str| filter.cluster.is_empty() || filter.cluster.iter().any(|one| one == name);
        for cluster in away(&list).filter(is_wanted) {
            if !found.incomplete.iter().any(|one| one == cluster) {
                found.incomplete.push(cluster.to_owned());
            }
        }
        match list["continue"].as_str() {
            Some(token) => more = format!("&continue={}", escaped(token)),
            None => return Ok(found),
        }
    }
}

/// Returns one sandbox.
pub(super) async fn one(api: &Api, id: &str) -> Result<Sandbox, CallError> {
    let value = api.get(&api::sandbox(id)).await?;
    Sandbox::parse(value).ok_or_else(|| api.foreign())
}

/// Calls a function for each id, some at the same time. Returns the outcomes in the order of the ids.
pub(super) async fn each<T>(
    ids: &[String],
    call: impl AsyncFn(&str) -> Result<T, Failure>,
) -> Vec<(String, Result<T, Failure>)> {
    let call = &call;
    let calls = ids.iter().map(|id| async move { (id.clone(), call(id).await) });
    stream::iter(calls).buffered(AT_ONCE).collect().await
}

/// Prints sandboxes. `is_list` says whether JSON and YAML have the form of a list.
pub(super) fn print(
    console: &mut Console<'_>,
    sandboxes: &[Sandbox],
    is_list: bool,
    args: &OutputArgs,
) -> Result<(), Failure> {
    print_list(console, sandboxes, &[], is_list, args)
}

/// Prints sandboxes. The list leaves out those of the clusters that are `incomplete`.
pub(super) fn print_list(
    console: &mut Console<'_>,
    sandboxes: &[Sandbox],
    incomplete: &[String],
    is_list: bool,
    args: &OutputArgs,
) -> Result<(), Failure> {
    warn(console, "sandboxes", incomplete);
    match args.output {
        Format::Json | Format::Yaml => {
            let value = match sandboxes {
                [sandbox] if !is_list => sandbox.value.clone(),
                _ => {
                    let values: Vec<_> = sandboxes.iter().map(|sandbox| &sandbox.value).collect();
                    let mut list = json!({ "sandboxes": values, "count": values.len() });
                    if !incomplete.is_empty() {
                        list["incomplete"] = json!(incomplete);
                    }
                    list
                }
            };
            console.value(&value, args.output)
        }
        Format::Name => console.print(&lines(sandboxes.iter().map(Sandbox::id))),
        Format::Table | Format::Wide if sandboxes.is_empty() => {
            console.note("No sandboxes found.");
            Ok(())
        }
        Format::Table | Format::Wide => {
            let columns = columns::of(choice(sandboxes, args.output));
            let now = Timestamp::now();
            let rows: Vec<_> = sandboxes.iter().map(|sandbox| columns::row(&columns, sandbox, now)).collect();
            console.table(&columns::titles(&columns), &rows, args)
        }
    }
}

/// Returns the clusters that a list of the API leaves out.
pub(super) fn away(list: &Value) -> impl Iterator<Item = &str> {
    list["incomplete"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Warns that a list leaves out what these clusters have.
pub(super) fn warn(
    console: &mut Console<'_>,
    what: &str,
    incomplete: impl IntoIterator<Item = impl Display>,
) {
    for cluster in incomplete {
        console.note(&printable(&format!(
            "warning: the cluster {cluster} is away, and its {what} are left out; see 'clusters {cluster}'"
        )));
    }
}

/// Returns the columns for these sandboxes: the cluster only if the daemon names one.
pub(super) fn choice(sandboxes: &[Sandbox], format: Format) -> Choice {
    let cluster = sandboxes.iter().any(|sandbox| sandbox.fields.cluster.is_some());
    Choice { wide: format == Format::Wide, cluster }
}

/// Prints the answer to a change of a sandbox, with warnings about the parts that were not applied.
pub(super) fn print_changed(
    session: &mut Session<'_, '_>,
    sandbox: &Sandbox,
    args: &OutputArgs,
) -> Result<(), Failure> {
    let fields = &sandbox.fields;
    let resources = &fields.resources_not_applied;
    let not_applied = [
        ("cluster", fields.cluster_not_applied.clone()),
        ("profile", fields.profile_not_applied.clone()),
        ("network mode", fields.network_not_applied.clone()),
        ("resources", (!resources.is_empty()).then(|| columns::resources(resources))),
    ];
    for (what, value) in not_applied {
        if let Some(value) = value {
            let id = sandbox.id();
            session.console.note(&format!(
                "warning: sandbox {id:?} existed already, without the {what} {value} of this command"
            ));
        }
    }
    print(session.console, std::slice::from_ref(sandbox), false, args)
}
