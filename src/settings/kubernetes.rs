//! The connection to the cluster.

use std::{path::PathBuf, time::Duration};

use http::Uri;
use kubernetes::{
    connect::{Limits, Options, ServiceAddress},
    manifest::Template,
};

use super::{
    format::{Boolean, DurationRange, Number, Optional, Rule},
    reader::{Reader, Reported},
    rules,
    setting::{DefaultValue, Scope, Section, Setting},
};

pub(super) const SECTION: Section = Section {
    heading: "Kubernetes",
    scope: Scope::Cluster,
    settings: &[
        &NAMESPACE,
        &KUBECONFIG,
        &CONTEXT,
        &API_SERVER,
        &TLS_SERVER_NAME,
        &INSECURE_SKIP_TLS_VERIFY,
        &MAX_IN_FLIGHT,
        &STALENESS_LIMIT,
        &EXIT_LOG_LINES,
    ],
};

static NAMESPACE: Setting<Rule<String>> = Setting {
    variable: "K8S_NAMESPACE",
    format: rules::LABEL,
    default: DefaultValue::Of(|| Template::default().namespace),
    help: "Namespace of the sandboxes; created if it is missing",
};

static KUBECONFIG: Setting<Rule<PathBuf>> = Setting {
    variable: "KUBECONFIG_PATH",
    format: Rule::new(|text| (!text.is_empty()).then(|| text.into()), "the path of a kubeconfig file"),
    default: DefaultValue::Text("/root/.kube/config"),
    help: "Kubeconfig; if the file does not exist, the in-cluster configuration is used",
};

static CONTEXT: Setting<Optional<Rule<String>>> = Setting {
    variable: "K8S_CONTEXT",
    format: Optional(rules::ONE_LINE),
    default: DefaultValue::None { example: "kind-east" },
    help: "Context of the kubeconfig, instead of its current one; with it, the in-cluster configuration is not used",
};

static API_SERVER: Setting<Optional<Rule<Uri>>> = Setting {
    variable: "K8S_API_SERVER",
    format: Optional(rules::SERVER_URL),
    default: DefaultValue::None { example: "https://host.docker.internal:6443" },
    help: "Address of the API server, instead of the kubeconfig's; the certificate is still checked against the name of the kubeconfig's own server",
};

static TLS_SERVER_NAME: Setting<Optional<Rule<String>>> = Setting {
    variable: "PROVISIONER_TLS_SERVER_NAME",
    format: Optional(rules::TLS_NAME),
    default: DefaultValue::None { example: "kubernetes.default.svc" },
    help: "Name against which the API server's certificate is checked, instead of the name of the kubeconfig's server",
};

static INSECURE_SKIP_TLS_VERIFY: Setting<Boolean> = Setting {
    variable: "PROVISIONER_INSECURE_SKIP_TLS_VERIFY",
    format: Boolean,
    default: DefaultValue::Text("false"),
    help: "Accept any certificate of the API server: anyone who answers gets the credentials",
};

static MAX_IN_FLIGHT: Setting<Number<usize>> = Setting {
    variable: "PROVISIONER_MAX_IN_FLIGHT",
    format: Number(1..=1024),
    default: DefaultValue::Of(|| Limits::default().in_flight.to_string()),
    help: "Maximum number of calls to the API server in flight; three eighths as many sandboxes are created at once, and further ones wait",
};

/// On a quiet cluster the watch gets a message only about every 30 s, when it is reopened. With a shorter limit a
/// healthy cluster would be considered stale. A state that is older than an hour says nothing about the present.
static STALENESS_LIMIT: Setting<DurationRange> = Setting {
    variable: "PROVISIONER_STALENESS_LIMIT",
    format: DurationRange(Duration::from_secs(40)..=Duration::from_secs(60 * 60)),
    default: DefaultValue::Text("60s"),
    help: "Maximum age of the known cluster state; when it is older, requests are answered 503",
};

/// More lines do not fit into the message of a reason.
static EXIT_LOG_LINES: Setting<Number<u16>> = Setting {
    variable: "PROVISIONER_EXIT_LOG_LINES",
    format: Number(0..=20),
    default: DefaultValue::Text("0"),
    help: "How many of the last lines of a container's log the message of its exit has; needs the right to get pods/log, and 0 reads no log",
};

/// The connection to the cluster.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    /// The address of the API server and the options of the connection.
    pub connect: Options,
    /// The limits on calls to the API server.
    pub limits: Limits,
    /// The maximum age of the known cluster state before requests are answered 503.
    pub staleness_limit: Duration,
    /// How many of the last lines of a container's log the message of its exit has.
    pub exit_log_lines: u16,
}

/// Reads the connection. `in_cluster` is the API server's address if this process runs in a Pod, whose service account
/// then replaces a missing kubeconfig.
pub(super) fn read(
    reader: &Reader<'_>,
    in_cluster: Option<ServiceAddress>,
    template: &mut Template,
) -> Result<Kubernetes, Reported> {
    template.namespace = reader.get(&NAMESPACE)?;
    Ok(Kubernetes {
        connect: Options {
            kubeconfig: reader.get(&KUBECONFIG)?,
            setting: KUBECONFIG.variable.to_owned(),
            context: reader.get(&CONTEXT)?,
            in_cluster,
            api_server: reader.get(&API_SERVER)?,
            tls_server_name: reader.get(&TLS_SERVER_NAME)?,
            insecure_skip_tls_verify: reader.get(&INSECURE_SKIP_TLS_VERIFY)?,
        },
        limits: Limits { in_flight: reader.get(&MAX_IN_FLIGHT)?, ..Limits::default() },
        staleness_limit: reader.get(&STALENESS_LIMIT)?,
        exit_log_lines: reader.get(&EXIT_LOG_LINES)?,
    })
}
