//! The reap limits.

use std::time::Duration;

use lifecycle::reap_limiter::ReapLimits;

use super::{
    format::{Boolean, DurationRange, Number, OrWord, duration_text},
    reader::{Reader, Reported},
    setting::{DefaultValue, Scope, Section, Setting},
};

pub(super) const SECTION: Section = Section {
    heading: "Reap limits",
    scope: Scope::Daemon,
    settings: &[&DRY_RUN, &MAX_PER_MINUTE, &MAX_SHARE, &STOP_FOR, &GRACE],
};

static DRY_RUN: Setting<Boolean> = Setting {
    variable: "PROVISIONER_REAP_DRY_RUN",
    format: Boolean,
    default: DefaultValue::Of(|| ReapLimits::default().dry_run.to_string()),
    help: "Report in the log and as Events what would be reaped, without reaping",
};

static MAX_PER_MINUTE: Setting<OrWord<Number<u32>>> = Setting {
    variable: "PROVISIONER_REAP_MAX_PER_MINUTE",
    format: OrWord(Number(1..=1_000_000), "unlimited"),
    default: DefaultValue::Of(|| {
        ReapLimits::default().max_per_minute.map_or("unlimited".to_owned(), |max| max.to_string())
    }),
    help: "Maximum number of reaps per minute",
};

static MAX_SHARE: Setting<Number<u8>> = Setting {
    variable: "PROVISIONER_REAP_MAX_SHARE",
    format: Number(1..=100),
    default: DefaultValue::Of(|| ReapLimits::default().max_share_percent.to_string()),
    help: "Percentage of all sandboxes that may be reaped per minute before all reaping stops; 100 never stops",
};

/// A shorter stop would end before the window in which reaps are counted. For more than a week, use the dry run.
static STOP_FOR: Setting<DurationRange> = Setting {
    variable: "PROVISIONER_REAP_STOP_FOR",
    format: DurationRange(Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 60 * 60)),
    default: DefaultValue::Of(|| duration_text(ReapLimits::default().stop_for)),
    help: "How long a stop of all reaping lasts, unless an operator ends it with POST /api/reaper/resume",
};

/// Zero is for tests and trials. With more than an hour, a daemon that is restarted often would never reap.
static GRACE: Setting<DurationRange> = Setting {
    variable: "PROVISIONER_REAP_GRACE",
    format: DurationRange(Duration::ZERO..=Duration::from_secs(60 * 60)),
    default: DefaultValue::Of(|| duration_text(ReapLimits::default().grace)),
    help: "How long nothing is reaped after the start, and after a step of the API server's clock",
};

pub(super) fn read(reader: &Reader<'_>) -> Result<ReapLimits, Reported> {
    Ok(ReapLimits {
        dry_run: reader.get(&DRY_RUN)?,
        max_per_minute: reader.get(&MAX_PER_MINUTE)?,
        max_share_percent: reader.get(&MAX_SHARE)?,
        stop_for: reader.get(&STOP_FOR)?,
        grace: reader.get(&GRACE)?,
    })
}
