//! The profiles of the settings file.

use lifecycle::ids::ProfileName;

use super::{super::show, Inputs};

/// The claims without which the security levels above DeerFlow's are refused.
const CLAIMS: &str = "userdata_pvc_name = 'users'\nskills_pvc_name = 'skills'\n";

fn name(text: &str) -> ProfileName {
    ProfileName::parse(text).unwrap()
}

/// Guards that profiles are read from every form that TOML has for a table, and that one may be empty.
#[test]
fn profiles_are_tables_of_the_file() {
    let text = "[profiles]\ninline = { cpu = 2, labels = { tier = 'a' } }\n[profiles.empty]\n\
                [profiles.large]\nextends = 'inline'\nmemory.limit = '4Gi'\n\
                [[profiles.large.tolerations]]\nkey = 'sandboxes'\n[profiles.large.env]\nA = 'b'\n";
    let profiles = Inputs::default().file(text).load().unwrap().settings.clusters.first.template.profiles;
    let names: Vec<_> = profiles.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["empty", "inline", "large"]);
    let large = profiles.get(&name("large")).unwrap();
    assert_eq!(large.cpu.limit.as_ref().unwrap().as_str(), "2");
    assert_eq!(large.memory.limit.as_ref().unwrap().as_str(), "4Gi");
    assert_eq!(large.tolerations.as_ref().unwrap().len(), 1);
    assert_eq!((large.labels["tier"].as_str(), large.env["A"].0.as_str()), ("a", "b"));
    assert!(Inputs::default().load().unwrap().settings.clusters.first.template.profiles.is_empty());
}

/// Guards that every problem of all profiles is reported, each with its place.
#[test]
fn every_problem_is_reported_with_its_place() {
    for (text, problems) in [
        (
            "[profiles.a]\ncpu = 'two'\nmemory = 0\n[profiles.B]\n",
            &[
                "profiles.a.cpu at settings.toml:2: \"two\" is not allowed; allowed: a number of cores",
                "profiles.a.memory at settings.toml:3: 0 is not allowed; allowed: a number of bytes",
                "the profile \"B\" at settings.toml:4 has no valid name; allowed: 1 to 63 lower-case letters",
            ][..],
        ),
        (
            "[profiles.a]\ncpus = 1\nzebra = 1\n",
            &[
                "profiles.a.cpus at settings.toml:2: it is not a field of a profile; did you mean \"cpu\"?",
                "profiles.a.zebra at settings.toml:3: it is not a field of a profile; the fields are extends, ",
            ],
        ),
        (
            "[[profiles.a.tolerations]]\nkey = 'x'\n[[profiles.a.tolerations]]\nefect = 'NoSchedule'\n",
            &["profiles.a.tolerations[1].efect at settings.toml:1: Kubernetes has no such field"],
        ),
        (
            "profiles = 'a'\n",
            &["profiles at settings.toml:1: a text is not allowed; allowed: tables [profiles.NAME]"],
        ),
        (
            "[profiles]\na = 1\n",
            &["profiles.a at settings.toml:2: a number is not allowed; allowed: a table [profiles.NAME]"],
        ),
        (
            "[profiles.a]\nttl = 2026-01-01\n",
            &["profiles.a.ttl at settings.toml:2: a date or time is not allowed"],
        ),
        ("[profiles.a]\nextends = 'b'\n", &["profiles.a.extends: there is no profile \"b\""]),
        (
            "[profiles.a]\nsecurity = 'baseline'\n",
            &["profiles.a.security: the levels baseline and restricted forbid"],
        ),
        (
            "max_ttl = '1h'\nmax_idle_timeout = '1h'\n[profiles.a]\nttl = '2h'\nidle_timeout = '1h'\n",
            &["profiles.a.ttl: 2h is above max_ttl, which is 1h"],
        ),
        (
            "[profiles.a]\nnetwork = 'isolated'\n[profiles.b]\noverrides = { network = ['open', 'allow-list'] }\n\
             [profiles.c]\nnetwork = 'open'\n",
            &[
                "profiles.a.network: nothing could reach a sandbox of the mode isolated; set network_sources",
                "profiles.b.overrides.network: nothing could reach a sandbox of the mode allow-list; set",
            ],
        ),
        // With another problem in the file.
        (
            "k8s_namespace = 'A'\n[profiles.a]\nspread = 'even'\n",
            &["k8s_namespace: \"A\"", "profiles.a.spread at settings.toml:3: \"even\" is not allowed"],
        ),
    ] {
        let refusal = Inputs::default().file(text).refusal();
        let lines: Vec<_> = refusal.lines().collect();
        assert_eq!(lines.len(), problems.len(), "{refusal}");
        for problem in problems {
            assert!(
                lines.iter().any(|line| line.starts_with(&format!("error: {problem}"))),
                "{problem}\n{refusal}"
            );
        }
    }
    let file = format!("{CLAIMS}[profiles.a]\nsecurity = 'restricted'\nrun_as_user = 1000\n");
    assert!(Inputs::default().file(&file).load().is_ok());
}

/// Guards that `serve --check` prints profiles that read as the same ones, without the values of variables.
#[test]
fn printed_profiles_read_as_the_same() {
    let text = "[profiles.large]\ncpu = { request = 1, limit = '2' }\nlabels = { \"example.com/tier\" = 'a \\\"b' }\n\
                tolerations = [{ key = 'x', effect = 'NoExecute', tolerationSeconds = 5 }]\nhost_users = false\n[profiles.empty]\n";
    let text = text.replace("a \\\"b", "ab");
    let first = Inputs::default().file(&text).load().unwrap();
    let printed = show::to_toml(&first);
    assert!(printed.contains("\n[profiles.large]  # from "), "{printed}");
    let second = Inputs::default().file(&printed).load().unwrap();
    assert_eq!(
        second.settings.clusters.first.template.profiles,
        first.settings.clusters.first.template.profiles
    );

    // The tables of one profile may be apart in the file.
    let apart = "[profiles.a]\ncpu = 1\n[profiles.b]\ncpu = 1\n[profiles.a.labels]\nx = 'y'\n";
    let first = Inputs::default().file(apart).load().unwrap();
    let second = Inputs::default().file(&show::to_toml(&first)).load().unwrap();
    assert_eq!(
        second.settings.clusters.first.template.profiles,
        first.settings.clusters.first.template.profiles
    );

    let secret = Inputs::default().file("[profiles.a]\nenv = { TOKEN = 's3cret' }\n").load().unwrap();
    let printed = show::to_toml(&secret);
    assert!(printed.contains("# env is set, and hidden") && !printed.contains("s3cret"), "{printed}");
    assert!(!format!("{:?}", secret.settings).contains("s3cret"));
}
