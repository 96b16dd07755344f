//! Parses the texts into [`Settings`]: parses every value and collects every problem before it fails.

use std::net::SocketAddr;

use kubernetes::manifest::{ServiceType, SubPathTemplate, Template};
use secrecy::SecretString;

use super::{
    Embedded, Http, Kubernetes, Log, LogFormat, Settings,
    durations::{
        DrainDeadline, DrainDelay, Grace, Limit, OwnerLease, ProbeInterval, ProbePatience, StalenessLimit,
        StopTime,
    },
    keys::Key,
    layers::Layers,
    lifetimes::{Lifetimes, Limits, Probing, Reaping, Share},
    problem::{Origin, Problem, Shown},
    rules,
};

/// The purpose for which the settings are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To listen: a public address requires an API key.
    Serve,
    /// To do something else, without listening.
    Inspect,
}

/// A value is invalid; its problem was added to the list.
struct Noted;

/// Parses values and collects problems.
struct Reader<'a> {
    layers: &'a Layers,
    problems: &'a mut Vec<Problem>,
}

/// Parses the effective values into settings. `key_file` is the content of the API key file, without its last line
/// end. `None` if there are problems, which are added to `problems`.
pub fn resolve(
    layers: &Layers,
    key_file: Option<&str>,
    in_cluster: bool,
    purpose: Purpose,
    problems: &mut Vec<Problem>,
) -> Option<Settings> {
    let read = &mut Reader { layers, problems };
    let (http, kubernetes, template) =
        (http(read, key_file, purpose), kubernetes(read, in_cluster), template(read));
    let (lifetimes, embedded, log) = (lifetimes(read), embedded(read), log(read));
    let (Ok(http), Ok(kubernetes), Ok(template), Ok(lifetimes), Ok(embedded), Ok(log)) =
        (http, kubernetes, template, lifetimes, embedded, log)
    else {
        return None;
    };
    problems.is_empty().then_some(Settings { http, kubernetes, template, lifetimes, embedded, log })
}

fn http(read: &mut Reader<'_>, key_file: Option<&str>, purpose: Purpose) -> Result<Http, Noted> {
    let listen = read.value(Key::Listen, |t| t.parse().ok());
    let serving = listen.as_ref().ok().copied().filter(|_| purpose == Purpose::Serve);
    let api_key = api_key(read, key_file, serving);
    let max_connections = read.value(Key::MaxConnections, |t| rules::count(t, 65536));
    let drain_deadline = read.value(Key::DrainDeadline, DrainDeadline::parse);
    let drain_delay = read.value(Key::DrainDelay, DrainDelay::parse);
    Ok(Http {
        listen: listen?,
        api_key: api_key?,
        max_connections: max_connections?,
        drain_deadline: drain_deadline?,
        drain_delay: drain_delay?,
    })
}

/// The required API key, if any. `serving` is the address on which the daemon listens.
fn api_key(
    read: &mut Reader<'_>,
    key_file: Option<&str>,
    serving: Option<SocketAddr>,
) -> Result<Option<SecretString>, Noted> {
    let none = read.value(Key::Auth, |t| match t {
        "key" => Some(false),
        "none" => Some(true),
        _ => None,
    });
    let file = read.layers.origin(Key::ApiKeyFile);
    let (key, from) = match key_file {
        Some(content) => {
            let within = Origin::Within(Box::new(file.clone()));
            (Some(read.judged(Key::ApiKey, content, within, rules::api_key)?), file)
        }
        // The file could not be read, which is already in the list of problems.
        None if read.layers.get(Key::ApiKeyFile).is_some() => return Err(Noted),
        None => (read.optional(Key::ApiKey, rules::api_key)?, read.layers.origin(Key::ApiKey)),
    };
    let problem = match (key, none?, serving) {
        (Some(_), true, _) => Problem::KeyAndNone { auth: read.layers.origin(Key::Auth), key: from },
        (None, false, Some(listen)) if !listen.ip().to_canonical().is_loopback() => {
            Problem::Exposed { listen: listen.to_string(), origin: read.layers.origin(Key::Listen) }
        }
        (key, _, _) => return Ok(key.map(SecretString::from)),
    };
    read.problems.push(problem);
    Err(Noted)
}

fn kubernetes(read: &mut Reader<'_>, in_cluster: bool) -> Result<Kubernetes, Noted> {
    let kubeconfig = read.value(Key::Kubeconfig, |t| (!t.is_empty()).then(|| t.into()));
    let api_server = read.optional(Key::ApiServer, rules::server_url);
    let tls_server_name = read.optional(Key::TlsServerName, rules::tls_name);
    let insecure_skip_tls_verify = read.value(Key::InsecureSkipTlsVerify, rules::switch);
    let max_in_flight = read.value(Key::MaxInFlight, |t| rules::count(t, 1024));
    let staleness_limit = read.value(Key::StalenessLimit, StalenessLimit::parse);
    Ok(Kubernetes {
        kubeconfig: kubeconfig?,
        in_cluster,
        api_server: api_server?,
        tls_server_name: tls_server_name?,
        insecure_skip_tls_verify: insecure_skip_tls_verify?,
        max_in_flight: max_in_flight?,
        staleness_limit: staleness_limit?,
    })
}

fn template(read: &mut Reader<'_>) -> Result<Template, Noted> {
    let namespace = read.value(Key::Namespace, rules::label);
    let image = read.value(Key::Image, rules::image);
    let container_port = read.value(Key::ContainerPort, |t| t.parse().ok().filter(|port| *port != 0));
    let service_type = read.value(Key::ServiceType, |t| ServiceType::parse(t).ok());
    let node_host = read.value(Key::NodeHost, rules::host);
    let threads_host_path = read.value(Key::ThreadsHostPath, rules::host_path);
    let host_base_dir = read.optional(Key::HostBaseDir, rules::host_path);
    let skills_host_path = read.optional(Key::SkillsHostPath, rules::host_path);
    let skills_pvc = read.optional(Key::SkillsPvc, rules::subdomain);
    let skills_pvc_sub_path = read.sub_path();
    let userdata_pvc = read.optional(Key::UserdataPvc, rules::subdomain);
    let lark_init_image = read.optional(Key::LarkCliInitImage, rules::image);
    let lark_broker_image = read.optional(Key::LarkCliBrokerImage, rules::image);
    let lark_broker_deny_subcommands = read.optional(Key::LarkBrokerDenySubcommands, rules::one_line);
    Ok(Template {
        namespace: namespace?,
        image: image?,
        container_port: container_port?,
        service_type: service_type?,
        node_host: node_host?,
        threads_host_path: threads_host_path?,
        host_base_dir: host_base_dir?.unwrap_or_default(),
        skills_host_path: skills_host_path?,
        skills_pvc: skills_pvc?,
        skills_pvc_sub_path: skills_pvc_sub_path?,
        userdata_pvc: userdata_pvc?,
        lark_init_image: lark_init_image?,
        lark_broker_image: lark_broker_image?,
        lark_broker_deny_subcommands: lark_broker_deny_subcommands?,
    })
}

fn lifetimes(read: &mut Reader<'_>) -> Result<Lifetimes, Noted> {
    let ttl = read.limits(Key::DefaultTtl, Key::MaxTtl);
    let idle = read.limits(Key::DefaultIdleTimeout, Key::MaxIdleTimeout);
    let get_counts_as_use = read.value(Key::GetCountsAsUse, rules::switch);
    let start_timeout = read.optional(Key::StartTimeout, Limit::parse);
    let finished_timeout = read.optional(Key::FinishedTimeout, Limit::parse);
    let node_lost_timeout = read.optional(Key::NodeLostTimeout, Limit::parse);
    let owner_lease = read.value(Key::OwnerLease, OwnerLease::parse);
    let (probing, reaping) = (probing(read), reaping(read));
    let ((ttl, max_ttl), (idle_timeout, max_idle_timeout)) = (ttl?, idle?);
    Ok(Lifetimes {
        default: Limits { ttl, idle_timeout },
        max: Limits { ttl: max_ttl, idle_timeout: max_idle_timeout },
        get_counts_as_use: get_counts_as_use?,
        start_timeout: start_timeout?,
        finished_timeout: finished_timeout?,
        node_lost_timeout: node_lost_timeout?,
        owner_lease: owner_lease?,
        probing: probing?,
        reaping: reaping?,
    })
}

fn probing(read: &mut Reader<'_>) -> Result<Probing, Noted> {
    let probes = read.value(Key::IdleProbes, rules::probes);
    let idle_cpu_millicores = read.optional(Key::IdleCpu, rules::millicores);
    let patience = read.value(Key::ProbePatience, ProbePatience::parse);
    let interval = read.value(Key::ProbeInterval, ProbeInterval::parse);
    Ok(Probing {
        probes: probes?,
        idle_cpu_millicores: idle_cpu_millicores?,
        patience: patience?,
        interval: interval?,
    })
}

fn reaping(read: &mut Reader<'_>) -> Result<Reaping, Noted> {
    let dry_run = read.value(Key::ReapDryRun, rules::switch);
    let max_per_minute = read.value(Key::ReapMaxPerMinute, rules::rate);
    let max_share_percent = read.value(Key::ReapMaxShare, Share::parse);
    let stop_for = read.value(Key::ReapStopFor, StopTime::parse);
    let grace = read.value(Key::ReapGrace, Grace::parse);
    Ok(Reaping {
        dry_run: dry_run?,
        max_per_minute: max_per_minute?,
        max_share_percent: max_share_percent?,
        stop_for: stop_for?,
        grace: grace?,
    })
}

fn embedded(read: &mut Reader<'_>) -> Result<Option<Embedded>, Noted> {
    let wanted = read.value(Key::Embedded, rules::switch);
    let sandbox_bind = read.value(Key::EmbeddedBind, |t| t.parse().ok())?;
    Ok(wanted?.then_some(Embedded { sandbox_bind }))
}

/// The settings of the log alone.
pub fn log_only(layers: &Layers, problems: &mut Vec<Problem>) -> Option<Log> {
    log(&mut Reader { layers, problems }).ok()
}

fn log(read: &mut Reader<'_>) -> Result<Log, Noted> {
    let format = read.value(Key::LogFormat, |t| match t {
        "auto" => Some(LogFormat::Auto),
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    });
    let level = read.value(Key::LogLevel, |t| match t {
        "error" => Some(tracing::Level::ERROR),
        "warn" => Some(tracing::Level::WARN),
        "info" => Some(tracing::Level::INFO),
        "debug" => Some(tracing::Level::DEBUG),
        "trace" => Some(tracing::Level::TRACE),
        _ => None,
    });
    Ok(Log { format: format?, level: level? })
}

// === impl Reader ===

impl<'a> Reader<'a> {
    /// A setting that has a default.
    fn value<T>(&mut self, key: Key, rule: impl FnOnce(&'a str) -> Option<T>) -> Result<T, Noted> {
        self.optional(key, rule)?.ok_or(Noted)
    }

    /// A setting that may be absent.
    fn optional<T>(&mut self, key: Key, rule: impl FnOnce(&'a str) -> Option<T>) -> Result<Option<T>, Noted> {
        let Some(raw) = self.layers.get(key) else { return Ok(None) };
        self.judged(key, &raw.text, raw.origin.clone(), rule).map(Some)
    }

    /// Parses a text of any origin.
    fn judged<'t, T>(
        &mut self,
        key: Key,
        text: &'t str,
        origin: Origin,
        rule: impl FnOnce(&'t str) -> Option<T>,
    ) -> Result<T, Noted> {
        rule(text).ok_or_else(|| self.bad(key, text, origin, None))
    }

    /// A default limit and the maximum for requests, which also bounds the default.
    fn limits(&mut self, key: Key, max_key: Key) -> Result<(Option<Limit>, Option<Limit>), Noted> {
        let default = self.optional(key, Limit::parse);
        let max = self.optional(max_key, Limit::parse);
        let (default, max) = (default?, max?);
        if let (Some(limit), Some(most)) = (default, max)
            && limit > most
        {
            let shown = |key| Shown::new(key, self.layers.get(key).map_or("", |raw| &raw.text));
            self.problems.push(Problem::AboveMax {
                key,
                value: shown(key),
                origin: self.layers.origin(key),
                max_key,
                max: shown(max_key),
                max_origin: self.layers.origin(max_key),
            });
            return Err(Noted);
        }
        Ok((default, max))
    }

    /// The only setting whose rule returns a reason.
    fn sub_path(&mut self) -> Result<Option<SubPathTemplate>, Noted> {
        let key = Key::SkillsPvcSubpathTemplate;
        let Some(raw) = self.layers.get(key) else { return Ok(None) };
        let template = SubPathTemplate::parse(&raw.text);
        template
            .map(Some)
            .map_err(|error| self.bad(key, &raw.text, raw.origin.clone(), Some(error.to_string())))
    }

    fn bad(&mut self, key: Key, text: &str, origin: Origin, because: Option<String>) -> Noted {
        self.problems.push(Problem::BadValue { key, value: Shown::new(key, text), origin, because });
        Noted
    }
}
