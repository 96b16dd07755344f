//! Tests of the settings as a whole: precedence, messages, and what `serve --check` prints.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

use lifecycle::{
    lifetime::{Limits, Policy},
    reap_limiter::ReapLimits,
};
use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::{
    environment::Environment,
    format::Exposure,
    load::{self, Loaded},
    problem::Problems,
    sections::SETTINGS,
    setting::Spec,
    show,
    sources::FlagValues,
};

mod clusters;
mod documents;
mod profiles;
mod refusals;
mod reload;

/// The sources of settings. The files that it writes live as long as it does.
#[derive(Default)]
struct Inputs {
    variables: BTreeMap<String, OsString>,
    flags: FlagValues,
    config: Option<PathBuf>,
    directory: Option<Directory>,
}

/// A directory of one test's own, removed with it.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Inputs {
    fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.0.insert(spec(name).variable, value.to_owned());
        self
    }

    fn file(mut self, text: &str) -> Self {
        self.config = Some(self.write("settings.toml", text));
        self
    }

    fn key_file(mut self, content: &str) -> Self {
        let path = self.write("key", content);
        self.env("PROVISIONER_API_KEY_FILE", path.to_str().unwrap())
    }

    fn write(&mut self, name: &str, content: &str) -> PathBuf {
        let directory = self.directory.get_or_insert_with(|| {
            let path = std::env::temp_dir().join(format!("settings-{}", uuid::Uuid::new_v4()));
            std::fs::create_dir(&path).unwrap();
            Directory(path)
        });
        let path = directory.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn load(&self) -> Result<Loaded, Problems> {
        let environment = Environment::from_lookup(|name| self.variables.get(name).cloned());
        load::for_serving(self.config.as_deref(), &environment, &self.flags)
    }

    /// The whole message, with the test's own directory taken out.
    fn refusal(&self) -> String {
        let text = self.load().err().map_or_else(String::new, |problems| problems.to_string());
        match &self.directory {
            Some(directory) => text.replace(&format!("{}/", directory.0.display()), ""),
            None => text,
        }
    }
}

/// Texts among which each setting finds valid values.
const SAMPLES: [&str; 35] = [
    "NodePort",
    "ClusterIP",
    "deerflow",
    "127.0.0.1:1",
    "[::1]:0",
    "https://a:1",
    "http://b",
    "a/{user_id}",
    "{thread_id}",
    "/a?b=c#/d/~1,/e#/f",
    "none",
    "key",
    "true",
    "text",
    "json",
    "error",
    "trace",
    "/a",
    r"C:\b",
    "0s",
    "1s",
    "50s",
    "1m",
    "1h 30m",
    "7d",
    "1",
    "2",
    "100",
    "unlimited",
    "1000m",
    "10.0.0.1",
    "::1",
    "a",
    "b",
    "a:1",
];

/// Returns the setting with this key.
fn spec(name: &str) -> &'static Spec {
    SETTINGS.iter().find(|spec| spec.name == name).unwrap()
}

/// Returns two valid values of a setting, neither of which is its default: different ones if there are two.
fn samples(spec: &Spec) -> [&'static str; 2] {
    // Above the samples of the defaults, which it bounds.
    if ["max_ttl", "max_idle_timeout"].contains(&spec.name.as_str()) {
        return ["90m", "365d"];
    }
    let is_default = |text: &str| spec.default.as_deref() == Some(text);
    let valid = |text: &&str| spec.declaration.check(text).is_ok() && !is_default(text);
    let mut found = SAMPLES.into_iter().filter(valid);
    let one = found.next().unwrap_or_else(|| panic!("no sample is valid for {}", spec.name));
    // Limits of at most 90 minutes.
    let two = found.find(|text| *text != "7d").unwrap_or(one);
    [one, two]
}

/// The settings without the file with the API key, which is another form of the API key and has its own test.
fn settings() -> impl Iterator<Item = &'static Spec> {
    SETTINGS.iter().filter(|spec| spec.name != "api_key_file")
}

fn line(spec: &Spec, value: &str) -> String {
    format!("{} = {}\n", spec.name, show::literal(spec.kind, value))
}

/// Guards the order of the sources for each setting, and that the origin is shown.
#[test]
fn the_later_source_wins() {
    for spec in settings() {
        let [one, two] = samples(spec);
        let in_force = |inputs: &Inputs| {
            let loaded = inputs.load().unwrap_or_else(|problems| panic!("{}: {problems}", spec.name));
            let raw = loaded.values.find(spec.variable).unwrap();
            (raw.text.clone(), raw.origin.to_string())
        };
        let inputs = Inputs::default().file(&format!("\n{}", line(spec, one)));
        let (text, origin) = in_force(&inputs);
        assert_eq!(text, one);
        assert!(origin.ends_with("settings.toml:2"), "{origin}");

        let inputs = inputs.env(spec.variable, two);
        assert_eq!(
            in_force(&inputs),
            (two.to_owned(), format!("the environment variable {}", spec.variable))
        );

        let Some(flag) = &spec.flag else { continue };
        let inputs = inputs.flag(&spec.name, one);
        assert_eq!(in_force(&inputs), (one.to_owned(), format!("the flag --{flag}")));
    }
}

/// Guards that no section forgets to read a setting that it declares.
#[test]
fn each_setting_has_an_effect() {
    let debug = |inputs: Inputs| format!("{:?}", inputs.load().unwrap().settings);
    // The authentication has an effect only on public addresses.
    for spec in settings().filter(|spec| !["api_key", "auth"].contains(&spec.name.as_str())) {
        let inputs =
            || Inputs::default().flag("embedded", if spec.name == "embedded" { "false" } else { "true" });
        assert_ne!(debug(inputs()), debug(inputs().flag(&spec.name, samples(spec)[0])), "{}", spec.name);
    }
}

/// The three names of a setting follow the rule in the documentation of `setting`.
#[test]
fn names_follow_one_rule() {
    for spec in SETTINGS.iter() {
        let name = spec.variable.to_lowercase();
        let name = name.strip_prefix("provisioner_").unwrap_or(&name);
        assert_eq!(spec.name, name);
        if let Some(flag) = &spec.flag {
            assert_eq!(*flag, name.replace('_', "-"));
        }
        let secret = spec.exposure == Exposure::Hidden;
        assert_eq!(
            (spec.flag.is_none(), name == "api_key"),
            (secret, secret),
            "{name}: no secret on a command line"
        );
        // Kubernetes sets these for a Service named "provisioner", in every Pod of its namespace.
        for reserved in ["PROVISIONER_PORT", "PROVISIONER_SERVICE_"] {
            assert!(!spec.variable.starts_with(reserved), "{}", spec.variable);
        }
        assert!(!spec.allowed.is_empty() && !spec.help.is_empty(), "{name}");
        assert_eq!(SETTINGS.iter().filter(|other| other.name == name).count(), 1, "{name}");
    }
}

/// Without settings the defaults are those of DeerFlow's provisioner, and only this machine is served.
#[test]
fn the_defaults_are_those_of_deerflow() {
    let settings = Inputs::default().load().unwrap().settings;
    assert_eq!(settings.clusters.first.template, ::kubernetes::manifest::Template::default());
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:8002");
    assert!(settings.http.api_key.is_none() && settings.embedded.is_none());
    assert_eq!(settings.clusters.first.kubernetes.connect.kubeconfig, PathBuf::from("/root/.kube/config"));
    assert!(
        !settings.clusters.first.kubernetes.connect.insecure_skip_tls_verify
            && settings.clusters.first.kubernetes.connect.in_cluster.is_none()
    );
    assert_eq!(
        (settings.clusters.first.kubernetes.limits.in_flight, settings.http.max_connections),
        (64, 1024)
    );
    assert_eq!(settings.clusters.first.kubernetes.staleness_limit.as_secs(), 60);
}

/// By default nothing is reaped, as in DeerFlow's provisioner.
#[test]
fn by_default_nothing_expires() {
    let settings = Inputs::default().load().unwrap().settings;
    assert_eq!(settings.policy, Policy::default());
    assert_eq!(settings.policy.limits(Limits::default()), Limits::default());
    assert_eq!(settings.reap_limits, ReapLimits::default());
    assert_eq!(settings.clusters.first.probes.idle_cpu_millis, None);
    let probes: Vec<_> = settings.clusters.first.probes.probes.iter().map(ToString::to_string).collect();
    assert_eq!(probes, ::kubernetes::probe::ALL_IN_ONE);
}

/// Each setting about lifetimes sets its own field.
#[test]
fn lifetimes_arrive() {
    let file = r#"
        default_ttl = "1s"
        default_idle_timeout = "2s"
        max_ttl = "3s"
        max_idle_timeout = "4s"
        get_counts_as_use = true
        start_timeout = "5s"
        pull_allowance = "15s"
        finished_timeout = "6s"
        node_lost_timeout = "7s"
        owner_lease = "8s"
        idle_probes = ""
        idle_cpu = "50m"
        probe_patience = "9s"
        probe_interval = "10s"
        reap_dry_run = true
        reap_max_per_minute = 11
        reap_max_share = 12
        reap_stop_for = "13m"
        reap_grace = "14s"
    "#;
    let settings = Inputs::default().file(file).load().unwrap().settings;
    let seconds = Duration::from_secs;
    let limits = |ttl, idle| Limits { ttl: Some(seconds(ttl)), idle_timeout: Some(seconds(idle)) };
    let policy = Policy {
        default: limits(1, 2),
        max: limits(3, 4),
        get_counts: true,
        start_timeout: Some(seconds(5)),
        pull_allowance: seconds(15),
        finished_timeout: Some(seconds(6)),
        lost_timeout: Some(seconds(7)),
        owner_lease: seconds(8),
        probe_patience: seconds(9),
        probe_interval: seconds(10),
    };
    assert_eq!(settings.policy, policy);
    let limits = ReapLimits {
        dry_run: true,
        max_per_minute: Some(11),
        max_share_percent: 12,
        stop_for: seconds(13 * 60),
        grace: seconds(14),
    };
    assert_eq!(settings.reap_limits, limits);
    assert_eq!(
        (settings.clusters.first.probes.probes, settings.clusters.first.probes.idle_cpu_millis),
        (vec![], Some(50))
    );

    let unlimited = Inputs::default().env("PROVISIONER_REAP_MAX_PER_MINUTE", "unlimited");
    assert_eq!(unlimited.load().unwrap().settings.reap_limits.max_per_minute, None);
}

/// An empty variable counts as absent, except where DeerFlow's provisioner gives it a meaning; an empty flag unsets.
#[test]
fn empty_values() {
    let mut inputs = Inputs::default().file("k8s_namespace = \"a\"\nskills_pvc_name = \"b\"\n");
    for spec in SETTINGS.iter().filter(|spec| spec.name != "deer_flow_host_base_dir") {
        inputs = inputs.env(spec.variable, "");
    }
    let template = inputs.load().unwrap().settings.clusters.first.template;
    assert_eq!((template.namespace.as_str(), template.skills_pvc.as_deref()), ("a", Some("b")));
    assert_eq!(template.host_base_dir, "/.deer-flow");

    let inputs = inputs.env("DEER_FLOW_HOST_BASE_DIR", "").flag("skills_pvc_name", "");
    let template = inputs.load().unwrap().settings.clusters.first.template;
    assert_eq!((template.host_base_dir.as_str(), template.skills_pvc), ("", None));
}

/// A Pod's own variables show that a service account can replace the kubeconfig.
#[test]
fn a_pod_is_detected() {
    let inputs = Inputs::default().env("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    let address = |inputs: &Inputs| {
        inputs.load().unwrap().settings.clusters.first.kubernetes.connect.in_cluster.unwrap()
    };
    assert_eq!((address(&inputs).host.as_str(), address(&inputs).port.as_str()), ("10.0.0.1", "443"));
    assert_eq!(address(&inputs.env("KUBERNETES_SERVICE_PORT", "6443")).port, "6443");
}

/// The simulated sandboxes answer on this machine, so their URLs contain its address by default.
#[test]
fn embedded_sandboxes_have_a_url_that_works() {
    for (bind, host) in
        [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.1.2.3", "10.1.2.3")]
    {
        let inputs = Inputs::default().flag("embedded", "true").flag("embedded_bind", bind);
        assert_eq!(inputs.load().unwrap().settings.clusters.first.template.node_host, host, "{bind}");
        let inputs = inputs.env("NODE_HOST", "example.org");
        assert_eq!(inputs.load().unwrap().settings.clusters.first.template.node_host, "example.org");
    }
}

/// Guards that the embedded cluster's node is a source by default, so that restricted sandboxes are reached there.
#[test]
fn embedded_sandboxes_are_reached_from_the_node() {
    let sources =
        |inputs: &Inputs| inputs.load().unwrap().settings.clusters.first.template.network.sources.clone();
    let file = "[profiles.a]\nnetwork = 'isolated'\n";
    let inputs = Inputs::default().file(file).flag("embedded", "true");
    assert_eq!(sources(&inputs), ["192.0.2.0/24".parse().unwrap()]);
    assert_eq!(sources(&inputs.flag("network_sources", "10.0.0.7")), ["10.0.0.7".parse().unwrap()]);
    assert_eq!(sources(&Inputs::default()), []);
}

/// The API key is read from a variable, the settings file, or a file of its own, without its line end.
#[test]
fn an_api_key_is_found_in_each_of_its_places() {
    for inputs in [
        Inputs::default().env("PROVISIONER_API_KEY", "hunter2"),
        Inputs::default().file("api_key = 'hunter2'"),
        Inputs::default().key_file("hunter2\n"),
        Inputs::default().key_file("hunter2\r\n"),
        // The later source wins.
        Inputs::default().file("api_key = 'other'").key_file("hunter2"),
    ] {
        let settings = inputs.flag("listen", "0.0.0.0:8002").load().unwrap().settings;
        assert_eq!(settings.http.api_key.unwrap().expose_secret(), "hunter2");
    }
    let both = Inputs::default().env("PROVISIONER_API_KEY", "hunter2").key_file("other");
    assert_eq!(
        both.refusal(),
        "error: api_key: a hidden value from the environment variable PROVISIONER_API_KEY and a file from the \
         environment variable PROVISIONER_API_KEY_FILE are not allowed together; allowed: api_key or api_key_file"
    );
}

/// Guards that the quotes and line ends of an env file, which a shell drops and Docker does not, are refused or change
/// nothing, except in settings that may have any text.
#[test]
fn the_marks_of_an_env_file_are_refused() {
    const ANY_TEXT: [&str; 5] = [
        "api_key",
        "k8s_context",
        "kubeconfig_path",
        "skills_pvc_subpath_template",
        "deerflow_lark_broker_deny_subcommands",
    ];
    for spec in settings().filter(|spec| !ANY_TEXT.contains(&spec.name.as_str())) {
        let [sample, _] = samples(spec);
        let load = |value: &str| Inputs::default().env(spec.variable, value).load().ok();
        let plain = load(sample).map(|loaded| format!("{:?}", loaded.settings));
        for quoted in [format!("\"{sample}\""), format!("'{sample}'")] {
            assert!(load(&quoted).is_none(), "{}={quoted}", spec.variable);
        }
        for marked in [format!("{sample}\r"), format!("{sample}\n"), format!(" {sample}")] {
            let loaded = load(&marked).map(|loaded| format!("{:?}", loaded.settings));
            assert!(loaded.is_none() || loaded == plain, "{}={marked:?}", spec.variable);
        }
    }
}

/// Guards which numbers are read, and that `--check` prints them as TOML has them.
#[test]
fn numbers_are_decimal() {
    for text in ["08080", "8080", "+8080", "0008080"] {
        let loaded = Inputs::default().env("SANDBOX_CONTAINER_PORT", text).load().unwrap();
        let printed = show::to_toml(&loaded);
        assert!(printed.contains("\nsandbox_container_port = 8080"), "{text}: {printed}");
    }
    for text in
        ["0x1F90", "0o17620", "8_080", "8080.0", "8e3", "-8080", "\u{668}", "80 80", "8080 ", "0", "65536"]
    {
        let refusal = Inputs::default().env("SANDBOX_CONTAINER_PORT", text).refusal();
        assert!(refusal.contains("a number from 1 to 65535"), "{text}: {refusal}");
    }
}

proptest! {
    /// Guards that the output of `--check` is a settings file with the same meaning.
    #[test]
    fn what_is_printed_means_the_same(choices in prop::collection::vec(0..5_u8, SETTINGS.len())) {
        let mut inputs = Inputs::default();
        let mut text = String::new();
        // A hidden key is not printed.
        for (spec, choice) in settings().filter(|spec| spec.name != "api_key").zip(choices) {
            let [one, two] = samples(spec);
            match choice {
                0 => text.push_str(&line(spec, one)),
                1 => inputs = inputs.env(spec.variable, two),
                2 => inputs = inputs.flag(&spec.name, one),
                3 if spec.is_optional => inputs = inputs.flag(&spec.name, ""),
                _ => {}
            }
        }
        let first = inputs.file(&text).load().unwrap();
        let printed = show::to_toml(&first);
        let second = Inputs::default().file(&printed).load().unwrap();
        prop_assert_eq!(format!("{:?}", first.settings), format!("{:?}", second.settings));
    }

    /// No value of any setting breaks the rule of one line per problem.
    #[test]
    fn any_text_is_taken_or_refused_in_one_line(index in 0..SETTINGS.len(), text in "\\PC{0,300}|[\\x00-\\x7f]{0,40}") {
        let inputs = Inputs::default().flag(&SETTINGS[index].name, &text);
        if let Err(problems) = inputs.load() {
            prop_assert_eq!(problems.to_string().lines().count(), 1);
            prop_assert_eq!(problems.0.len(), 1);
        }
    }

    /// A number is printed as it was parsed: TOML allows no leading zeros.
    #[test]
    fn numbers_are_printed_as_toml(zeros in 0..4_usize, number in 1..=1024_u32) {
        let text = format!("{}{number}", "0".repeat(zeros));
        let loaded = Inputs::default().env("PROVISIONER_MAX_IN_FLIGHT", &text).load().unwrap();
        let printed = show::to_toml(&loaded);
        prop_assert!(printed.contains(&format!("\nmax_in_flight = {number}  # from the environment")), "{}", printed);
        let again = Inputs::default().file(&printed).load().unwrap().settings;
        prop_assert_eq!(format!("{:?}", again), format!("{:?}", loaded.settings));
    }
}
