//! The messages for invalid settings.

use super::{super::show, Inputs};

/// Each invalid value gives one line with the setting, the value, its origin and the allowed values.
#[test]
fn invalid_values_are_reported_in_one_line() {
    let env = |name: &str, value: &str| Inputs::default().env(name, value);
    for (inputs, message) in [
        (
            env("SANDBOX_CONTAINER_PORT", "0"),
            r#"error: sandbox_container_port: "0" from the environment variable SANDBOX_CONTAINER_PORT is not allowed; allowed: a number from 1 to 65535"#,
        ),
        (
            Inputs::default().file("# first\nsandbox_container_port = 65536"),
            r#"error: sandbox_container_port: "65536" from settings.toml:2 is not allowed; allowed: a number from 1 to 65535"#,
        ),
        (
            Inputs::default().flag("sandbox_service_type", "LoadBalancer"),
            r#"error: sandbox_service_type: "LoadBalancer" from the flag --sandbox-service-type is not allowed; allowed: NodePort or ClusterIP"#,
        ),
        (
            env("THREADS_HOST_PATH", "./threads"),
            r#"error: threads_host_path: "./threads" from the environment variable THREADS_HOST_PATH is not allowed; allowed: an absolute path on the node without "..", such as /srv/x or C:\x"#,
        ),
        (
            env("DEER_FLOW_HOST_BASE_DIR", "deer-flow"),
            r#"error: deer_flow_host_base_dir: "deer-flow" from the environment variable DEER_FLOW_HOST_BASE_DIR is not allowed; allowed: an absolute path on the node without "..", or nothing"#,
        ),
        (
            env("SKILLS_HOST_PATH", "/srv/../skills"),
            r#"error: skills_host_path: "/srv/../skills" from the environment variable SKILLS_HOST_PATH is not allowed; allowed: an absolute path on the node without "..", such as /srv/x or C:\x"#,
        ),
        (
            env("SKILLS_PVC_SUBPATH_TEMPLATE", "users/{name}"),
            r#"error: skills_pvc_subpath_template: "users/{name}" from the environment variable SKILLS_PVC_SUBPATH_TEMPLATE is not allowed (unknown placeholder {name}: use {user_id} and {thread_id}); allowed: a relative path without "..", with {user_id} and {thread_id} as its only placeholders"#,
        ),
        (
            env("K8S_NAMESPACE", "Deer_Flow"),
            r#"error: k8s_namespace: "Deer_Flow" from the environment variable K8S_NAMESPACE is not allowed; allowed: a DNS label: 1 to 63 lower-case letters, digits or '-', with a letter or digit at both ends"#,
        ),
        (
            Inputs::default().file("sandbox_image = ''"),
            r#"error: sandbox_image: "" from settings.toml:1 is not allowed; allowed: an image reference such as registry.example/sandbox:1, without quotes"#,
        ),
        (
            env("SANDBOX_IMAGE", "\"img:1\""),
            r#"error: sandbox_image: "\"img:1\"" from the environment variable SANDBOX_IMAGE is not allowed; allowed: an image reference such as registry.example/sandbox:1, without quotes"#,
        ),
        (
            env("USERDATA_PVC_NAME", "user data"),
            r#"error: userdata_pvc_name: "user data" from the environment variable USERDATA_PVC_NAME is not allowed; allowed: the name of a claim: lower-case letters, digits, '-' and '.', at most 253 characters"#,
        ),
        (
            env("NODE_HOST", "http://localhost"),
            r#"error: node_host: "http://localhost" from the environment variable NODE_HOST is not allowed; allowed: a host name or an IP address, without scheme, port or path"#,
        ),
        (
            env("K8S_API_SERVER", "host.docker.internal:6443"),
            r#"error: k8s_api_server: "host.docker.internal:6443" from the environment variable K8S_API_SERVER is not allowed; allowed: an http or https URL without credentials, query or fragment, such as https://host.docker.internal:6443"#,
        ),
        (
            env("PROVISIONER_LISTEN", "localhost:8002"),
            r#"error: listen: "localhost:8002" from the environment variable PROVISIONER_LISTEN is not allowed; allowed: an IP address and a port, such as 127.0.0.1:8002 or [::]:8002"#,
        ),
        (
            env("PROVISIONER_LISTEN", "0.0.0.0:8002"),
            r#"error: listen: "0.0.0.0:8002" from the environment variable PROVISIONER_LISTEN is not allowed without an API key, as other machines can reach it; allowed: a loopback address, or any with PROVISIONER_API_KEY (or PROVISIONER_API_KEY_FILE) or with PROVISIONER_AUTH=none"#,
        ),
        (
            env("PROVISIONER_AUTH", "none").env("PROVISIONER_API_KEY", "k"),
            r#"error: auth: "none" from the environment variable PROVISIONER_AUTH is not allowed, as there is an API key from the environment variable PROVISIONER_API_KEY; allowed: "none" without a key, or a key without "none""#,
        ),
        (
            env("PROVISIONER_STALENESS_LIMIT", "1s\n"),
            r#"error: staleness_limit: "1s\n" from the environment variable PROVISIONER_STALENESS_LIMIT is not allowed; allowed: a duration such as 90s, 15m or 2h 30m, from 40s to 1h"#,
        ),
        (
            env("PROVISIONER_NETWORK_SOURCES", "10.0.0.0/24,10.1.2.3/8"),
            r#"error: network_sources: "10.0.0.0/24,10.1.2.3/8" from the environment variable PROVISIONER_NETWORK_SOURCES is not allowed ("10.1.2.3/8" has bits after its prefix; write 10.0.0.0/8); allowed: addresses, ranges, and Pods as NAMESPACE/LABEL=VALUE or NAMESPACE/*, separated by commas"#,
        ),
        (
            env("PROVISIONER_NETWORK_CLUSTER_RANGES", "0.0.0.0/0"),
            r#"error: network_cluster_ranges: "0.0.0.0/0" from the environment variable PROVISIONER_NETWORK_CLUSTER_RANGES is not allowed ("0.0.0.0/0" is too wide; the widest ranges are /8 for IPv4 and /12 for IPv6); allowed: ranges such as 34.118.224.0/20, separated by commas"#,
        ),
        (
            Inputs::default().file("k8s_namspace = 'a'"),
            r#"error: "k8s_namspace" at settings.toml:1 is not a setting; did you mean "k8s_namespace"?"#,
        ),
        (
            Inputs::default().file("K8S_NAMESPACE = 'a'"),
            r#"error: "K8S_NAMESPACE" at settings.toml:1 is not a setting; did you mean "k8s_namespace"?"#,
        ),
        (
            Inputs::default().file("\n\n[zebra]\nx = 1"),
            r#"error: "zebra" at settings.toml:3 is not a setting; config/sandbox-provisioner.toml lists all of them"#,
        ),
        (
            Inputs::default().file("max_in_flight = [64]"),
            "error: max_in_flight: a list at settings.toml:1 is not allowed; allowed: a number from 1 to 1024",
        ),
    ] {
        assert_eq!(inputs.refusal(), message);
    }
}

/// A file that is not TOML is reported with its position, and no other setting is checked.
#[test]
fn a_broken_file_is_the_only_problem() {
    let inputs = Inputs::default().file("listen = '0.0.0.0:1'\napi_key = hunter2\n").env("NODE_HOST", "/");
    let refusal = inputs.refusal();
    assert!(refusal.starts_with("error: the settings file is not TOML at settings.toml:2: "), "{refusal}");
    assert!(refusal.lines().count() == 1 && !refusal.contains("hunter2"), "{refusal}");
    let inputs = Inputs { config: Some("/nowhere/x.toml".into()), ..Inputs::default() };
    assert!(
        inputs
            .refusal()
            .starts_with("error: the settings file \"/nowhere/x.toml\" (named by --config) cannot")
    );
    // A device without an end must not be read to its end.
    let inputs = Inputs { config: Some("/dev/zero".into()), ..Inputs::default() };
    assert!(
        inputs.refusal().ends_with("cannot be read: it is larger than 1048576 bytes"),
        "{}",
        inputs.refusal()
    );
    let inputs = Inputs::default().flag("api_key_file", "/dev/zero");
    assert!(
        inputs.refusal().contains("cannot be read: it is larger than 65536 bytes"),
        "{}",
        inputs.refusal()
    );
    let inputs = Inputs::default().env("SANDBOX_PROVISIONER_CONFIG", "/nowhere/x.toml");
    assert!(
        inputs.refusal().contains("SANDBOX_PROVISIONER_CONFIG) cannot be read: "),
        "{}",
        inputs.refusal()
    );
}

/// Five mistakes give five lines.
#[test]
fn all_problems_are_reported() {
    let inputs = Inputs::default()
        .file("nonsense = 1\nsandbox_image = ' '")
        .env("SANDBOX_CONTAINER_PORT", "x")
        .flag("node_host", "a b")
        .flag("log_level", "loud");
    let refusal = inputs.refusal();
    for name in ["nonsense", "sandbox_image", "sandbox_container_port", "node_host", "log_level"] {
        assert_eq!(refusal.lines().filter(|line| line.contains(name)).count(), 1, "{name}: {refusal}");
    }
    assert_eq!(refusal.lines().count(), 5, "{refusal}");
}

/// The same for the settings about lifetimes. The message for a default above the maximum names both settings.
#[test]
fn invalid_lifetimes_are_reported_in_one_line() {
    let env = |name: &str, value: &str| Inputs::default().env(name, value);
    for (inputs, message) in [
        (
            env("PROVISIONER_DEFAULT_TTL", "2h").flag("max_ttl", "90m"),
            r#"error: default_ttl: "2h" from the environment variable PROVISIONER_DEFAULT_TTL is not allowed, as max_ttl is "90m" from the flag --max-ttl; allowed: at most that"#,
        ),
        (
            Inputs::default().file("max_idle_timeout = '1h'\ndefault_idle_timeout = '1h 1s'"),
            r#"error: default_idle_timeout: "1h 1s" from settings.toml:2 is not allowed, as max_idle_timeout is "1h" from settings.toml:1; allowed: at most that"#,
        ),
        (
            Inputs::default().file("finished_timeout = 60"),
            r#"error: finished_timeout: "60" from settings.toml:1 is not allowed; allowed: a duration such as 90s, 15m or 2h 30m, from 1s to 365d"#,
        ),
        (
            env("PROVISIONER_REAP_MAX_PER_MINUTE", "0"),
            r#"error: reap_max_per_minute: "0" from the environment variable PROVISIONER_REAP_MAX_PER_MINUTE is not allowed; allowed: a number from 1 to 1000000, or unlimited"#,
        ),
        (
            Inputs::default().file("reap_max_share = 101"),
            r#"error: reap_max_share: "101" from settings.toml:1 is not allowed; allowed: a number from 1 to 100"#,
        ),
        (
            env("PROVISIONER_IDLE_PROBES", "/v1/x"),
            r#"error: idle_probes: "/v1/x" from the environment variable PROVISIONER_IDLE_PROBES is not allowed; allowed: PATH#/POINTER, an HTTP path and a JSON pointer, several of them separated by commas; or none"#,
        ),
    ] {
        assert_eq!(inputs.refusal(), message);
    }
}

/// Guards that messages, `--check` and `Debug` never show an API key, even an invalid one, or a password in a URL.
#[test]
fn secrets_stay_secret() {
    let secret = "hunter2\u{e9}";
    for inputs in [
        Inputs::default().env("PROVISIONER_API_KEY", secret),
        Inputs::default().file(&format!("api_key = '{secret}'")),
        Inputs::default().key_file(secret),
        Inputs::default().key_file(" hunter2"),
        Inputs::default().flag("api_key_file", "/nowhere/key").env("K8S_API_SERVER", "https://u:hunter2@h"),
        Inputs::default().env("K8S_API_SERVER", "https://h/?token=hunter2"),
    ] {
        let refusal = inputs.refusal();
        assert!(refusal.starts_with("error: "), "{refusal}");
        assert!(!refusal.contains("hunter"), "{refusal}");
    }
    let inputs = Inputs::default().env("PROVISIONER_API_KEY", "hunter2");
    let loaded = inputs.load().unwrap();
    let printed = show::to_toml(&loaded);
    assert!(
        printed.contains("# api_key is set, and hidden (from the environment variable PROVISIONER_API_KEY)")
    );
    assert!(!format!("{printed}{:?}", loaded.settings).contains("hunter"));
}
