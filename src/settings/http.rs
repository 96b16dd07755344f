//! The daemon's own HTTP service, and its API key.

use std::{net::SocketAddr, time::Duration};

use secrecy::SecretString;

use super::{
    format::{DurationRange, Exposure, Number, OneOf, Optional, Rule},
    problem::Problem,
    reader::{Reader, Reported},
    rules,
    setting::{DefaultValue, Scope, Section, Setting},
    sources::Sources,
};

pub(super) const SECTION: Section = Section {
    heading: "HTTP service",
    scope: Scope::Daemon,
    settings: &[
        &LISTEN,
        &API_KEY,
        &API_KEY_FILE,
        &AUTH,
        &MAX_CONNECTIONS,
        &MAX_STREAMS,
        &METRICS_LISTEN,
        &METRICS_AUTH,
        &DRAIN_DEADLINE,
        &DRAIN_DELAY,
        &SLOW_REQUEST,
    ],
};

static LISTEN: Setting<Rule<SocketAddr>> = Setting {
    variable: "PROVISIONER_LISTEN",
    format: Rule::new(
        |text| text.parse().ok(),
        "an IP address and a port, such as 127.0.0.1:8002 or [::]:8002",
    ),
    default: DefaultValue::Text("127.0.0.1:8002"),
    help: "Listen address; with port 0 the system chooses a port",
};

pub(super) static API_KEY: Setting<Optional<Rule<SecretString>>> = Setting {
    variable: "PROVISIONER_API_KEY",
    format: Optional(
        Rule::new(
            |text| rules::api_key(text).map(SecretString::from),
            "printable ASCII without white space around it",
        )
        .exposed(Exposure::Hidden),
    ),
    default: DefaultValue::None { example: "change-me" },
    help: "API key that clients send as X-API-Key or as Authorization: Bearer",
};

pub(super) static API_KEY_FILE: Setting<Optional<Rule<()>>> = Setting {
    variable: "PROVISIONER_API_KEY_FILE",
    format: Optional(Rule::new(|_| Some(()), "the path of a readable file that contains the key")),
    default: DefaultValue::None { example: "/run/secrets/provisioner-api-key" },
    help: "File that contains the API key, as Docker and Kubernetes mount secrets; a line end after the key is ignored",
};

static AUTH: Setting<OneOf<bool>> = Setting {
    variable: "PROVISIONER_AUTH",
    format: OneOf(&[("key", true), ("none", false)]),
    default: DefaultValue::Text("key"),
    help: "With 'none' clients need no API key, on any listen address",
};

static MAX_CONNECTIONS: Setting<Number<usize>> = Setting {
    variable: "PROVISIONER_MAX_CONNECTIONS",
    format: Number(1..=65536),
    default: DefaultValue::Text("1024"),
    help: "Maximum number of open connections; a further one is answered 503",
};

static MAX_STREAMS: Setting<Number<usize>> = Setting {
    variable: "PROVISIONER_MAX_STREAMS",
    format: Number(1..=65536),
    default: DefaultValue::Text("5000"),
    help: "Maximum number of open streams of events and logs, besides the other connections; a further one is answered 503",
};

static METRICS_LISTEN: Setting<Optional<Rule<SocketAddr>>> = Setting {
    variable: "PROVISIONER_METRICS_LISTEN",
    format: Optional(Rule::new(
        |text| text.parse().ok(),
        "an IP address and a port, such as 127.0.0.1:9090 or [::]:9090",
    )),
    default: DefaultValue::None { example: "0.0.0.0:9090" },
    help: "Listen address for /metrics, which the main address then does not serve",
};

static METRICS_AUTH: Setting<OneOf<bool>> = Setting {
    variable: "PROVISIONER_METRICS_AUTH",
    format: OneOf(&[("none", false), ("key", true)]),
    default: DefaultValue::Text("none"),
    help: "With 'key' a scrape of /metrics needs the API key, if there is one, as a bearer token",
};

/// Zero would interrupt every request. No request lasts longer than 30 s, so more than ten minutes is probably a
/// typing error.
static DRAIN_DEADLINE: Setting<DurationRange> = Setting {
    variable: "PROVISIONER_DRAIN_DEADLINE",
    format: DurationRange(Duration::from_secs(1)..=Duration::from_secs(10 * 60)),
    default: DefaultValue::Text("25s"),
    help: "How long a shutdown waits for requests in flight; then actors have 4s to finish, so keep it 5s below the grace period of your supervisor (30s in Kubernetes)",
};

/// Zero suits a daemon without a load balancer. A minute is longer than any load balancer needs to notice that the
/// daemon is not ready.
static DRAIN_DELAY: Setting<DurationRange> = Setting {
    variable: "PROVISIONER_DRAIN_DELAY",
    format: DurationRange(Duration::ZERO..=Duration::from_secs(60)),
    default: DefaultValue::Text("1s"),
    help: "How long new connections are accepted after /readyz starts failing; it counts towards the drain deadline",
};

/// Most requests are answered from memory, and a create in less than a second unless the cluster is slow. Longer than ten
/// minutes, which no request takes, is probably a typing error.
static SLOW_REQUEST: Setting<DurationRange> = Setting {
    variable: "PROVISIONER_SLOW_REQUEST",
    format: DurationRange(Duration::ZERO..=Duration::from_secs(10 * 60)),
    default: DefaultValue::Text("5s"),
    help: "A request that takes longer is logged as a warning, except one that waits with ?wait=ready and a move; 0s switches this off",
};

/// The daemon's own HTTP service.
#[derive(Debug, Clone)]
pub struct Http {
    /// The listen address; with port 0 the system chooses a port.
    pub listen: SocketAddr,
    /// The API key of `/api`. `None` admits everyone; it is only possible on a loopback address or with
    /// `PROVISIONER_AUTH=none`.
    pub api_key: Option<SecretString>,
    /// The number of open connections; a further one is answered 503 and closed.
    pub max_connections: usize,
    /// The number of open event streams, whose connections do not count among `max_connections`.
    pub max_streams: usize,
    /// The listen address of `/metrics`; `None` serves it on `listen`.
    pub metrics_listen: Option<SocketAddr>,
    /// Whether `/metrics` requires the API key.
    pub metrics_need_key: bool,
    /// How long a shutdown waits for requests in flight.
    pub drain_deadline: Duration,
    /// How much of that time new connections are still accepted, while the daemon is not ready.
    pub drain_delay: Duration,
    /// After which time a request is logged as slow; zero switches that off.
    pub slow_after: Duration,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Http, Reported> {
    Ok(Http {
        api_key: api_key(reader)?,
        listen: reader.get(&LISTEN)?,
        max_connections: reader.get(&MAX_CONNECTIONS)?,
        max_streams: reader.get(&MAX_STREAMS)?,
        metrics_listen: reader.get(&METRICS_LISTEN)?,
        metrics_need_key: reader.get(&METRICS_AUTH)?,
        drain_deadline: reader.get(&DRAIN_DEADLINE)?,
        drain_delay: reader.get(&DRAIN_DELAY)?,
        slow_after: reader.get(&SLOW_REQUEST)?,
    })
}

/// Reads the required API key, if any. A daemon that serves a public address needs one.
fn api_key(reader: &mut Reader<'_>) -> Result<Option<SecretString>, Reported> {
    let (key, needed) = (reader.get(&API_KEY)?, reader.get(&AUTH)?);
    let sources = reader.sources;
    let problem = match &key {
        Some(_) if !needed => format!(
            "auth: \"none\" from {} is not allowed, as there is an API key from {}; allowed: \"none\" without a key, \
             or a key without \"none\"",
            sources.origin(&AUTH),
            sources.origin(&API_KEY),
        ),
        // The file could not be read, which is reported already.
        None if sources.get(&API_KEY_FILE).is_some() => return Err(Reported),
        None if needed && reader.serving && !reader.get(&LISTEN)?.ip().to_canonical().is_loopback() => {
            format!(
                "listen: \"{}\" from {} is not allowed without an API key, as other machines can reach it; allowed: a \
             loopback address, or any with PROVISIONER_API_KEY (or PROVISIONER_API_KEY_FILE) or with \
             PROVISIONER_AUTH=none",
                reader.get(&LISTEN)?,
                sources.origin(&LISTEN),
            )
        }
        _ => return Ok(key),
    };
    Err(reader.report(Problem::new(problem)))
}

/// The API key and the file with the API key are two forms of one setting: the one of the later source wins.
///
/// # Errors
/// Both are from the same source.
pub(super) fn choose_key(sources: &mut Sources) -> Result<(), Problem> {
    let (Some(key), Some(file)) = (sources.get(&API_KEY), sources.get(&API_KEY_FILE)) else { return Ok(()) };
    match key.origin.rank().cmp(&file.origin.rank()) {
        std::cmp::Ordering::Less => sources.unset(&API_KEY),
        std::cmp::Ordering::Greater => sources.unset(&API_KEY_FILE),
        std::cmp::Ordering::Equal => {
            return Err(Problem::new(format!(
                "api_key: a hidden value from {} and a file from {} are not allowed together; allowed: api_key or \
                 api_key_file",
                key.origin, file.origin
            )));
        }
    }
    Ok(())
}
