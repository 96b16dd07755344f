//! The differences that a reload takes or refuses.

use lifecycle::placement::Terms;

use super::{
    super::{
        clusters::changed_keys,
        load::Loaded,
        reload::{Changes, changes},
    },
    Inputs, line, samples, settings,
};

const TWO: &str = "[clusters.a]\nnamespace = 'a'\n[clusters.b]\nnamespace = 'b'\n";

fn load(file: &str) -> Loaded {
    Inputs::default().file(file).load().unwrap_or_else(|problems| panic!("{file}: {problems}"))
}

fn between(old: &str, new: &str) -> Changes {
    changes(&load(old), &load(new))
}

/// The changes without the directories of the files.
fn refused(changes: &Changes) -> Vec<String> {
    let shorten = |sentence: &String| {
        let (before, rest) = sentence.split_once(" from /").unwrap_or((sentence, ""));
        let rest = rest.split_once("settings.toml").map_or("", |(_, rest)| rest);
        if rest.is_empty() { before.to_owned() } else { format!("{before} from settings.toml{rest}") }
    };
    changes.refused.iter().map(shorten).collect()
}

fn nothing(changes: &Changes) -> bool {
    changes.added.is_empty() && changes.terms.is_empty() && changes.refused.is_empty()
}

/// Guards that no setting is forgotten: each changed one is refused with its name, in the top level and in a table.
#[test]
fn each_other_setting_needs_a_restart() {
    for spec in settings().filter(|spec| spec.name != "api_key") {
        let [one, two] = samples(spec);
        // These two need each other, or a key.
        let [one, two] = match spec.name.as_str() {
            "listen" => ["127.0.0.1:1", "127.0.0.1:2"],
            "auth" => ["key", "none"],
            "default_ttl" | "default_idle_timeout" => ["1m", "2m"],
            _ => [one, two],
        };
        let [old, new] = [one, two].map(|value| line(spec, value));
        if one != two {
            let found = between(&old, &new);
            assert_eq!(found.refused.len(), 1, "{found:?}");
            assert!(found.refused[0].starts_with(&format!("{}: ", spec.name)), "{found:?}");
            assert!(found.added.is_empty() && found.terms.is_empty(), "{found:?}");
        }
        if spec.is_optional {
            assert_eq!(between(&old, &line(spec, "")).refused.len(), 1, "{}", spec.name);
        }
        assert!(nothing(&between(&old, &old)), "{}", spec.name);
        if !spec.may_differ || spec.name == "k8s_namespace" {
            continue;
        }
        let key = spec.key_of_cluster();
        let in_table = |value: &str| format!("{TWO}{}", line(spec, value).replace(&spec.name, key));
        let found = between(TWO, &in_table(one));
        assert_eq!(found.refused.len(), 1, "{found:?}");
        assert!(found.refused[0].starts_with(&format!("clusters.b.{key}: ")), "{found:?}");
        // A setting of all clusters is reported once.
        let found = between(TWO, &format!("{}{TWO}", line(spec, one)));
        assert_eq!(found.refused.len(), 1, "{found:?}");
        assert!(found.refused[0].starts_with(&format!("{}: ", spec.name)), "{found:?}");
    }
}

/// Guards the sentences.
#[test]
fn a_refused_change_says_what_to_do() {
    for (old, new, sentences) in [
        (
            "drain_delay = '2s'",
            "\ndrain_delay = '3s'",
            &[
                "drain_delay: it is \"3s\" from settings.toml:2, and \"2s\" is in use; restart the daemon to use it",
            ][..],
        ),
        (
            "skills_pvc_name = 's'",
            "",
            &["skills_pvc_name: it is unset, and \"s\" is in use; restart the daemon to use it"],
        ),
        (
            "api_key = 'hunter1'",
            "api_key = 'hunter2'",
            &["api_key: it has changed; restart the daemon to use it"],
        ),
        (
            "[profiles.a]\ncpu = 1\n[profiles.b]\n",
            "[profiles.a]\ncpu = 2\n[profiles.c]\n",
            &[
                "profiles.a: it has changed; restart the daemon to use it",
                "profiles.b: it has changed; restart the daemon to use it",
                "profiles.c: it has changed; restart the daemon to use it",
            ],
        ),
        (
            TWO,
            "[clusters.a]\nnamespace = 'a'\n",
            &[
                "clusters.b: it is missing, and stays in use until a restart; with weight = 0 it gets no new sandboxes",
            ],
        ),
        // The same namespace under another name.
        (
            TWO,
            "[clusters.a]\nnamespace = 'a'\n[clusters.c]\nnamespace = 'b'\n",
            &[
                "clusters.b: it is missing, and stays in use until a restart; with weight = 0 it gets no new sandboxes",
                "clusters.c: it is not added, because its sandboxes would be in the namespace \"b\" of the current \
                 context of the kubeconfig \"/root/.kube/config\", as those of clusters.b; restart the daemon to use it",
            ],
        ),
        (
            TWO,
            "[clusters.a]\nnamespace = 'a'\n[clusters.b]\nnamespace = 'b'\n[clusters.c]\nnamespace = 'c'\n[profiles.p]\n",
            &[
                "profiles.p: it has changed; restart the daemon to use it",
                "clusters.c: it is not added, because the profiles have changed; restart the daemon to use it",
            ],
        ),
        (
            "embedded = true",
            "embedded = true\nembedded_clusters = 2",
            &[
                "embedded_clusters: it is \"2\" from settings.toml:2, and \"1\" is in use; restart the daemon to use it",
                "clusters.default: it is missing, and stays in use until a restart; with weight = 0 it gets no new \
                 sandboxes",
                "clusters.embedded-1: it is not added, because the number or the kind of the embedded clusters has \
                 changed; restart the daemon to use it",
                "clusters.embedded-2: it is not added, because the number or the kind of the embedded clusters has \
                 changed; restart the daemon to use it",
            ],
        ),
        (
            "lark_cli_init_image = 'i'\n[clusters.a]\n",
            "lark_cli_init_image = 'i'\n[clusters.a]\n[clusters.b]\nnamespace = 'b'\nlark_cli_init_image = ''\n",
            &[
                "clusters.b: it is not added, because it has no lark_cli_init_image, which the other clusters have; \
               restart the daemon to use it",
            ],
        ),
        (
            "[clusters.a]\nnamespace = 'a'\nimage = 'a:1'\n[clusters.b]\nnamespace = 'b'\n",
            "sandbox_image = 'c:1'\n[clusters.a]\nnamespace = 'a'\nimage = 'a:1'\n[clusters.b]\nnamespace = 'b'\n",
            &[
                "clusters.b.image: it is \"c:1\" from settings.toml:1, and \"enterprise-public-cn-beijing.cr.volces.com/\
               vefaas-public/all-in-one-sandbox:latest\" is in use; restart the daemon to use it",
            ],
        ),
    ] {
        let found = between(old, new);
        assert_eq!(refused(&found), sentences, "{old} → {new}");
        assert!(found.added.is_empty() && found.terms.is_empty(), "{found:?}");
    }
}

/// Guards that a new cluster and new terms are taken, and that the next reload finds them in use.
#[test]
fn clusters_and_terms_are_taken() {
    let mut old = load(TWO);
    let new = load(
        "[clusters.a]\nnamespace = 'a'\nweight = 0\n[clusters.b]\nnamespace = 'b'\nlabels = { x = 'y' }\n\
         profiles = ['default']\nmax_sandboxes = 3\n[clusters.c]\nnamespace = 'c'\nimage = 'c:1'\n",
    );
    let found = changes(&old, &new);
    assert_eq!(found.refused, [] as [&str; 0]);
    let terms: Vec<_> = found.terms.iter().map(|(name, terms)| (name.as_str(), terms.weight)).collect();
    assert_eq!(terms, [("a", 0), ("b", 100)]);
    assert_eq!(found.terms[1].1.max_sandboxes, Some(3));
    let [added] = &*found.added else { panic!("{found:?}") };
    assert_eq!((added.name.as_str(), added.template.image.as_str()), ("c", "c:1"));

    found.apply(&mut old, &new);
    assert!(nothing(&changes(&old, &new)));
    let found = changes(&old, &load(TWO));
    assert_eq!(found.terms.len(), 2, "the terms return to their defaults");
    assert!(
        found.refused.len() == 1 && found.refused[0].starts_with("clusters.c: it is missing"),
        "{found:?}"
    );
}

/// Guards that tables can be added to a cluster without a table, and that embedded clusters may share everything.
#[test]
fn the_first_tables_are_added_to_the_default() {
    let found = between("", "[clusters.a]\nnamespace = 'a'\n");
    assert_eq!((found.added.len(), found.refused.len()), (1, 1), "{found:?}");
    assert!(found.refused[0].starts_with("clusters.default: it is missing"), "{found:?}");
    let found = between("embedded = true\n[clusters.a]\n", "embedded = true\n[clusters.a]\n[clusters.b]\n");
    assert_eq!((found.added.len(), found.refused.len()), (1, 0), "{found:?}");
    let found = between("", "[clusters.default]\nweight = 7\n");
    assert_eq!((found.terms.len(), found.added.len() + found.refused.len()), (1, 0), "{found:?}");
}

/// Guards that the log can name each field of a cluster's table that has changed.
#[test]
fn changed_fields_of_a_table_are_named() {
    for (key, value) in [
        ("weight", "5"),
        ("max_sandboxes", "7"),
        ("labels", "{ region = 'eu' }"),
        ("profiles", "['default']"),
        ("shares_data", "true"),
    ] {
        let found = between(TWO, &format!("{TWO}{key} = {value}\n"));
        let [(name, terms)] = &*found.terms else { panic!("{key}: {found:?}") };
        assert_eq!(name.as_str(), "b");
        assert_eq!(changed_keys(&Terms::default(), terms), [key]);
    }
}
