//! The generated files: config/sandbox-provisioner.toml and the tables of docs/settings.md.

use std::{fmt::Write as _, fs, path::PathBuf};

use super::{
    super::{sections::SETTINGS, setting::Spec},
    Inputs, line,
};

/// The beginning of the example file.
const HEAD: &str = "\
# Settings of sandbox-provisioner. Generated with `./dev docs`.
#
# Every setting is listed with its default, as a comment; a setting without a default has an example.
# Use the file with --config FILE or SANDBOX_PROVISIONER_CONFIG. Environment variables override the file, and
# flags override both. The variable is given in brackets; the flag is the key with '-' for '_', such as
# --k8s-namespace for k8s_namespace. `sandbox-provisioner serve --check` prints the effective settings and their
# origins.
";

/// The end of the example file.
const CLUSTERS: &str = "
# ---- Several clusters ----

# One table for each cluster; see docs/clusters.md. Its settings replace those above for that cluster alone. The keys
# of the settings of Kubernetes, sandboxes, volumes, network policies and Lark are allowed, without the prefixes k8s_
# and sandbox_, and idle_probes and idle_cpu. Example:
# [clusters.east]
# kubeconfig = \"/etc/clusters/east.yaml\"
# node_host = \"east.example.com\"
# labels = { region = \"eu\" }
# [clusters.west]
# kubeconfig = \"/etc/clusters/west.yaml\"
# context = \"admin@west\"
# node_host = \"west.example.com\"
# weight = 50             # 0 to 1000, by default 100; with 0 it gets no new sandboxes
# max_sandboxes = 200     # by default any number
# profiles = [\"default\"]  # the profiles that it offers, by default all
# shares_data = true      # its host paths and claims have the same data as those of others with this key
";

/// The lines of docs/settings.md before and after the tables.
const MARKS: [&str; 2] = ["<!-- Generated with ./dev docs. -->\n", "<!-- End of the generated part. -->\n"];

/// The longest comment line of the example file.
const WIDTH: usize = 105;

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// Returns the settings by heading.
fn sections() -> impl Iterator<Item = &'static [Spec]> {
    SETTINGS.chunk_by(|a, b| a.heading == b.heading)
}

fn comment(text: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in text.split(' ') {
        let last = lines.last_mut().unwrap();
        if last.len() + 1 + word.len() > WIDTH {
            lines.push(format!("# {word}"));
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

/// Returns the text of config/sandbox-provisioner.toml.
fn example_file() -> String {
    let mut out = HEAD.to_owned();
    for section in sections() {
        write!(out, "\n# ---- {} ----\n", section[0].heading).unwrap();
        for spec in section {
            out += "\n";
            out += &comment(&format!("{} [{}].", spec.help, spec.variable));
            out += &comment(&format!("Allowed: {}.", spec.allowed));
            if spec.default.is_none() {
                out += "# No default. Example:\n";
            }
            write!(out, "# {}", line(spec, &spec.example)).unwrap();
        }
    }
    out += "\n# ---- Profiles ----\n\n# Named variants of a sandbox's Pod; see docs/profiles.md. Example:\n# [profiles.large]\n# \
            cpu = 2\n# memory = \"4Gi\"\n";
    out += CLUSTERS;
    out
}

/// Returns the tables of docs/settings.md.
fn tables() -> String {
    let mut out = String::new();
    for section in sections() {
        write!(out, "\n**{}**\n\n", section[0].heading).unwrap();
        out += "| Variable | Default | Meaning |\n| --- | --- | --- |\n";
        for Spec { variable, default, help, .. } in section {
            let default = default.as_ref().map_or("-".to_owned(), |default| format!("`{default}`"));
            writeln!(out, "| `{variable}` | {default} | {help} |").unwrap();
        }
    }
    out + "\n"
}

/// Returns the text of docs/settings.md with the generated tables in place of the present ones.
fn page(present: &str) -> String {
    let (before, rest) = present.split_once(MARKS[0]).unwrap();
    let (_, after) = rest.split_once(MARKS[1]).unwrap();
    format!("{before}{}{}{}{after}", MARKS[0], tables(), MARKS[1])
}

/// Guards that both files are up to date.
#[test]
fn the_generated_files_are_up_to_date() {
    let present = fs::read_to_string(path("config/sandbox-provisioner.toml")).unwrap();
    assert_eq!(present, example_file(), "run ./dev docs");
    let present = fs::read_to_string(path("docs/settings.md")).unwrap();
    assert_eq!(present, page(&present), "run ./dev docs");
}

#[test]
#[ignore = "writes config/sandbox-provisioner.toml and docs/settings.md, for ./dev docs"]
fn write_the_generated_files() {
    fs::write(path("config/sandbox-provisioner.toml"), example_file()).unwrap();
    let present = fs::read_to_string(path("docs/settings.md")).unwrap();
    fs::write(path("docs/settings.md"), page(&present)).unwrap();
}

/// The example file can be read, changes nothing as it is, and each of its lines is valid.
#[test]
fn the_example_file_is_valid() {
    let example = example_file();
    let debug = |inputs: Inputs| format!("{:?}", inputs.load().unwrap().settings);
    assert_eq!(debug(Inputs::default().file(&example)), debug(Inputs::default()));
    for spec in SETTINGS.iter() {
        let start = format!("# {} = ", spec.name);
        let shown = example.lines().find(|line| line.starts_with(&start)).unwrap();
        if spec.name != "api_key_file" {
            assert_eq!(Inputs::default().file(shown.trim_start_matches("# ")).refusal(), "", "{shown}");
        }
    }
}
