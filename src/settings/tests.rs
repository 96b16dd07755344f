//! Tests of the settings as a whole: what wins, what is refused and in which words, what is shown.

use std::{collections::BTreeMap, ffi::OsString, num::NonZeroU32, path::PathBuf, time::Duration};

use lifecycle::{
    lifetime::{Limits, Policy},
    reap_limiter::ReapLimits,
};
use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::{
    environment::Environment,
    keys::{Key, Kind, SPECS},
    layers::FlagValues,
    load::{self, Loaded},
    problem::Problems,
    show,
};

mod refusals;

/// Something to make settings of. The files that it writes live as long as it does.
#[derive(Default)]
struct World {
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

impl World {
    fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    fn flag(mut self, key: Key, value: &str) -> Self {
        self.flags.0.insert(key, value.to_owned());
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

/// Two different good values of a setting, neither of which is its default.
fn samples(key: Key) -> [&'static str; 2] {
    match key {
        Key::Listen => ["127.0.0.1:1", "[::1]:0"],
        Key::ApiKey => ["one", "two"],
        // The other form of the key; it has its own test.
        Key::ApiKeyFile => ["", ""],
        Key::Auth => ["none", "none"],
        Key::MaxConnections | Key::MaxInFlight => ["1", "2"],
        Key::DrainDeadline => ["1s", "10m"],
        Key::DrainDelay => ["0s", "1m"],
        Key::Namespace => ["a", "b"],
        Key::Kubeconfig => ["a", "/b"],
        Key::ApiServer => ["https://a:1", "http://b"],
        Key::TlsServerName => ["a", "::1"],
        Key::InsecureSkipTlsVerify | Key::GetCountsAsUse | Key::ReapDryRun | Key::Embedded => {
            ["true", "true"]
        }
        Key::StalenessLimit => ["40s", "1h"],
        Key::Image | Key::LarkCliInitImage | Key::LarkCliBrokerImage => ["a:1", "b:2"],
        Key::ContainerPort => ["1", "65535"],
        Key::ServiceType => ["ClusterIP", "ClusterIP"],
        Key::DefaultTtl | Key::DefaultIdleTimeout => ["1s", "1h 30m"],
        Key::MaxTtl | Key::MaxIdleTimeout => ["90m", "365d"],
        Key::StartTimeout | Key::FinishedTimeout | Key::NodeLostTimeout => ["1s", "365d"],
        Key::OwnerLease | Key::ProbePatience => ["1s", "24h"],
        Key::IdleProbes => ["none", "/a?b=c#/d/~1,/e#/f"],
        Key::IdleCpu => ["1m", "2000m"],
        Key::ProbeInterval | Key::ReapGrace => ["2s", "1h"],
        Key::ReapMaxPerMinute => ["1", "unlimited"],
        Key::ReapMaxShare => ["1", "100"],
        Key::ReapStopFor => ["2m", "7d"],
        Key::NodeHost => ["a", "10.0.0.1"],
        Key::ThreadsHostPath | Key::HostBaseDir | Key::SkillsHostPath => ["/a", r"C:\b"],
        Key::SkillsPvc | Key::UserdataPvc => ["a", "b.c"],
        Key::SkillsPvcSubpathTemplate => ["a/{user_id}", "{thread_id}"],
        Key::LarkBrokerDenySubcommands => ["auth,config", "config show, auth token"],
        Key::EmbeddedBind => ["0.0.0.0", "::1"],
        Key::LogFormat => ["text", "json"],
        Key::LogLevel => ["error", "trace"],
    }
}

fn line(key: Key, value: &str) -> String {
    match key.spec().kind {
        Kind::Text => format!("{} = {}\n", key.spec().name, toml::Value::from(value)),
        Kind::Number | Kind::Switch => format!("{} = {value}\n", key.spec().name),
    }
}

/// File before environment before flag, for each setting there is, and the origin is told.
#[test]
fn the_later_layer_wins() {
    for key in Key::all().filter(|key| *key != Key::ApiKeyFile) {
        let [one, two] = samples(key);
        let spec = key.spec();
        let in_force = |world: &World| {
            let loaded = world.load().unwrap_or_else(|problems| panic!("{}: {problems}", spec.name));
            let raw = loaded.values.get(key).unwrap();
            (raw.text.clone(), raw.origin.to_string())
        };
        let world = World::default().file(&format!("\n{}", line(key, one)));
        let (text, origin) = in_force(&world);
        assert_eq!(text, one);
        assert!(origin.ends_with("settings.toml:2"), "{origin}");

        let world = world.env(spec.variable, two);
        assert_eq!(in_force(&world), (two.to_owned(), format!("the environment variable {}", spec.variable)));

        let Some(flag) = spec.flag else { continue };
        let world = world.flag(key, one);
        assert_eq!(in_force(&world), (one.to_owned(), format!("the flag --{flag}")));
    }
}

/// With nothing given the settings are the original's defaults, and nobody but this machine is served.
#[test]
fn the_defaults_are_the_originals() {
    let settings = World::default().load().unwrap().settings;
    assert_eq!(settings.template(), kubernetes::manifest::Template::default());
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:8002");
    assert!(settings.http.api_key.is_none() && settings.embedded.is_none());
    assert_eq!(settings.kubernetes.kubeconfig, PathBuf::from("/root/.kube/config"));
    assert!(!settings.kubernetes.insecure_skip_tls_verify && !settings.kubernetes.in_cluster);
    assert_eq!((settings.kubernetes.max_in_flight.get(), settings.http.max_connections.get()), (64, 1024));
    assert_eq!(settings.kubernetes.staleness_limit.get().as_secs(), 60);
}

/// By default nothing is reaped, as the original has it, and what holds the reaper back is ready for the day on which
/// something is: just as where these policies are made.
#[test]
fn by_default_nothing_expires() {
    let lifetimes = World::default().load().unwrap().settings.lifetimes;
    let policy = lifetimes.policy();
    assert_eq!(policy, Policy::default());
    assert_eq!(policy.limits(Limits::default()), Limits::default());
    assert_eq!(lifetimes.belt(), ReapLimits::default());
    assert_eq!(lifetimes.probing.idle_cpu_millicores, None);
    let probes: Vec<_> = lifetimes.probing.probes.iter().map(ToString::to_string).collect();
    assert_eq!(probes, kubernetes::probe::ALL_IN_ONE);
}

/// Each setting about lifetimes arrives at its own place.
#[test]
fn lifetimes_arrive() {
    let file = r#"
        default_ttl = "1s"
        default_idle_timeout = "2s"
        max_ttl = "3s"
        max_idle_timeout = "4s"
        get_counts_as_use = true
        start_timeout = "5s"
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
    let lifetimes = World::default().file(file).load().unwrap().settings.lifetimes;
    let seconds = Duration::from_secs;
    let limits = |ttl, idle| Limits { ttl: Some(seconds(ttl)), idle_timeout: Some(seconds(idle)) };
    let policy = Policy {
        default: limits(1, 2),
        max: limits(3, 4),
        get_counts: true,
        start_timeout: Some(seconds(5)),
        finished_timeout: Some(seconds(6)),
        lost_timeout: Some(seconds(7)),
        owner_lease: seconds(8),
        probe_patience: seconds(9),
        probe_interval: seconds(10),
    };
    assert_eq!(lifetimes.policy(), policy);
    let belt = ReapLimits {
        dry_run: true,
        max_per_minute: Some(11),
        max_share_percent: 12,
        stop_for: seconds(13 * 60),
        grace: seconds(14),
    };
    assert_eq!(lifetimes.belt(), belt);
    assert_eq!(lifetimes.probing.probes, []);
    assert_eq!(lifetimes.probing.idle_cpu_millicores.map(NonZeroU32::get), Some(50));

    let unlimited = World::default().env("PROVISIONER_REAP_MAX_PER_MINUTE", "unlimited");
    assert_eq!(unlimited.load().unwrap().settings.lifetimes.belt().max_per_minute, None);
}

/// An empty variable is an absent one, but where the original gives it a meaning; an empty flag unsets.
#[test]
fn empty_values() {
    let mut world = World::default().file("k8s_namespace = \"a\"\nskills_pvc_name = \"b\"\n");
    for spec in SPECS.iter().filter(|spec| spec.key != Key::HostBaseDir) {
        world = world.env(spec.variable, "");
    }
    let template = world.load().unwrap().settings.template();
    assert_eq!((template.namespace.as_str(), template.skills_pvc.as_deref()), ("a", Some("b")));
    assert_eq!(template.host_base_dir, "/.deer-flow");

    let world = world.env("DEER_FLOW_HOST_BASE_DIR", "").flag(Key::SkillsPvc, "");
    let template = world.load().unwrap().settings.template();
    assert_eq!((template.host_base_dir.as_str(), template.skills_pvc), ("", None));
}

/// A Pod's own variables tell that there is a service account to fall back on.
#[test]
fn a_pod_knows_that_it_is_one() {
    let world = World::default().env("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    assert!(world.load().unwrap().settings.kubernetes.in_cluster);
}

/// The simulated sandboxes answer on this machine, so their URLs say so, unless somebody knows better.
#[test]
fn embedded_sandboxes_have_a_url_that_works() {
    for (bind, host) in
        [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.1.2.3", "10.1.2.3")]
    {
        let world = World::default().flag(Key::Embedded, "true").flag(Key::EmbeddedBind, bind);
        assert_eq!(world.load().unwrap().settings.template.node_host, host, "{bind}");
        let world = world.env("NODE_HOST", "example.org");
        assert_eq!(world.load().unwrap().settings.template.node_host, "example.org");
    }
}

/// The key comes from a variable, the file, or a file of its own, and is the same key without its line end.
#[test]
fn an_api_key_is_found_in_each_of_its_places() {
    for world in [
        World::default().env("PROVISIONER_API_KEY", "hunter2"),
        World::default().file("api_key = 'hunter2'"),
        World::default().key_file("hunter2\n"),
        World::default().key_file("hunter2\r\n"),
        // The later layer's form goes before the earlier one's.
        World::default().file("api_key = 'other'").key_file("hunter2"),
    ] {
        let settings = world.flag(Key::Listen, "0.0.0.0:8002").load().unwrap().settings;
        assert_eq!(settings.http.api_key.unwrap().expose_secret(), "hunter2");
    }
    let both = World::default().env("PROVISIONER_API_KEY", "hunter2").key_file("other");
    assert_eq!(
        both.refusal(),
        "error: api_key: a hidden value from the environment variable PROVISIONER_API_KEY and a file from the \
         environment variable PROVISIONER_API_KEY_FILE, of which one must go; allowed: api_key or api_key_file"
    );
}

/// The example file is a settings file, and names every setting with its default.
#[test]
fn the_example_file_is_complete() {
    let example = include_str!("../../config/sandbox-provisioner.toml");
    let as_it_is = World::default().file(example).load().unwrap().settings;
    assert_eq!(format!("{as_it_is:?}"), format!("{:?}", World::default().load().unwrap().settings));
    for spec in &SPECS {
        let start = format!("# {} = ", spec.name);
        let shown = example.lines().find(|line| line.starts_with(&start));
        let shown = shown.unwrap_or_else(|| panic!("config/sandbox-provisioner.toml lacks {start}"));
        if let Some(default) = spec.default {
            assert_eq!(format!("{shown}\n"), format!("# {}", line(spec.key, default)));
        }
        if spec.key != Key::ApiKeyFile {
            let world = World::default().file(shown.trim_start_matches("# "));
            assert_eq!(world.refusal(), "", "an example that is no good");
        }
    }
}

/// Guards that docs/settings.md has a row for every setting, with its default.
#[test]
fn the_readme_lists_every_variable() {
    let page = include_str!("../../docs/settings.md");
    for spec in &SPECS {
        let start = format!("| `{}` |", spec.variable);
        let row = page.lines().find(|line| line.starts_with(&start));
        let default = spec.default.map_or("| - |".to_owned(), |default| format!("| `{default}` |"));
        assert!(row.is_some_and(|row| row.contains(&default)), "docs/settings.md lacks {start} {default}");
    }
}

proptest! {
    /// What `--check` prints is a settings file that means the same, whatever was set and wherever.
    #[test]
    fn what_is_printed_means_the_same(choices in prop::collection::vec(0..5_u8, SPECS.len())) {
        let mut world = World::default();
        let mut text = String::new();
        for (key, choice) in Key::all().zip(choices) {
            let [one, two] = samples(key);
            // A hidden key cannot come back, and its file is another form of it.
            if matches!(key, Key::ApiKey | Key::ApiKeyFile) {
                continue;
            }
            match choice {
                0 => text.push_str(&line(key, one)),
                1 => world = world.env(key.spec().variable, two),
                2 => world = world.flag(key, one),
                3 if key.may_be_cleared() => world = world.flag(key, ""),
                _ => {}
            }
        }
        let first = world.file(&text).load().unwrap();
        let printed = show::to_toml(&first.values);
        let second = World::default().file(&printed).load().unwrap();
        prop_assert_eq!(format!("{:?}", first.settings), format!("{:?}", second.settings));
    }

    /// No value of any setting, from anywhere, breaks the one-line rule or the reader.
    #[test]
    fn any_text_is_taken_or_refused_in_one_line(index in 0..SPECS.len(), text in "\\PC{0,300}|[\\x00-\\x7f]{0,40}") {
        let key = SPECS[index].key;
        let world = World::default().flag(key, &text);
        if let Err(problems) = world.load() {
            prop_assert_eq!(problems.to_string().lines().count(), 1);
            prop_assert_eq!(problems.0.len(), 1);
        }
    }
}
