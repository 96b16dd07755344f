//! The tables of the clusters.

use std::time::Duration;

use lifecycle::{
    ids::{ClusterName, ProfileName},
    placement::Terms,
};

use super::{super::show, Inputs};
use crate::settings::{ClusterSettings, Clusters, profiles::unoffered};

const PROFILES: &str = "[profiles.large]\n[profiles.small]\n";

fn clusters(inputs: &Inputs) -> Clusters {
    inputs.load().unwrap_or_else(|problems| panic!("{problems}")).settings.clusters
}

fn name(text: &str) -> ClusterName {
    ClusterName::parse(text).unwrap()
}

fn cluster<'a>(clusters: &'a Clusters, text: &str) -> &'a ClusterSettings {
    clusters.get(&name(text)).unwrap()
}

/// Guards that without a table there is one cluster with the settings of the file and no terms.
#[test]
fn without_tables_there_is_one_cluster() {
    let clusters = clusters(&Inputs::default().file("sandbox_image = 'img:1'\n"));
    assert!(!clusters.are_several());
    assert_eq!((&clusters.first.name, &clusters.first.terms), (&ClusterName::DEFAULT, &Terms::default()));
    assert_eq!(clusters.first.template.image, "img:1");
    let timeout = |inputs: Inputs| inputs.load().unwrap().settings.cluster_loss_timeout;
    assert_eq!(timeout(Inputs::default()), Some(Duration::from_secs(300)));
    assert_eq!(timeout(Inputs::default().env("PROVISIONER_CLUSTER_LOSS_TIMEOUT", "never")), None);
}

/// Guards that a table replaces the settings of its cluster alone, also those of variables and flags, and that its keys
/// may be short or those of the settings.
#[test]
fn a_table_replaces_settings_of_its_cluster() {
    let text = "node_host = 'all.example.com'\nk8s_api_server = 'https://all:6443'\n\
                [clusters.west]\nkubeconfig = '/w'\ncontext = 'w'\napi_server = ''\nnamespace = 'agents'\n\
                service_type = 'ClusterIP'\nimage = 'west:1'\nmax_in_flight = 8\nidle_cpu = '50m'\n\
                [clusters.east]\nk8s_namespace = 'east'\nsandbox_image = 'east:1'\nnetwork_sources = '10.0.0.0/24'\n";
    let inputs =
        Inputs::default().file(text).env("SANDBOX_IMAGE", "env:1").flag("userdata_pvc_name", "users");
    let all = clusters(&inputs);
    assert_eq!(all.names(), "east, west");
    let (east, west) = (cluster(&all, "east"), cluster(&all, "west"));
    assert_eq!(west.kubernetes.connect.kubeconfig.to_str(), Some("/w"));
    assert_eq!(west.kubernetes.connect.context.as_deref(), Some("w"));
    assert_eq!(west.kubernetes.connect.api_server, None, "an empty text unsets");
    assert_eq!((west.template.namespace.as_str(), west.template.image.as_str()), ("agents", "west:1"));
    assert_eq!((west.kubernetes.limits.in_flight, west.probes.idle_cpu_millis), (8, Some(50)));
    assert_eq!(west.template.service_type.to_string(), "ClusterIP");
    assert_eq!((east.template.namespace.as_str(), east.template.image.as_str()), ("east", "east:1"));
    assert_eq!(east.kubernetes.connect.api_server.as_ref().unwrap().host(), Some("all"));
    assert_eq!((east.kubernetes.limits.in_flight, east.template.network.sources.len()), (64, 1));
    for cluster in [east, west] {
        assert_eq!(cluster.template.node_host, "all.example.com");
        assert_eq!(cluster.template.userdata_pvc.as_deref(), Some("users"));
    }
}

/// Guards the terms and their defaults.
#[test]
fn terms_are_read() {
    let text = format!(
        "{PROFILES}[clusters.a]\nweight = 0\nmax_sandboxes = 7\nshares_data = true\nlabels = {{ region = 'eu', \"x.com/y\" = '' }}\n\
         profiles = ['large', 'default']\n[clusters.b]\nnamespace = 'b'\nmax_sandboxes = 'unlimited'\n[clusters.c]\n\
         namespace = 'c'\nlabels.tier = 'gold'\n"
    );
    let all = clusters(&Inputs::default().file(&text));
    let a = &cluster(&all, "a").terms;
    assert_eq!((a.weight, a.max_sandboxes, a.shares_data), (0, Some(7), true));
    assert_eq!((a.labels.get("region"), a.labels.get("x.com/y")), (Some("eu"), Some("")));
    let offered: Vec<_> = a.profiles.iter().flatten().map(ProfileName::as_str).collect();
    assert_eq!(offered, ["default", "large"]);
    assert_eq!(cluster(&all, "b").terms, Terms::default());
    assert_eq!(cluster(&all, "c").terms.labels.get("tier"), Some("gold"));
}

/// Guards that a missing kubeconfig of a cluster is not replaced by the service account, which belongs to another.
#[test]
fn the_service_account_is_only_for_clusters_without_a_server() {
    let text = "[clusters.a]\nkubeconfig = '/a'\n[clusters.b]\ncontext = 'b'\n[clusters.c]\n\
                api_server = 'https://c'\n[clusters.d]\nnamespace = 'd'\n";
    let all = clusters(&Inputs::default().file(text).env("KUBERNETES_SERVICE_HOST", "10.0.0.1"));
    for (name, is_used) in [("a", false), ("b", false), ("c", false), ("d", true)] {
        assert_eq!(cluster(&all, name).kubernetes.connect.in_cluster.is_some(), is_used, "{name}");
    }
}

/// Guards that an error about a kubeconfig names the setting that has its path.
#[test]
fn the_setting_of_a_kubeconfig_is_known() {
    let text = "[clusters.a]\nkubeconfig = '/a'\n[clusters.b]\nkubeconfig_path = '/b'\n[clusters.c]\ncontext = 'c'\n";
    let all = clusters(&Inputs::default().file(text).env("KUBECONFIG_PATH", "/env"));
    for (name, setting) in
        [("a", "clusters.a.kubeconfig"), ("b", "clusters.b.kubeconfig"), ("c", "KUBECONFIG_PATH")]
    {
        assert_eq!(cluster(&all, name).kubernetes.connect.setting, setting);
    }
    let alone = clusters(&Inputs::default());
    assert_eq!(alone.first.kubernetes.connect.setting, "KUBECONFIG_PATH");
}

/// Guards that each bad table gives one line with the path, the line of the file and what is allowed.
#[test]
fn bad_tables_are_refused_in_one_line() {
    let label = "a DNS label: 1 to 63 lower-case letters, digits or '-', with a letter or digit at both ends";
    let name = "allowed: 1 to 63 lower-case letters, digits or '-', with a letter or digit at both ends";
    let weight = "allowed: a number from 0 to 1000";
    let count = "allowed: a number from 1 to 1000000, or unlimited";
    let text = "at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends";
    let cases: &[(&str, String)] = &[
        // The tables.
        ("clusters = 'a'", "clusters at settings.toml:1: a text is not allowed; allowed: tables [clusters.NAME]".into()),
        ("clusters = ['a']", "clusters at settings.toml:1: a list is not allowed; allowed: tables [clusters.NAME]".into()),
        ("[[clusters]]\nname = 'a'", "clusters at settings.toml:1: a list is not allowed; allowed: tables [clusters.NAME]".into()),
        ("[clusters]\nweight = 1", "clusters.weight at settings.toml:2: a number is not allowed; allowed: a table [clusters.NAME]".into()),
        ("[clusters.West]", format!("the cluster \"West\" at settings.toml:1 has no valid name; {name}")),
        ("[clusters.a_b]\nweight = 1", format!("the cluster \"a_b\" at settings.toml:2 has no valid name; {name}")),
        ("[clusters.'a.b']", format!("the cluster \"a.b\" at settings.toml:1 has no valid name; {name}")),
        ("[clusters.'']", format!("the cluster \"\" at settings.toml:1 has no valid name; {name}")),
        ("[cluster.west]\nweight = 1", "\"cluster\" at settings.toml:1 is not a setting; did you mean \"clusters\"?".into()),
        // The terms.
        ("[clusters.a]\nweight = -1", format!("clusters.a.weight: \"-1\" from settings.toml:2 is not allowed; {weight}")),
        ("[clusters.a]\nweight = 1001", format!("clusters.a.weight: \"1001\" from settings.toml:2 is not allowed; {weight}")),
        ("[clusters.a]\nweight = 0.5", format!("clusters.a.weight: a number with a fraction from settings.toml:2 is not allowed; {weight}")),
        ("[clusters.a]\nweight = 'half'", format!("clusters.a.weight: \"half\" from settings.toml:2 is not allowed; {weight}")),
        ("[clusters.a]\n\nweight = []", format!("clusters.a.weight: a list from settings.toml:3 is not allowed; {weight}")),
        ("[clusters.a]\nweight = true", format!("clusters.a.weight: \"true\" from settings.toml:2 is not allowed; {weight}")),
        ("[clusters.a]\nmax_sandboxes = 0", format!("clusters.a.max_sandboxes: \"0\" from settings.toml:2 is not allowed; {count}")),
        ("[clusters.a]\nmax_sandboxes = 1000001", format!("clusters.a.max_sandboxes: \"1000001\" from settings.toml:2 is not allowed; {count}")),
        ("[clusters.a]\nmax_sandboxes = 'none'", format!("clusters.a.max_sandboxes: \"none\" from settings.toml:2 is not allowed; {count}")),
        ("[clusters.a]\nlabels = 'eu'", "clusters.a.labels: a text from settings.toml:2 is not allowed; allowed: a table such as { region = \"eu\" }".into()),
        ("[clusters.a]\nlabels = { '-x' = 'eu' }", "clusters.a.labels: the key \"-x\" from settings.toml:2 is not allowed; allowed: a label key such as tier or \"example.com/tier\"".into()),
        ("[clusters.a]\nlabels = { region = 'e u' }", format!("clusters.a.labels: \"e u\" for region from settings.toml:2 is not allowed; allowed: {text}")),
        ("[clusters.a]\nlabels = { zone = 1 }", "clusters.a.labels: a number for zone from settings.toml:2 is not allowed; allowed: a text in quotes".into()),
        ("[clusters.a]\nlabels.x.y = 'z'", "clusters.a.labels: a table for x from settings.toml:2 is not allowed; allowed: a text; a key with a dot needs quotes, such as \"example.com/tier\"".into()),
        ("[clusters.a]\nprofiles = 'large'", "clusters.a.profiles: a text from settings.toml:2 is not allowed; allowed: a list of the names of profiles".into()),
        ("[clusters.a]\nprofiles = []", "clusters.a.profiles: an empty list from settings.toml:2 is not allowed; allowed: a list of the names of profiles; a cluster with weight = 0 gets no sandboxes".into()),
        ("[clusters.a]\nprofiles = ['default', 7]", "clusters.a.profiles: a number from settings.toml:2 is not allowed; allowed: a list of the names of profiles".into()),
        ("[clusters.a]\nprofiles = ['huge']\n[profiles.large]\n[profiles.small]", "clusters.a.profiles: there is no profile \"huge\" (from settings.toml:2); allowed: default, large, small".into()),
        ("[clusters.a]\nprofiles = ['HUGE']", "clusters.a.profiles: there is no profile \"HUGE\" (from settings.toml:2); allowed: default".into()),
        // The settings.
        ("[clusters.a]\nnamespace = 'A'", format!("clusters.a.namespace: \"A\" from settings.toml:2 is not allowed; allowed: {label}")),
        ("[clusters.a]\nk8s_namespace = ''", format!("clusters.a.k8s_namespace: \"\" from settings.toml:2 is not allowed; allowed: {label}")),
        ("[clusters.a]\nnamespace = 'a'\nk8s_namespace = 'b'", "clusters.a.k8s_namespace at settings.toml:3: the table has the setting twice, as namespace and as k8s_namespace".into()),
        ("[clusters.a]\nkubeconfig = ''", "clusters.a.kubeconfig: \"\" from settings.toml:2 is not allowed; allowed: the path of a kubeconfig file".into()),
        ("[clusters.a]\nkubeconfig = ['/a', '/b']", "clusters.a.kubeconfig: a list from settings.toml:2 is not allowed; allowed: the path of a kubeconfig file".into()),
        ("[clusters.a]\ncontext = \"a\\nb\"", "clusters.a.context: \"a\\nb\" from settings.toml:2 is not allowed; allowed: any text without control characters".into()),
        ("[clusters.a]\napi_server = 'https://u:hunter2@h'", "clusters.a.api_server: \"https://***@h\" from settings.toml:2 is not allowed; allowed: an http or https URL without credentials, query or fragment, such as https://host.docker.internal:6443".into()),
        ("[clusters.a]\nservice_type = 'LoadBalancer'", "clusters.a.service_type: \"LoadBalancer\" from settings.toml:2 is not allowed; allowed: NodePort or ClusterIP".into()),
        ("[clusters.a]\nnode_host = 'http://a'", "clusters.a.node_host: \"http://a\" from settings.toml:2 is not allowed; allowed: a host name or an IP address, without scheme, port or path".into()),
        ("[clusters.a]\nstaleness_limit = '1s'", "clusters.a.staleness_limit: \"1s\" from settings.toml:2 is not allowed; allowed: a duration such as 90s, 15m or 2h 30m, from 40s to 1h".into()),
        ("[clusters.a]\nmax_in_flight = 0", "clusters.a.max_in_flight: \"0\" from settings.toml:2 is not allowed; allowed: a number from 1 to 1024".into()),
        ("[clusters.a]\ninsecure_skip_tls_verify = 'yes'", "clusters.a.insecure_skip_tls_verify: \"yes\" from settings.toml:2 is not allowed; allowed: true or false".into()),
        ("[clusters.a]\nlisten = '127.0.0.1:1'", "clusters.a.listen at settings.toml:2: this setting is the same for all clusters; set it above the tables".into()),
        ("[clusters.a]\napi_key = 'hunter2'", "clusters.a.api_key at settings.toml:2: this setting is the same for all clusters; set it above the tables".into()),
        ("[clusters.a]\nmax_ttl = '1h'", "clusters.a.max_ttl at settings.toml:2: this setting is the same for all clusters; set it above the tables".into()),
        ("[clusters.a]\nprobe_patience = '1m'", "clusters.a.probe_patience at settings.toml:2: this setting is the same for all clusters; set it above the tables".into()),
        ("[clusters.a]\nembedded = true", "clusters.a.embedded at settings.toml:2: this setting is the same for all clusters; set it above the tables".into()),
        ("[clusters.a]\nwieght = 1", "clusters.a.wieght at settings.toml:2: it is not a field of a cluster; did you mean \"weight\"?".into()),
        ("[clusters.a]\nSANDBOX_IMAGE = 'x'", "clusters.a.SANDBOX_IMAGE at settings.toml:2: it is not a field of a cluster; did you mean \"image\"?".into()),
        ("[clusters.a]\nidle_timeout = '1h'", "clusters.a.idle_timeout at settings.toml:2: it is not a field of a cluster; did you mean \"default_idle_timeout\"? This setting is the same for all clusters; set it above the tables".into()),
        ("[clusters.a]\nPROVISIONER_MAX_TTL = '1h'", "clusters.a.PROVISIONER_MAX_TTL at settings.toml:2: it is not a field of a cluster; did you mean \"max_ttl\"? This setting is the same for all clusters; set it above the tables".into()),
        ("[clusters.a]\nsandbox_imge = 'x'", "clusters.a.sandbox_imge at settings.toml:2: it is not a field of a cluster; did you mean \"image\"?".into()),
        ("[clusters.a]\nzebra = 1", "clusters.a.zebra at settings.toml:2: it is not a field of a cluster; the fields are weight, max_sandboxes, labels, profiles, shares_data, and the settings of the connection, the sandboxes, the volumes and the network".into()),
        ("[clusters.a]\n\"x\\ny\" = 1", "clusters.a.\"x\\ny\" at settings.toml:2: it is not a field of a cluster; the fields are weight, max_sandboxes, labels, profiles, shares_data, and the settings of the connection, the sandboxes, the volumes and the network".into()),
        ("[clusters.a]\nnode_host = 2026-01-01", "clusters.a.node_host at settings.toml:2: a date or time is not allowed".into()),
        ("[clusters.a]\nweight = 99999999999999999999", "clusters.a.weight at settings.toml:2: a number beyond 64 bits is not allowed".into()),
        // Several tables.
        ("[clusters.a]\n[clusters.b]", "clusters.b: its sandboxes would be in the namespace \"deer-flow\" of the current context of the kubeconfig \"/root/.kube/config\", as those of clusters.a; give one of them another kubeconfig, context, api_server or namespace".into()),
        ("k8s_api_server = 'https://s'\n[clusters.a]\nkubeconfig = '/a'\n[clusters.b]\nkubeconfig = '/b'", "clusters.b: its sandboxes would be in the namespace \"deer-flow\" of the API server https://s/, as those of clusters.a; give one of them another kubeconfig, context, api_server or namespace".into()),
        ("[clusters.a]\ncontext = 'c'\n[clusters.b]\ncontext = 'c'", "clusters.b: its sandboxes would be in the namespace \"deer-flow\" of the context \"c\" of the kubeconfig \"/root/.kube/config\", as those of clusters.a; give one of them another kubeconfig, context, api_server or namespace".into()),
        ("cluster_loss_timeout = '0s'", "cluster_loss_timeout: \"0s\" from settings.toml:1 is not allowed; allowed: a duration such as 90s, 15m or 2h 30m, from 1s to 365d, or never".into()),
        ("embedded = true\nembedded_clusters = 9", "embedded_clusters: \"9\" from settings.toml:2 is not allowed; allowed: a number from 1 to 8".into()),
        ("embedded = true\nembedded_clusters = 2\n[clusters.a]", "embedded_clusters: a number from settings.toml:2 is not allowed, as each table [clusters.NAME] is an embedded cluster; allowed: one of both".into()),
    ];
    for (file, message) in cases {
        assert_eq!(Inputs::default().file(file).refusal(), format!("error: {message}"), "{file}");
    }
    let many = |count| {
        (0..count).map(|n| format!("[clusters.c{n}]\nnamespace = 'n{n}'\n")).collect::<Vec<_>>().concat()
    };
    assert_eq!(Inputs::default().file(&many(64)).refusal(), "");
    let refusal = Inputs::default().file(&many(65)).refusal();
    assert_eq!(
        refusal,
        "error: clusters.c64 at settings.toml:130: there are too many clusters; allowed: at most 64"
    );
    let labels: String =
        (0..70).map(|n| format!("labels.l{n} = '{}'\n", "x".repeat(60))).collect::<Vec<_>>().concat();
    let refusal = Inputs::default().file(&format!("[clusters.a]\n{labels}")).refusal();
    assert!(
        refusal.ends_with("are not allowed; allowed: at most 4096 bytes of keys and values"),
        "{refusal}"
    );
}

/// Guards that every problem of all tables is reported, beside those of the other settings.
#[test]
fn every_problem_of_all_tables_is_reported() {
    let text = "node_host = '/'\n[clusters.a]\nweight = 2000\nimage = ''\n[clusters.b]\nlisten = 'x'\n[profiles.p]\ncpu = 'x'\n";
    let refusal = Inputs::default().file(text).refusal();
    for problem in [
        "node_host: ",
        "clusters.a.weight: ",
        "clusters.a.image: ",
        "clusters.b.listen at ",
        "profiles.p.cpu at ",
    ] {
        assert!(refusal.contains(&format!("error: {problem}")), "{problem}: {refusal}");
    }
    assert_eq!(refusal.lines().count(), 5, "{refusal}");
}

/// Guards that a profile is checked with the settings of the clusters that offer it, and that the problem names them.
#[test]
fn profiles_are_checked_with_each_cluster_that_offers_them() {
    let profile = "[profiles.shut]\nnetwork = 'isolated'\n";
    let east = "[clusters.east]\nnamespace = 'e'\nnetwork_sources = '10.0.0.0/24'\n";
    let refusal =
        |west: &str| Inputs::default().file(&format!("{profile}{east}[clusters.west]\n{west}")).refusal();
    let told = refusal("namespace = 'w'\n");
    assert!(told.starts_with("error: profiles.shut.network: nothing could reach"), "{told}");
    assert!(told.ends_with(" (for the cluster west)") && told.lines().count() == 1, "{told}");
    assert_eq!(refusal("profiles = ['default']\n"), "");

    let profile = "[profiles.safe]\nsecurity = 'baseline'\n";
    let east = "[clusters.east]\nnamespace = 'e'\nuserdata_pvc_name = 'u'\nskills_pvc_name = 's'\n";
    let load = |west: &str| Inputs::default().file(&format!("{profile}{east}[clusters.west]\n{west}"));
    assert!(load("").refusal().ends_with("(for the cluster west)"), "{}", load("").refusal());
    let all = clusters(&load("profiles = ['default']\n"));
    assert!(all.iter().all(|cluster| cluster.template.profiles.iter().count() == 1));
    // A problem of all clusters is reported once, without their names.
    let told = Inputs::default()
        .file("max_ttl = '1h'\n[profiles.a]\nttl = '2h'\n[clusters.a]\n[clusters.b]\nnamespace = 'b'\n")
        .refusal();
    assert_eq!(told, "error: profiles.a.ttl: 2h is above max_ttl, which is 1h");
}

/// Guards that a profile that no cluster offers is named, and that a cluster without a list offers all.
#[test]
fn a_profile_without_a_cluster_is_named() {
    let told = |a: &str, b: &str| {
        let file = format!("{PROFILES}[clusters.a]\n{a}\n[clusters.b]\nnamespace = 'b'\n{b}\n");
        unoffered(&clusters(&Inputs::default().file(&file)))
    };
    let sentence = |name| {
        format!(
            "profiles.{name}: no cluster offers the profile; add it to the `profiles` of a table [clusters.NAME]"
        )
    };
    let (default, large) = ("profiles = ['default']", "profiles = ['large']");
    assert_eq!(told(default, default), ["large", "small"].map(sentence));
    assert_eq!(told(default, large), ["small"].map(sentence));
    for (a, b) in [("", ""), ("", large), (large, "profiles = ['default', 'small']")] {
        assert_eq!(told(a, b), [""; 0], "{a} {b}");
    }
    assert_eq!(unoffered(&clusters(&Inputs::default().file(PROFILES))), [""; 0]);
}

/// Guards that embedded clusters have the names of their numbers, or of the tables, which may then share everything.
#[test]
fn embedded_clusters_have_names() {
    let names = |inputs: Inputs| clusters(&inputs.flag("embedded", "true")).names();
    assert_eq!(names(Inputs::default()), "default");
    assert_eq!(names(Inputs::default().flag("embedded_clusters", "3")), "embedded-1, embedded-2, embedded-3");
    assert_eq!(names(Inputs::default().file("[clusters.a]\nweight = 0\n[clusters.b]\n")), "a, b");
    let many: String = (0..9).map(|n| format!("[clusters.c{n}]\n")).collect::<Vec<_>>().concat();
    let refusal = Inputs::default().file(&many).flag("embedded", "true").refusal();
    assert_eq!(refusal, "error: clusters: 9 embedded clusters are not allowed; allowed: at most 8");
    // Without the switch the number says nothing, as that of the nodes.
    assert_eq!(clusters(&Inputs::default().flag("embedded_clusters", "3")).names(), "default");
}

/// Guards that `serve --check` prints tables that read as the same ones.
#[test]
fn printed_clusters_read_as_the_same() {
    let text = format!(
        "{PROFILES}[clusters.a]\nweight = 0\nlabels = {{ \"x.com/y\" = 'z' }}\nprofiles = ['large']\n[clusters.b]\n\
         namespace = 'b'\ncontext = \"it's\"\ninsecure_skip_tls_verify = true\n"
    );
    let first = Inputs::default().file(&text).load().unwrap();
    let printed = show::to_toml(&first);
    assert!(printed.contains("\n[clusters.a]  # from ") && printed.contains("\nweight = 0\n"), "{printed}");
    let second = Inputs::default().file(&printed).load().unwrap();
    assert_eq!(format!("{:?}", second.settings), format!("{:?}", first.settings));
}

/// Guards that the settings files in the documents are valid.
#[test]
fn the_documented_tables_are_valid() {
    for page in [include_str!("../../../docs/clusters.md"), include_str!("../../../docs/settings.md")] {
        let files: Vec<_> =
            page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!files.is_empty());
        for file in files {
            // The file with the key does not exist here.
            let file = file.replace("api_key_file =", "# api_key_file =");
            assert_eq!(Inputs::default().file(&file).refusal(), "", "{file}");
        }
    }
}
