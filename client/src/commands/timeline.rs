//! `timeline`: shows where the time of a start went.

use serde::Deserialize;
use serde_json::Value;

use super::Session;
use crate::{
    age, api,
    args::{Format, TimelineArgs},
    error::Failure,
    table::{Cell, Colour},
    text::{self, printable},
};

const TITLES: [&str; 4] = ["STEP", "TIME", "AFTER", "DETAILS"];

/// A timeline.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Timeline {
    over: bool,
    ready_after_ms: Option<u64>,
    slowest: Option<Slowest>,
    omitted: u64,
    steps: Vec<Step>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Slowest {
    from: String,
    to: Option<String>,
    duration_ms: u64,
    image: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    hint: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Step {
    #[serde(rename = "step")]
    name: String,
    at: String,
    duration_ms: u64,
    image: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    hint: Option<String>,
    count: Option<u64>,
}

pub(super) async fn run(session: &mut Session<'_, '_>, args: &TimelineArgs) -> Result<(), Failure> {
    let value = session.api.get(&format!("{}/timeline", api::sandbox(&args.id))).await?;
    match args.common.output.output {
        Format::Json | Format::Yaml => session.console.value(&value, args.common.output.output),
        Format::Name => session.console.print(&format!("{}\n", args.id)),
        Format::Table | Format::Wide => {
            let timeline = parse(&value).ok_or_else(|| session.api.foreign())?;
            session.console.table(&TITLES, &timeline.rows(), &args.common.output)?;
            session.console.print(&format!("\n{}", timeline.summary()))
        }
    }
}

fn parse(value: &Value) -> Option<Timeline> {
    value.get("steps")?;
    Timeline::deserialize(value).ok()
}

// === impl Timeline ===

impl Timeline {
    fn rows(&self) -> Vec<Vec<Cell>> {
        self.steps.iter().map(Step::row).collect()
    }

    /// Returns the short answer, in one or more lines.
    fn summary(&self) -> String {
        let mut lines = vec![match self.ready_after_ms {
            Some(after) => format!("Ready after {}.", age::milliseconds(after)),
            None if self.over => "It was never ready.".to_owned(),
            None => "Not ready yet.".to_owned(),
        }];
        if let Some(slowest) = &self.slowest {
            lines.push(slowest.line());
        }
        if self.omitted > 0 {
            lines.push(format!("{} steps are left out.", self.omitted));
        }
        if self.over {
            lines.push("The sandbox is gone.".to_owned());
        }
        text::lines(lines.iter().map(|line| printable(line)))
    }
}

impl Slowest {
    fn line(&self) -> String {
        let duration = age::milliseconds(self.duration_ms);
        let mut line = match &self.to {
            Some(to) => format!("Slowest: {duration} from {} to {to}", self.from),
            None => format!("Slowest: {duration} since {}, and it lasts", self.from),
        };
        for more in [&self.image, &self.reason, &self.message, &self.hint].into_iter().flatten() {
            line += ", ";
            line += more;
        }
        line
    }
}

impl Step {
    fn row(&self) -> Vec<Cell> {
        let colour = match &*self.name {
            "warning" | "not_ready" | "restarted" | "service_gone" => Colour::Yellow,
            "ready" => Colour::Green,
            _ => Colour::Plain,
        };
        let count = self.count.filter(|count| *count > 1).map(|count| format!("{count} times"));
        let details: Vec<_> = [&count, &self.image, &self.reason, &self.message, &self.hint]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        vec![
            Cell::new(&self.name, colour),
            Cell::plain(&self.at),
            Cell::plain(format!("+{}", age::milliseconds(self.duration_ms))),
            Cell::plain(details.join(", ")),
        ]
    }
}
