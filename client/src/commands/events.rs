//! `events`: prints each event of the stream.

use jiff::{Timestamp, Unit};
use serde_json::{Value, json};

use super::Session;
use crate::{
    api,
    args::{EventsArgs, Format},
    columns,
    error::Failure,
    follow::{Follow, News},
    sandbox::Sandbox,
    sse::Event,
    table::{Cell, Style, Widths, render},
};

const TITLES: [&str; 6] = ["TIME", "EVENT", "ID", "STATUS", "READY", "REASON"];

/// The widths of the first columns. Ids and reasons are of any length, and later rows do not move earlier ones.
const TYPICAL: [&str; 6] =
    ["2026-01-02T03:04:05Z", "unreadable", "00000000-0000-0000", "Terminating", "False", ""];

pub(super) async fn run(session: &mut Session<'_, '_>, args: &EventsArgs) -> Result<(), Failure> {
    let path =
        args.id.as_deref().map_or("/api/events".to_owned(), |id| format!("{}/events", api::sandbox(id)));
    args.filter.check_clusters(&session.api).await?;
    let mut follow = Follow::new(&session.api, path);
    let mut printer = Printer::new(args, session.console.style(&args.common.output));
    loop {
        match follow.next().await? {
            News::Lost(why) => session.console.note(&format!("warning: {why}; connecting again")),
            News::Restored => session.console.note("connected again"),
            News::Event(event) => {
                if let Some(text) = printer.line(&event, Timestamp::now()) {
                    session.console.print(&text)?;
                }
                if args.id.is_some() && matches!(&*event.name, "deleted" | "reaped") {
                    return Ok(());
                }
            }
        }
    }
}

/// Turns events into lines.
struct Printer<'a> {
    args: &'a EventsArgs,
    style: Style,
    widths: Widths,
    /// Whether the events are changes, and not the state at the beginning or after a `reset`.
    is_live: bool,
}

// === impl Printer ===

impl<'a> Printer<'a> {
    fn new(args: &'a EventsArgs, style: Style) -> Self {
        let mut widths = Widths::default();
        let typical: Vec<_> = TYPICAL.iter().map(Cell::plain).collect();
        let _ = render(&TITLES, &[typical], &mut widths, Style { headers: true, colours: false });
        Self { args, style, widths, is_live: false }
    }

    /// Returns the line of an event; `None` if it is not meant.
    fn line(&mut self, event: &Event, now: Timestamp) -> Option<String> {
        let was_live = self.is_live;
        match &*event.name {
            "reset" => self.is_live = false,
            "synced" => self.is_live = true,
            _ => {}
        }
        let is_of_sandbox = event.data.get("sandbox_id").is_some();
        if is_of_sandbox && !was_live && !self.args.initial {
            return None;
        }
        let sandbox = Sandbox::parse(event.data.clone());
        let is_end = matches!(&*event.name, "deleted" | "reaped");
        let is_meant =
            sandbox.as_ref().is_none_or(|sandbox| is_end || self.args.filter.matches(&sandbox.fields));
        if !is_meant {
            return None;
        }
        match self.args.common.output.output {
            Format::Json => Some(format!("{}\n", value(event, now))),
            Format::Yaml => {
                serde_saphyr::to_string(&value(event, now)).ok().map(|text| format!("---\n{text}"))
            }
            Format::Name => sandbox.map(|sandbox| format!("{}\n", sandbox.id())),
            // `synced` says nothing to people.
            Format::Table | Format::Wide if event.name == "synced" => None,
            Format::Table | Format::Wide => {
                let row = row(event, sandbox.as_ref(), now);
                let text = render(&TITLES, &[row], &mut self.widths, self.style);
                self.style.headers = false;
                Some(text)
            }
        }
    }
}

fn value(Event { id, name, data }: &Event, now: Timestamp) -> Value {
    json!({ "received_at": seconds(now), "id": id, "event": name, "data": data })
}

fn row(event: &Event, sandbox: Option<&Sandbox>, now: Timestamp) -> Vec<Cell> {
    let fields = sandbox.map(|sandbox| &sandbox.fields);
    let mut row = vec![Cell::plain(seconds(now)), Cell::plain(&event.name)];
    match fields {
        Some(fields) => {
            row.extend(columns::state(fields));
            if let Some(message) = fields.shown_message() {
                let reason = row.pop().map(|cell| cell.text).unwrap_or_default();
                row.push(Cell::plain(format!("{reason}: {message}")));
            }
        }
        // `fresh` has no sentence.
        None => row.push(Cell::optional(event.data["detail"].as_str().or(event.data["cluster"].as_str()))),
    }
    row
}

/// Returns a time in whole seconds.
fn seconds(time: Timestamp) -> String {
    time.round(Unit::Second).unwrap_or(time).to_string()
}
