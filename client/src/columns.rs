//! The columns of the table of sandboxes, and the orders of its rows.

use std::{cmp::Ordering, time::Duration};

use clap::ValueEnum;
use jiff::Timestamp;
use lifecycle::spec::Resources;

use crate::{
    age,
    sandbox::{Fields, Sandbox},
    table::{Cell, Colour, NONE},
};

/// A sandbox that expires within this time is marked.
const SOON: Duration = Duration::from_secs(60);

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The title.
    pub title: &'static str,
    cell: fn(&Fields, Timestamp) -> Cell,
}

/// The choice of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choice {
    /// Those of `-o wide` as well.
    pub wide: bool,
    /// The cluster, which `wide` has in any case.
    pub cluster: bool,
}

/// A sort key. Rows that are equal are in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum SortKey {
    /// The id.
    #[default]
    Id,
    /// The status.
    Status,
    /// Those that are not ready first.
    Ready,
    /// The reason; those without one last.
    Reason,
    /// The newest first.
    Age,
    /// The longest idle first; those without limits last.
    Idle,
    /// The next to expire first; those that do not expire last.
    Expires,
    /// The profile.
    Profile,
    /// The cluster.
    Cluster,
}

const ID: Column = Column { title: "ID", cell: |sandbox, _| Cell::plain(&sandbox.sandbox_id) };
const STATUS: Column = Column { title: "STATUS", cell: |sandbox, _| status(sandbox) };
const READY: Column = Column { title: "READY", cell: |sandbox, _| ready(sandbox) };
const REASON: Column = Column { title: "REASON", cell: |sandbox, _| reason(sandbox) };
const AGE: Column = Column { title: "AGE", cell: |sandbox, now| elapsed(sandbox.created_at, now) };
const IDLE: Column = Column { title: "IDLE", cell: |sandbox, now| elapsed(sandbox.idle_since, now) };
const EXPIRES: Column = Column { title: "EXPIRES", cell: expires };
const CLUSTER: Column =
    Column { title: "CLUSTER", cell: |sandbox, _| Cell::optional(sandbox.cluster.as_deref()) };
const URL: Column = Column { title: "URL", cell: |sandbox, _| Cell::optional(Some(&*sandbox.sandbox_url)) };
const PROFILE: Column =
    Column { title: "PROFILE", cell: |sandbox, _| Cell::optional(sandbox.profile.as_deref()) };
const USER: Column = Column { title: "USER", cell: |sandbox, _| Cell::optional(sandbox.user_id.as_deref()) };
const RESOURCES: Column =
    Column { title: "RESOURCES", cell: |sandbox, _| Cell::plain(resources(&sandbox.resources)) };
const WORKSPACE: Column = Column {
    title: "WORKSPACE",
    cell: |sandbox, _| Cell::optional(sandbox.workspace.as_ref().map(|workspace| &*workspace.id)),
};
const LIMIT: Column =
    Column { title: "LIMIT", cell: |sandbox, _| Cell::optional(sandbox.reap_reason.as_deref()) };
const MESSAGE: Column =
    Column { title: "MESSAGE", cell: |sandbox, _| Cell::optional(sandbox.shown_message()) };

/// Returns the columns of a table.
#[must_use]
pub fn of(choice: Choice) -> Vec<Column> {
    let mut columns = vec![ID, STATUS, READY, REASON, AGE, IDLE, EXPIRES];
    if choice.wide {
        columns.extend([LIMIT, PROFILE, USER, RESOURCES, WORKSPACE]);
    }
    if choice.wide || choice.cluster {
        columns.push(CLUSTER);
    }
    columns.push(URL);
    if choice.wide {
        columns.push(MESSAGE);
    }
    columns
}

/// Returns the titles of the columns.
#[must_use]
pub fn titles(columns: &[Column]) -> Vec<&'static str> {
    columns.iter().map(|column| column.title).collect()
}

/// Returns the row of a sandbox.
#[must_use]
pub fn row(columns: &[Column], sandbox: &Sandbox, now: Timestamp) -> Vec<Cell> {
    columns.iter().map(|column| (column.cell)(&sandbox.fields, now)).collect()
}

/// Returns the id, the status, the readiness and the reason of a sandbox.
#[must_use]
pub fn state(sandbox: &Fields) -> [Cell; 4] {
    [Cell::plain(&sandbox.sandbox_id), status(sandbox), ready(sandbox), reason(sandbox)]
}

/// Returns limits of a container, such as `cpu=1,memory=1Gi`.
#[must_use]
pub fn resources(Resources { cpu, memory, ephemeral_storage }: &Resources) -> String {
    let named = [("cpu", cpu), ("memory", memory), ("ephemeral-storage", ephemeral_storage)];
    let set: Vec<_> =
        named.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?))).collect();
    if set.is_empty() { NONE.to_owned() } else { set.join(",") }
}

fn status(sandbox: &Fields) -> Cell {
    let status = sandbox.shown_status();
    let colour = match status {
        "Running" if sandbox.ready => Colour::Green,
        "Running" | "Pending" => Colour::Yellow,
        "Failed" | "Unknown" => Colour::Red,
        "Succeeded" | "Terminating" | "Deleted" | "Reaped" => Colour::Grey,
        _ => Colour::Plain,
    };
    Cell::new(status, colour)
}

fn ready(sandbox: &Fields) -> Cell {
    if sandbox.ready { Cell::new("True", Colour::Green) } else { Cell::new("False", Colour::Yellow) }
}

fn reason(sandbox: &Fields) -> Cell {
    match sandbox.shown_reason() {
        None => Cell::plain(NONE),
        Some(reason) => Cell::new(reason, if sandbox.is_stuck() { Colour::Red } else { Colour::Yellow }),
    }
}

/// Returns the time since an event.
#[must_use]
pub fn elapsed(then: Option<Timestamp>, now: Timestamp) -> Cell {
    Cell::optional(then.map(|then| age::short(age::since(then, now))))
}

/// Returns the time until the sandbox expires, or `due` after it.
fn expires(sandbox: &Fields, now: Timestamp) -> Cell {
    let Some(at) = sandbox.expires_at else { return Cell::plain(NONE) };
    match age::since(now, at) {
        Duration::ZERO => Cell::new("due", Colour::Red),
        left => Cell::new(&age::short(left), if left < SOON { Colour::Yellow } else { Colour::Plain }),
    }
}

/// Compares two sandboxes by this key.
#[must_use]
pub fn compare(key: SortKey, one: &Sandbox, other: &Sandbox) -> Ordering {
    let (a, b) = (&one.fields, &other.fields);
    // A value that is absent is the last one.
    let last = |a: Option<Timestamp>, b: Option<Timestamp>| (a.is_none(), a).cmp(&(b.is_none(), b));
    let words = |a: Option<&str>, b: Option<&str>| (a.is_none(), a).cmp(&(b.is_none(), b));
    let by_key = match key {
        SortKey::Id => Ordering::Equal,
        SortKey::Status => a.shown_status().cmp(b.shown_status()),
        SortKey::Ready => a.ready.cmp(&b.ready),
        SortKey::Reason => words(a.shown_reason(), b.shown_reason()),
        SortKey::Age => b.created_at.cmp(&a.created_at),
        SortKey::Idle => last(a.idle_since, b.idle_since),
        SortKey::Expires => last(a.expires_at, b.expires_at),
        SortKey::Profile => words(a.profile.as_deref(), b.profile.as_deref()),
        SortKey::Cluster => words(a.cluster.as_deref(), b.cluster.as_deref()),
    };
    by_key.then_with(|| a.sandbox_id.cmp(&b.sandbox_id))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> Timestamp {
        "2026-01-02T03:00:00Z".parse().unwrap()
    }

    fn sandbox(id: &str, more: &Value) -> Sandbox {
        let mut value = json!({"sandbox_id": id, "sandbox_url": "http://n:1", "status": "Running", "ready": true,
            "created_at": "2026-01-02T02:54:28Z"});
        for (name, field) in more.as_object().unwrap() {
            value[name] = field.clone();
        }
        Sandbox::parse(value).unwrap()
    }

    fn texts(choice: Choice, sandbox: &Sandbox) -> String {
        let cells = row(&of(choice), sandbox, now());
        cells.iter().map(|cell| &*cell.text).collect::<Vec<_>>().join(" ")
    }

    /// Guards the cells of each kind of sandbox.
    #[test]
    fn rows_show_what_matters() {
        for (more, wanted) in [
            (json!({}), "a Running True <none> 5m32s <none> <none> http://n:1"),
            (
                json!({"status": "Pending", "ready": false, "reason": "ImagePullBackOff"}),
                "a Pending False ImagePullBackOff 5m32s <none> <none> http://n:1",
            ),
            (
                json!({"idle_since": "2026-01-02T02:58:00Z", "expires_at": "2026-01-02T03:28:00Z"}),
                "a Running True <none> 5m32s 2m 28m http://n:1",
            ),
            (
                json!({"expires_at": "2026-01-02T02:59:00Z", "reap_held": {"reason": "ReapLimits", "message": "m"}}),
                "a Running True ReapLimits 5m32s <none> due http://n:1",
            ),
            (
                json!({"created_at": null, "sandbox_url": ""}),
                "a Running True <none> <none> <none> <none> <none>",
            ),
            (
                json!({"status": "NotFound", "ready": false, "reaped": {"reason": "IdleTimeout"}}),
                "a Reaped False IdleTimeout 5m32s <none> <none> http://n:1",
            ),
            (json!({"status": "NotFound"}), "a Deleted True <none> 5m32s <none> <none> http://n:1"),
            (json!({"status": "", "ready": false}), "a Unknown False <none> 5m32s <none> <none> http://n:1"),
        ] {
            assert_eq!(texts(Choice::default(), &sandbox("a", &more)), wanted);
        }
    }

    /// Guards that the wide table has everything that the narrow one has.
    #[test]
    fn the_wide_table_has_more() {
        let sandbox = sandbox(
            "a",
            &json!({"reason": "R", "message": "two\nlines", "profile": "large", "cluster": "east", "user_id": "u",
                "resources": {"cpu": "1", "memory": "1Gi"}, "workspace": {"id": "w"}, "reap_reason": "IdleTimeout"}),
        );
        assert_eq!(
            texts(Choice { wide: true, cluster: false }, &sandbox),
            "a Running True R 5m32s <none> <none> IdleTimeout large u cpu=1,memory=1Gi w east http://n:1 two lines"
        );
        let narrow = titles(&of(Choice { wide: false, cluster: true }));
        assert_eq!(narrow, ["ID", "STATUS", "READY", "REASON", "AGE", "IDLE", "EXPIRES", "CLUSTER", "URL"]);
        let wide = titles(&of(Choice { wide: true, cluster: false }));
        assert!(narrow.iter().all(|title| wide.contains(title)));
    }

    /// Guards each order, and that rows without a value are the last.
    #[test]
    fn every_key_sorts() {
        let all = [
            sandbox(
                "a",
                &json!({"ready": false, "status": "Pending", "reason": "X", "idle_since": "2026-01-02T02:00:00Z",
                "created_at": "2026-01-01T00:00:00Z"}),
            ),
            sandbox("b", &json!({"profile": "p", "expires_at": "2026-01-02T04:00:00Z", "cluster": "c2"})),
            sandbox(
                "c",
                &json!({"profile": "o", "expires_at": "2026-01-02T03:00:00Z", "cluster": "c1", "reason": "A",
                "idle_since": "2026-01-02T01:00:00Z"}),
            ),
        ];
        for (key, wanted) in [
            (SortKey::Id, "abc"),
            (SortKey::Status, "abc"),
            (SortKey::Ready, "abc"),
            (SortKey::Reason, "cab"),
            (SortKey::Age, "bca"),
            (SortKey::Idle, "cab"),
            (SortKey::Expires, "cba"),
            (SortKey::Profile, "cba"),
            (SortKey::Cluster, "cba"),
        ] {
            let mut sorted: Vec<_> = all.iter().collect();
            sorted.sort_by(|one, other| compare(key, one, other));
            let ids: String = sorted.iter().map(|sandbox| sandbox.id()).collect();
            assert_eq!(ids, wanted, "{key:?}");
        }
    }
}
