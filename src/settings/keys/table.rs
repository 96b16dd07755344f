//! The table itself, in the order of [`Key`].

use super::{Key, Kind, Section, Spec};

const HOST_PATH: &str = "an absolute path on the node without \"..\", such as /srv/x or C:\\x";
const IMAGE: &str = "an image reference without white space";
const LIMIT: &str = "a length of time from 1s to 365d";
const PVC: &str = "a claim's name: lower-case letters, digits, '-' and '.', at most 253 characters";
const SWITCH: &str = "true or false";

const fn text(key: Key, variable: &'static str, name: &'static str, flag: &'static str) -> Spec {
    Spec {
        key,
        variable,
        name,
        flag: Some(flag),
        default: None,
        kind: Kind::Text,
        allowed: "",
        help: "",
        section: Section::Http,
    }
}

/// All settings, in the order of [`Key`] and of every listing.
pub static SPECS: [Spec; 49] = [
    Spec {
        default: Some("127.0.0.1:8002"),
        allowed: "an IP address and a port, such as 127.0.0.1:8002 or [::]:8002",
        help: "Where the daemon listens; port 0 lets the system choose one",
        ..text(Key::Listen, "PROVISIONER_LISTEN", "listen", "listen")
    },
    Spec {
        flag: None,
        allowed: "printable ASCII without white space around it",
        help: "The key that clients send as X-API-Key, or as Authorization: Bearer",
        ..text(Key::ApiKey, "PROVISIONER_API_KEY", "api_key", "")
    },
    Spec {
        allowed: "the path of a readable file that holds the key",
        help: "A file that holds the API key, as Docker and Kubernetes mount secrets; a line end after the key does not count",
        ..text(Key::ApiKeyFile, "PROVISIONER_API_KEY_FILE", "api_key_file", "api-key-file")
    },
    Spec {
        default: Some("key"),
        allowed: "key or none",
        help: "With 'none' nobody needs a key, wherever the daemon listens",
        ..text(Key::Auth, "PROVISIONER_AUTH", "auth", "auth")
    },
    Spec {
        default: Some("1024"),
        kind: Kind::Number,
        allowed: "a number from 1 to 65536",
        help: "Connections open at once; a further one is answered 503",
        ..text(Key::MaxConnections, "PROVISIONER_MAX_CONNECTIONS", "max_connections", "max-connections")
    },
    Spec {
        default: Some("25s"),
        allowed: "a length of time from 1s to 10m",
        help: "How long a shutdown waits for requests in flight; keep it below the time your supervisor gives (30s in Kubernetes)",
        ..text(Key::DrainDeadline, "PROVISIONER_DRAIN_DEADLINE", "drain_deadline", "drain-deadline")
    },
    Spec {
        default: Some("1s"),
        allowed: "a length of time from 0s to 1m",
        help: "For how much of the drain deadline new connections are still taken, while /readyz already says no",
        ..text(Key::DrainDelay, "PROVISIONER_DRAIN_DELAY", "drain_delay", "drain-delay")
    },
    Spec {
        default: Some("deer-flow"),
        allowed: "a DNS label: 1 to 63 lower-case letters, digits or '-', with a letter or digit at both ends",
        help: "The namespace that holds the sandboxes; made if missing",
        section: Section::Cluster,
        ..text(Key::Namespace, "K8S_NAMESPACE", "k8s_namespace", "k8s-namespace")
    },
    Spec {
        default: Some("/root/.kube/config"),
        allowed: "the path of a kubeconfig file",
        help: "The kubeconfig; where the file does not exist the in-cluster configuration is used",
        section: Section::Cluster,
        ..text(Key::Kubeconfig, "KUBECONFIG_PATH", "kubeconfig_path", "kubeconfig-path")
    },
    Spec {
        allowed: "an http or https URL without credentials, query or fragment, such as https://host.docker.internal:6443",
        help: "The API server's address in place of the kubeconfig's; the certificate is still checked, under the name of the kubeconfig's own server",
        section: Section::Cluster,
        ..text(Key::ApiServer, "K8S_API_SERVER", "k8s_api_server", "k8s-api-server")
    },
    Spec {
        allowed: "a host name or an IP address",
        help: "The name that the API server's certificate is checked against, in place of the kubeconfig's server's",
        section: Section::Cluster,
        ..text(Key::TlsServerName, "PROVISIONER_TLS_SERVER_NAME", "tls_server_name", "tls-server-name")
    },
    Spec {
        default: Some("false"),
        kind: Kind::Switch,
        allowed: SWITCH,
        help: "Do not check the API server's certificate at all: anyone who answers gets the credentials",
        section: Section::Cluster,
        ..text(
            Key::InsecureSkipTlsVerify,
            "PROVISIONER_INSECURE_SKIP_TLS_VERIFY",
            "insecure_skip_tls_verify",
            "insecure-skip-tls-verify",
        )
    },
    Spec {
        default: Some("64"),
        kind: Kind::Number,
        allowed: "a number from 1 to 1024",
        help: "Calls to the API server in flight at once; three eighths as many sandboxes are made at once, and further ones wait",
        section: Section::Cluster,
        ..text(Key::MaxInFlight, "PROVISIONER_MAX_IN_FLIGHT", "max_in_flight", "max-in-flight")
    },
    Spec {
        default: Some("60s"),
        allowed: "a length of time from 40s to 1h",
        help: "How old what is known of the cluster may be before answers become 503",
        section: Section::Cluster,
        ..text(Key::StalenessLimit, "PROVISIONER_STALENESS_LIMIT", "staleness_limit", "staleness-limit")
    },
    Spec {
        default: Some("enterprise-public-cn-beijing.cr.volces.com/vefaas-public/all-in-one-sandbox:latest"),
        allowed: IMAGE,
        help: "The sandbox container's image",
        section: Section::Sandbox,
        ..text(Key::Image, "SANDBOX_IMAGE", "sandbox_image", "sandbox-image")
    },
    Spec {
        default: Some("8080"),
        kind: Kind::Number,
        allowed: "a port number from 1 to 65535",
        help: "The port that the sandbox container serves HTTP on",
        section: Section::Sandbox,
        ..text(
            Key::ContainerPort,
            "SANDBOX_CONTAINER_PORT",
            "sandbox_container_port",
            "sandbox-container-port",
        )
    },
    Spec {
        default: Some("NodePort"),
        allowed: "NodePort or ClusterIP",
        help: "How a sandbox is reached: on a port of the node, or inside the cluster only",
        section: Section::Sandbox,
        ..text(Key::ServiceType, "SANDBOX_SERVICE_TYPE", "sandbox_service_type", "sandbox-service-type")
    },
    Spec {
        default: Some("host.docker.internal"),
        allowed: "a host name or an IP address, without scheme, port or path",
        help: "The host under which clients reach the node's ports; on the embedded cluster the default is the address that its sandboxes listen on",
        section: Section::Sandbox,
        ..text(Key::NodeHost, "NODE_HOST", "node_host", "node-host")
    },
    Spec {
        allowed: LIMIT,
        help: "How long a sandbox lives from its creation, whatever happens, where its caller does not say",
        section: Section::Lifetimes,
        ..text(Key::DefaultTtl, "PROVISIONER_DEFAULT_TTL", "default_ttl", "default-ttl")
    },
    Spec {
        allowed: LIMIT,
        help: "How long a sandbox lives since its last sign of life, where its caller does not say",
        section: Section::Lifetimes,
        ..text(
            Key::DefaultIdleTimeout,
            "PROVISIONER_DEFAULT_IDLE_TIMEOUT",
            "default_idle_timeout",
            "default-idle-timeout",
        )
    },
    Spec {
        allowed: LIMIT,
        help: "The longest ttl that a caller may ask for; where it is set, no sandbox is without one",
        section: Section::Lifetimes,
        ..text(Key::MaxTtl, "PROVISIONER_MAX_TTL", "max_ttl", "max-ttl")
    },
    Spec {
        allowed: LIMIT,
        help: "The longest idle timeout that a caller may ask for; where it is set, no sandbox is without one",
        section: Section::Lifetimes,
        ..text(Key::MaxIdleTimeout, "PROVISIONER_MAX_IDLE_TIMEOUT", "max_idle_timeout", "max-idle-timeout")
    },
    Spec {
        default: Some("false"),
        kind: Kind::Switch,
        allowed: SWITCH,
        help: "Whether a GET of a sandbox by its id is a sign of life",
        section: Section::Lifetimes,
        ..text(Key::GetCountsAsUse, "PROVISIONER_GET_COUNTS_AS_USE", "get_counts_as_use", "get-counts-as-use")
    },
    Spec {
        allowed: LIMIT,
        help: "How long a sandbox may take to become ready; leave time for the image to be pulled",
        section: Section::Lifetimes,
        ..text(Key::StartTimeout, "PROVISIONER_START_TIMEOUT", "start_timeout", "start-timeout")
    },
    Spec {
        allowed: LIMIT,
        help: "How long a sandbox stays whose Pod has Succeeded or Failed",
        section: Section::Lifetimes,
        ..text(Key::FinishedTimeout, "PROVISIONER_FINISHED_TIMEOUT", "finished_timeout", "finished-timeout")
    },
    Spec {
        allowed: LIMIT,
        help: "How long a sandbox stays whose Pod's node is lost",
        section: Section::Lifetimes,
        ..text(
            Key::NodeLostTimeout,
            "PROVISIONER_NODE_LOST_TIMEOUT",
            "node_lost_timeout",
            "node-lost-timeout",
        )
    },
    Spec {
        default: Some("5m"),
        allowed: "a length of time from 1s to 24h",
        help: "For how long after its last sign of life a sandbox is safe from the DELETE of another X-Owner than its own",
        section: Section::Lifetimes,
        ..text(Key::OwnerLease, "PROVISIONER_OWNER_LEASE", "owner_lease", "owner-lease")
    },
    Spec {
        default: Some(
            "/v1/shell/sessions#/data/sessions, /v1/bash/sessions#/data, /v1/jupyter/sessions#/data/sessions, /v1/nodejs/sessions#/data/sessions",
        ),
        allowed: "PATH#/POINTER, an HTTP path and a JSON pointer, several of them separated by commas; or none",
        help: "What a sandbox is asked before it is reaped for being idle: it is busy where there is something at the pointer in the answer",
        section: Section::Lifetimes,
        ..text(Key::IdleProbes, "PROVISIONER_IDLE_PROBES", "idle_probes", "idle-probes")
    },
    Spec {
        allowed: "thousandths of a core from 1m to 1000000m, such as 50m",
        help: "The CPU use above which a sandbox is busy; needs the metrics API",
        section: Section::Lifetimes,
        ..text(Key::IdleCpu, "PROVISIONER_IDLE_CPU", "idle_cpu", "idle-cpu")
    },
    Spec {
        default: Some("10m"),
        allowed: "a length of time from 0s to 24h",
        help: "For how long a sandbox counts as busy that cannot be asked whether it is",
        section: Section::Lifetimes,
        ..text(Key::ProbePatience, "PROVISIONER_PROBE_PATIENCE", "probe_patience", "probe-patience")
    },
    Spec {
        default: Some("1m"),
        allowed: "a length of time from 1s to 1h",
        help: "How long to wait before a sandbox that could not be asked is asked again",
        section: Section::Lifetimes,
        ..text(Key::ProbeInterval, "PROVISIONER_PROBE_INTERVAL", "probe_interval", "probe-interval")
    },
    Spec {
        default: Some("false"),
        kind: Kind::Switch,
        allowed: SWITCH,
        help: "Say what would be reaped, in the log and as Events, and do not",
        section: Section::Lifetimes,
        ..text(Key::ReapDryRun, "PROVISIONER_REAP_DRY_RUN", "reap_dry_run", "reap-dry-run")
    },
    Spec {
        default: Some("120"),
        allowed: "a number from 1 to 1000000, or unlimited",
        help: "How many sandboxes are reaped within a minute at the most",
        section: Section::Lifetimes,
        ..text(
            Key::ReapMaxPerMinute,
            "PROVISIONER_REAP_MAX_PER_MINUTE",
            "reap_max_per_minute",
            "reap-max-per-minute",
        )
    },
    Spec {
        default: Some("50"),
        kind: Kind::Number,
        allowed: "a number from 1 to 100, of which 100 never stops",
        help: "The share of all sandboxes, in percent, that may be reaped within a minute before all reaping stops",
        section: Section::Lifetimes,
        ..text(Key::ReapMaxShare, "PROVISIONER_REAP_MAX_SHARE", "reap_max_share", "reap-max-share")
    },
    Spec {
        default: Some("1h"),
        allowed: "a length of time from 1m to 7d",
        help: "For how long all reaping stops then, unless somebody lifts it with POST /api/reaper/resume",
        section: Section::Lifetimes,
        ..text(Key::ReapStopFor, "PROVISIONER_REAP_STOP_FOR", "reap_stop_for", "reap-stop-for")
    },
    Spec {
        default: Some("1m"),
        allowed: "a length of time from 0s to 1h",
        help: "How long nothing is reaped after the start, and after the API server's clock was stepped",
        section: Section::Lifetimes,
        ..text(Key::ReapGrace, "PROVISIONER_REAP_GRACE", "reap_grace", "reap-grace")
    },
    Spec {
        default: Some("/.deer-flow/threads"),
        allowed: HOST_PATH,
        help: "The directory on the node that holds each thread's user-data",
        section: Section::Volumes,
        ..text(Key::ThreadsHostPath, "THREADS_HOST_PATH", "threads_host_path", "threads-host-path")
    },
    Spec {
        default: Some("/.deer-flow"),
        allowed: "an absolute path on the node without \"..\", or nothing",
        help: "DeerFlow's state directory on the node: it holds the skills, and extra mounts must lie inside it; it may be set to nothing, as the original allows, and skills then have relative paths",
        section: Section::Volumes,
        ..text(
            Key::HostBaseDir,
            "DEER_FLOW_HOST_BASE_DIR",
            "deer_flow_host_base_dir",
            "deer-flow-host-base-dir",
        )
    },
    Spec {
        allowed: HOST_PATH,
        help: "The skills directory on the node in the older layout: one read-only mount in place of the three below the state directory; a skills claim goes before it",
        section: Section::Volumes,
        ..text(Key::SkillsHostPath, "SKILLS_HOST_PATH", "skills_host_path", "skills-host-path")
    },
    Spec {
        allowed: PVC,
        help: "The claim that holds the skills, in place of host paths",
        section: Section::Volumes,
        ..text(Key::SkillsPvc, "SKILLS_PVC_NAME", "skills_pvc_name", "skills-pvc-name")
    },
    Spec {
        allowed: "a relative path without \"..\", with {user_id} and {thread_id} as its only placeholders",
        help: "Where in the skills claim a sandbox's skills are; the claim's root where it is not set",
        section: Section::Volumes,
        ..text(
            Key::SkillsPvcSubpathTemplate,
            "SKILLS_PVC_SUBPATH_TEMPLATE",
            "skills_pvc_subpath_template",
            "skills-pvc-subpath-template",
        )
    },
    Spec {
        allowed: PVC,
        help: "The claim that holds the users' data, in place of host paths",
        section: Section::Volumes,
        ..text(Key::UserdataPvc, "USERDATA_PVC_NAME", "userdata_pvc_name", "userdata-pvc-name")
    },
    Spec {
        allowed: IMAGE,
        help: "The init container's image that brings the Lark command line into a sandbox",
        section: Section::Lark,
        ..text(Key::LarkCliInitImage, "LARK_CLI_INIT_IMAGE", "lark_cli_init_image", "lark-cli-init-image")
    },
    Spec {
        allowed: IMAGE,
        help: "The image of the sidecar that runs the Lark command line and alone holds its credentials",
        section: Section::Lark,
        ..text(
            Key::LarkCliBrokerImage,
            "LARK_CLI_BROKER_IMAGE",
            "lark_cli_broker_image",
            "lark-cli-broker-image",
        )
    },
    Spec {
        allowed: "any text without control characters",
        help: "Lark subcommands that the sidecar refuses, separated by commas; handed on as it is",
        section: Section::Lark,
        ..text(
            Key::LarkBrokerDenySubcommands,
            "DEERFLOW_LARK_BROKER_DENY_SUBCOMMANDS",
            "deerflow_lark_broker_deny_subcommands",
            "deerflow-lark-broker-deny-subcommands",
        )
    },
    Spec {
        default: Some("false"),
        kind: Kind::Switch,
        allowed: SWITCH,
        help: "Run on an embedded cluster: no Kubernetes needed, nothing is kept",
        section: Section::Embedded,
        ..text(Key::Embedded, "PROVISIONER_EMBEDDED", "embedded", "embedded")
    },
    Spec {
        default: Some("127.0.0.1"),
        allowed: "an IP address",
        help: "Where the embedded cluster's simulated sandboxes listen, each on its node port",
        section: Section::Embedded,
        ..text(Key::EmbeddedBind, "PROVISIONER_EMBEDDED_BIND", "embedded_bind", "embedded-bind")
    },
    Spec {
        default: Some("auto"),
        allowed: "auto, text or json",
        help: "The shape of a log line; 'auto' is text on a terminal and JSON otherwise",
        section: Section::Log,
        ..text(Key::LogFormat, "PROVISIONER_LOG_FORMAT", "log_format", "log-format")
    },
    Spec {
        default: Some("info"),
        allowed: "error, warn, info, debug or trace",
        help: "The least severe level that is logged",
        section: Section::Log,
        ..text(Key::LogLevel, "PROVISIONER_LOG_LEVEL", "log_level", "log-level")
    },
];
