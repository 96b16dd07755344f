//! The level and the format of the log.

use tracing::Level;

use super::{
    format::OneOf,
    reader::{Reader, Reported},
    setting::{DefaultValue, Scope, Section, Setting, Spec},
};
use crate::telemetry::Format;

pub(super) const SECTION: Section =
    Section { heading: "Logs", scope: Scope::Daemon, settings: &[&FORMAT, &LEVEL] };

static FORMAT: Setting<OneOf<Format>> = Setting {
    variable: "PROVISIONER_LOG_FORMAT",
    format: OneOf(&[("auto", Format::Auto), ("text", Format::Text), ("json", Format::Json)]),
    default: DefaultValue::Text("auto"),
    help: "Format of a log line; 'auto' is text on a terminal and JSON otherwise",
};

static LEVEL: Setting<OneOf<Level>> = Setting {
    variable: "PROVISIONER_LOG_LEVEL",
    format: OneOf(&[
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ]),
    default: DefaultValue::Text("info"),
    help: "The least severe level that is logged",
};

/// The level and the format of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The format of a log line.
    pub format: Format,
    /// The least severe level that is logged.
    pub level: Level,
}

pub(super) fn read(reader: &Reader<'_>) -> Result<Log, Reported> {
    Ok(Log { format: reader.get(&FORMAT)?, level: reader.get(&LEVEL)? })
}

/// Returns whether a setting belongs to this section, which commands without other settings need too.
pub(crate) fn is_log(spec: &Spec) -> bool {
    spec.heading == SECTION.heading
}
