//! `get --watch`: prints sandboxes as they change.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Session, list};
use crate::{
    api,
    args::{Format, GetArgs},
    columns::{self, Column},
    copy::{Change, Copy},
    error::Failure,
    follow::{Follow, News},
    sandbox::Sandbox,
    sse::Event,
    table::{Style, Widths, render},
    text::{lines, printable},
};

/// Turns events into lines.
struct Watch<'a> {
    args: &'a GetArgs,
    style: Style,
    copy: Copy,
    /// The ids whose last state was printed, or would have been.
    shown: BTreeSet<String>,
    /// The columns and their widths, from the first rows.
    table: Option<(Vec<Column>, Widths)>,
}

/// A piece of output.
#[derive(Debug, PartialEq)]
enum Line {
    /// Rows.
    Rows(String),
    /// A line for standard error.
    Note(String),
}

pub(super) async fn run(session: &mut Session<'_, '_>, args: &GetArgs) -> Result<(), Failure> {
    // The stream of one sandbox ends with it, and is a 404 without it.
    let (path, ends) = match &*args.ids {
        [id] => (format!("{}/events", api::sandbox(id)), true),
        _ => ("/api/events".to_owned(), false),
    };
    args.filter.check_clusters(&session.api).await?;
    let mut watch = Watch::new(args, session.console.style(&args.common.output));
    let mut follow = Follow::new(&session.api, path);
    loop {
        match follow.next().await? {
            News::Lost(why) => session.console.note(&format!("warning: {why}; connecting again")),
            News::Restored => {
                watch.copy.begin();
                session.console.note("connected again");
            }
            News::Event(event) => {
                let (lines, is_gone) = watch.apply(&event, Timestamp::now());
                for line in lines {
                    match line {
                        Line::Rows(text) => session.console.print(&text)?,
                        Line::Note(text) => session.console.note(&text),
                    }
                }
                if ends && is_gone {
                    return Ok(());
                }
            }
        }
    }
}

// === impl Watch ===

impl<'a> Watch<'a> {
    fn new(args: &'a GetArgs, style: Style) -> Self {
        Self { args, style, copy: Copy::default(), shown: BTreeSet::new(), table: None }
    }

    /// Returns the lines of an event, and whether a sandbox has ended.
    fn apply(&mut self, event: &Event, now: Timestamp) -> (Vec<Line>, bool) {
        let changes = self.copy.apply(event);
        let is_gone = changes.iter().any(|change| matches!(change, Change::Gone(_)));
        (changes.into_iter().filter_map(|change| self.line(change, now)).collect(), is_gone)
    }

    fn line(&mut self, change: Change, now: Timestamp) -> Option<Line> {
        let is_first = self.table.is_none();
        match change {
            // The first state is printed sorted, as soon as it is complete.
            Change::Complete if is_first => {
                let mut first: Vec<_> =
                    self.copy.sandboxes().filter(|sandbox| self.is_meant(sandbox)).cloned().collect();
                first.sort_by(|one, other| columns::compare(self.args.sort_by, one, other));
                self.shown = first.iter().map(|sandbox| sandbox.id().to_owned()).collect();
                let choice = list::choice(&first, self.args.common.output.output);
                self.table = Some((columns::of(choice), Widths::default()));
                let printed = if self.args.watch_only { &[] } else { &*first };
                self.rows(printed, now)
            }
            Change::Present(_) | Change::Gone(_) if is_first => None,
            Change::Complete => None,
            Change::Present(sandbox) => {
                let is_meant = self.is_meant(&sandbox);
                let was_shown = if is_meant {
                    !self.shown.insert(sandbox.id().to_owned())
                } else {
                    self.shown.remove(sandbox.id())
                };
                // A sandbox that no longer matches is printed once more, or its row would look current.
                (is_meant || was_shown).then(|| self.rows(&[sandbox], now))?
            }
            Change::Gone(sandbox) => {
                let was_shown = self.shown.remove(sandbox.id());
                let is_reason_alone = self.args.filter.is_empty() && self.is_named(&sandbox);
                (was_shown || is_reason_alone).then(|| self.rows(&[sandbox], now))?
            }
            Change::Stale(why) => {
                Some(Line::Note(format!("warning: the daemon has lost the cluster: {}", printable(&why))))
            }
            Change::Fresh => Some(Line::Note("the daemon has the cluster again".to_owned())),
        }
    }

    fn is_named(&self, sandbox: &Sandbox) -> bool {
        self.args.ids.is_empty() || self.args.ids.iter().any(|id| id == sandbox.id())
    }

    fn is_meant(&self, sandbox: &Sandbox) -> bool {
        self.is_named(sandbox) && self.args.filter.matches(&sandbox.fields)
    }

    /// Returns the rows as text. Each value of JSON and YAML is one document.
    fn rows(&mut self, sandboxes: &[Sandbox], now: Timestamp) -> Option<Line> {
        let text = match self.args.common.output.output {
            Format::Json => lines(sandboxes.iter().map(|sandbox| sandbox.value.to_string())),
            Format::Yaml => {
                let texts =
                    sandboxes.iter().filter_map(|sandbox| serde_saphyr::to_string(&sandbox.value).ok());
                texts.flat_map(|text| ["---\n".to_owned(), text]).collect()
            }
            Format::Name => lines(sandboxes.iter().map(Sandbox::id)),
            Format::Table | Format::Wide => {
                let (columns, widths) = self.table.as_mut()?;
                let rows: Vec<_> =
                    sandboxes.iter().map(|sandbox| columns::row(columns, sandbox, now)).collect();
                let text = render(&columns::titles(columns), &rows, widths, self.style);
                self.style.headers = false;
                text
            }
        };
        Some(Line::Rows(text))
    }
}
