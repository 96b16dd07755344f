//! The lifetimes of sandboxes. By default there is no limit.

use std::time::Duration;

use lifecycle::lifetime::{LIMIT_MAX, LIMIT_MIN, Limits, Policy};

use super::{
    format::{Boolean, DurationRange, Optional, duration_text},
    problem::{Problem, quoted},
    reader::{Reader, Reported},
    setting::{DefaultValue, Scope, Section, Setting},
};

pub(super) const SECTION: Section = Section {
    heading: "Lifetimes",
    scope: Scope::Daemon,
    settings: &[
        &DEFAULT_TTL,
        &DEFAULT_IDLE_TIMEOUT,
        &MAX_TTL,
        &MAX_IDLE_TIMEOUT,
        &GET_COUNTS_AS_USE,
        &START_TIMEOUT,
        &PULL_ALLOWANCE,
        &FINISHED_TIMEOUT,
        &NODE_LOST_TIMEOUT,
        &OWNER_LEASE,
    ],
};

/// The bounds of every limit, also of those in requests.
const LIMIT: Optional<DurationRange> = Optional(DurationRange(LIMIT_MIN..=LIMIT_MAX));

static DEFAULT_TTL: Setting<Optional<DurationRange>> = Setting {
    variable: "PROVISIONER_DEFAULT_TTL",
    format: LIMIT,
    default: DefaultValue::None { example: "24h" },
    help: "How long a sandbox lives since its creation, if its request does not set a ttl",
};

static DEFAULT_IDLE_TIMEOUT: Setting<Optional<DurationRange>> = Setting {
    variable: "PROVISIONER_DEFAULT_IDLE_TIMEOUT",
    format: LIMIT,
    default: DefaultValue::None { example: "2h" },
    help: "How long a sandbox lives since its last activity, if its request does not set an idle_timeout",
};

static MAX_TTL: Setting<Optional<DurationRange>> = Setting {
    variable: "PROVISIONER_MAX_TTL",
    format: LIMIT,
    default: DefaultValue::None { example: "7d" },
    help: "Maximum ttl that a request may set; it also applies to sandboxes that would have no ttl",
};

static MAX_IDLE_TIMEOUT: Setting<Optional<DurationRange>> = Setting {
    variable: "PROVISIONER_MAX_IDLE_TIMEOUT",
    format: LIMIT,
    default: DefaultValue::None { example: "24h" },
    help: "Maximum idle_timeout that a request may set; it also applies to sandboxes that would have no idle timeout",
};

static GET_COUNTS_AS_USE: Setting<Boolean> = Setting {
    variable: "PROVISIONER_GET_COUNTS_AS_USE",
    format: Boolean,
    default: DefaultValue::Of(|| Policy::default().get_counts.to_string()),
    help: "Whether a GET of a sandbox by its id counts as activity",
};

static START_TIMEOUT: Setting<Optional<DurationRange>> = Setting {
    variable: "PROVISIONER_START_TIMEOUT",
    format: LIMIT,
    default: DefaultValue::None { example: "15m" },
    help: "How long a sandbox may take to become ready, apart from the pull of its images",
};

/// With zero the pull counts towards the start timeout. A pull of more than a day does not end.
static PULL_ALLOWANCE: Setting<DurationRange> = Setting {
    variable: "PROVISIONER_PULL_ALLOWANCE",
    format: DurationRange(Duration::ZERO..=Duration::from_secs(24 * 60 * 60)),
    default: DefaultValue::Of(|| duration_text(Policy::default().pull_allowance)),
    help: "Maximum time for the pull of its images that does not count towards the start timeout",
};

static FINISHED_TIMEOUT: Setting<Optional<DurationRange>> = Setting {
    variable: "PROVISIONER_FINISHED_TIMEOUT",
    format: LIMIT,
    default: DefaultValue::None { example: "10m" },
    help: "How long a sandbox is kept after its Pod has Succeeded or Failed",
};

static NODE_LOST_TIMEOUT: Setting<Optional<DurationRange>> = Setting {
    variable: "PROVISIONER_NODE_LOST_TIMEOUT",
    format: LIMIT,
    default: DefaultValue::None { example: "30m" },
    help: "How long a sandbox is kept after the node of its Pod was lost",
};

/// A client needs some time between two touches. With more than a day, an owner that is gone would lock out the
/// others for longer than a working day.
static OWNER_LEASE: Setting<DurationRange> = Setting {
    variable: "PROVISIONER_OWNER_LEASE",
    format: DurationRange(Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60)),
    default: DefaultValue::Of(|| duration_text(Policy::default().owner_lease)),
    help: "How long after its last activity a sandbox is protected from a DELETE with another X-Owner",
};

/// Reads the policy, apart from the timing of the activity probes.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Policy, Reported> {
    let ttl = limit(reader, &DEFAULT_TTL, &MAX_TTL);
    let idle_timeout = limit(reader, &DEFAULT_IDLE_TIMEOUT, &MAX_IDLE_TIMEOUT);
    Ok(Policy {
        default: Limits { ttl: ttl?, idle_timeout: idle_timeout? },
        max: Limits { ttl: reader.get(&MAX_TTL)?, idle_timeout: reader.get(&MAX_IDLE_TIMEOUT)? },
        get_counts: reader.get(&GET_COUNTS_AS_USE)?,
        start_timeout: reader.get(&START_TIMEOUT)?,
        pull_allowance: reader.get(&PULL_ALLOWANCE)?,
        finished_timeout: reader.get(&FINISHED_TIMEOUT)?,
        lost_timeout: reader.get(&NODE_LOST_TIMEOUT)?,
        owner_lease: reader.get(&OWNER_LEASE)?,
        ..Policy::default()
    })
}

/// Reads a default limit, which must not be above the maximum for requests.
fn limit(
    reader: &mut Reader<'_>,
    default: &'static Setting<Optional<DurationRange>>,
    max: &'static Setting<Optional<DurationRange>>,
) -> Result<Option<Duration>, Reported> {
    let limit = reader.get(default)?;
    if limit <= reader.get(max)?.or(limit) {
        return Ok(limit);
    }
    let shown = |setting: &Setting<_>| match reader.sources.get(setting) {
        Some(raw) => format!("{} from {}", quoted(&raw.text), raw.origin),
        None => "unset".to_owned(),
    };
    let problem = Problem::new(format!(
        "{}: {} is not allowed, as {} is {}; allowed: at most that",
        default.name(),
        shown(default),
        max.name(),
        shown(max)
    ));
    Err(reader.report(problem))
}
