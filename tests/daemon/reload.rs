//! SIGHUP: a running process reads its settings file again.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use simcluster::{Cluster, Options};
use tempfile::TempDir;
use testkit::{Process, ServedCluster, command, within};

use crate::PROGRAM;

/// The bound of every wait.
const LONG: Duration = Duration::from_secs(60);

/// A settings file and the clusters that its tables name.
struct Place {
    folder: TempDir,
    clusters: Vec<(&'static str, ServedCluster)>,
}

// === impl Place ===

impl Place {
    async fn new(names: &[&'static str]) -> Self {
        let mut clusters = Vec::new();
        for name in names {
            clusters.push((*name, ServedCluster::http(Cluster::start(Options::default())).await));
        }
        Self { folder: tempfile::tempdir().unwrap(), clusters }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("settings.toml")
    }

    /// Writes the file with a table for each of these clusters, and these further lines in it.
    fn write(&self, tables: &[(&str, &str)]) {
        let table = |(name, lines): &(&str, &str)| {
            let (_, cluster) = self.clusters.iter().find(|(known, _)| known == name).unwrap();
            format!("[clusters.{name}]\nkubeconfig = '{}'\n{lines}\n", cluster.kubeconfig(None).display())
        };
        fs::write(self.file(), tables.iter().map(table).collect::<Vec<_>>().concat()).unwrap();
    }

    /// Starts the program. Its log goes to a file.
    async fn start(&self) -> Process {
        let file = self.file();
        let arguments = ["serve", "--config", file.to_str().unwrap(), "--listen", "127.0.0.1:0"];
        let mut command = command(PROGRAM, &arguments, &[("NODE_HOST", "127.0.0.1")]);
        command.stderr(fs::File::create(self.folder.path().join("log")).unwrap());
        let process = Process::start(command).await;
        process.client().until_ready().await;
        process
    }

    /// Reloads, and waits until the log has these words.
    async fn reload(&self, process: &Process, words: &[&str]) {
        process.signal("HUP").await;
        for words in words {
            within(LONG, words, async || {
                fs::read_to_string(self.folder.path().join("log")).unwrap().contains(words)
            })
            .await;
        }
    }
}

/// Waits until the Pods of this cluster are known.
async fn until_watched(process: &Process, cluster: &str) {
    let client = process.client();
    let line = format!("[+]{cluster}/watch-pods ok");
    within(LONG, "the cluster is watched", async || {
        client.fetch("/readyz?verbose").await.text().contains(&line)
    })
    .await;
}

/// Guards that a reload adds a cluster, which then gets sandboxes, that a cluster whose weight is now 0 gets none, and that each
/// other change is named.
#[tokio::test]
async fn a_hangup_reloads_the_file() {
    let place = Place::new(&["east", "west", "north"]).await;
    place.write(&[("east", ""), ("west", "")]);
    let mut process = place.start().await;
    until_watched(&process, "west").await;
    within(LONG, "a line about a cluster names it", async || {
        let log = fs::read_to_string(place.folder.path().join("log")).unwrap();
        log.contains("\"cluster\":\"west\"")
    })
    .await;

    place.write(&[("east", ""), ("west", "weight = 0"), ("north", "labels = { region = 'eu' }")]);
    place.reload(&process, &["reload: the cluster has new terms", "reload: the cluster is added"]).await;
    until_watched(&process, "north").await;
    let metrics = process.client().fetch("/metrics").await;
    assert!(metrics.text().contains("sandbox_provisioner_view_fresh{cluster=\"north\"} 1"), "{metrics}");
    let mut used = BTreeSet::new();
    for n in 0..20 {
        let answer = process.client().post(&format!("s{n}")).await;
        assert_eq!(answer.status, 200, "{answer}");
        used.insert(answer.body["cluster"].as_str().unwrap().to_owned());
    }
    assert_eq!(used, ["east".to_owned(), "north".to_owned()].into(), "west drains, and north has a share");

    place.write(&[("east", "image = 'other:1'"), ("west", "weight = 0")]);
    let refused =
        ["reload: clusters.east.image: it is ", "reload: clusters.north: it is missing, and stays in use"];
    place.reload(&process, &refused).await;
    until_watched(&process, "north").await;
    process.signal("TERM").await;
    assert_eq!(process.status().await, Some(0));
}

/// Guards that a profile that no cluster offers is a warning once at the start, and at a reload after which none offers it.
#[tokio::test]
async fn a_profile_without_a_cluster_is_a_warning() {
    let place = Place::new(&["east"]).await;
    let (unoffered, offered) =
        ("profiles = ['default']\n[profiles.gpu]", "profiles = ['gpu']\n[profiles.gpu]");
    let warnings = || {
        let log = fs::read_to_string(place.folder.path().join("log")).unwrap();
        log.matches("profiles.gpu: no cluster offers the profile").count()
    };
    place.write(&[("east", unoffered)]);
    let process = place.start().await;
    assert_eq!(warnings(), 1);
    place.write(&[("east", offered)]);
    place.reload(&process, &["the settings are reloaded"]).await;
    assert_eq!(warnings(), 1);
    place.write(&[("east", unoffered)]);
    process.signal("HUP").await;
    within(LONG, "a second warning", async || warnings() == 2).await;
}

/// Guards that a file that is not valid changes nothing, that each problem is logged, and that the next reload works.
#[tokio::test]
async fn an_invalid_file_is_not_loaded() {
    let place = Place::new(&["east", "west"]).await;
    place.write(&[("east", "")]);
    let process = place.start().await;
    place.write(&[("east", "weight = 2000\nimage = ''"), ("west", "")]);
    let problems = [
        "the settings are not reloaded: clusters.east.weight: ",
        "the settings are not reloaded: clusters.east.image: ",
    ];
    place.reload(&process, &problems).await;
    let report = process.client().fetch("/readyz?verbose").await.text();
    assert!(!report.contains("west"), "{report}");
    place.write(&[("east", ""), ("west", "")]);
    place.reload(&process, &["reload: the cluster is added"]).await;
    until_watched(&process, "west").await;
}
