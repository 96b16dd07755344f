//! The parts of the daemon that there are once for each cluster: their checks, their metrics and their features.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use simcluster::{Cluster, NodeOptions, Options};
use testkit::{Daemon, NAMESPACE, Setup, until};
use tokio::time::sleep;

/// More than the staleness limit.
const STALE: Duration = Duration::from_secs(100);

fn cluster() -> Cluster {
    Cluster::start(Options::with_namespace(NAMESPACE))
}

/// Starts a daemon on clusters with these tables.
async fn daemon(tables: &[(&str, &str, &Cluster)]) -> Daemon {
    let clusters = tables.iter().map(|(name, table, cluster)| (*name, *table, (*cluster).clone()));
    Setup::new(&[]).clusters(clusters).start().await.ready().await
}

/// Guards that one usable cluster suffices for readiness, that each check of several names its cluster, and that the
/// metrics agree.
#[tokio::test(start_paused = true)]
async fn one_usable_cluster_is_enough() {
    let [east, north, west] = [cluster(), cluster(), cluster()];
    let daemon = daemon(&[("east", "", &east), ("north", "", &north), ("west", "", &west)]).await;
    let line = async |line: &str| {
        let answer = daemon.fetch("/readyz?verbose").await;
        answer.text().lines().find(|found| found.contains(line)).map(str::to_owned).unwrap_or_default()
    };
    until("all clusters are there", async || {
        let report = daemon.fetch("/readyz?verbose").await;
        report.text().lines().filter(|line| line.starts_with("[+]")).count() == 16
    })
    .await;
    assert_eq!(line("west/watch-pods").await, "[+]west/watch-pods ok");

    west.set_away(true);
    sleep(STALE).await;
    let answer = daemon.fetch("/readyz?verbose").await;
    assert_eq!(answer.status, 200, "{answer}");
    let failed = line("west/watch-pods").await;
    assert!(failed.starts_with("[-]west/watch-pods failed (optional): "), "{failed}");
    assert_eq!(line("east/watch-pods").await, "[+]east/watch-pods ok");
    let scrape = daemon.fetch("/metrics").await;
    for series in [
        "sandbox_provisioner_ready 1",
        "sandbox_provisioner_ready_check{check=\"shutdown\",cluster=\"\"} 1",
        "sandbox_provisioner_ready_check{check=\"watch-pods\",cluster=\"east\"} 1",
        "sandbox_provisioner_ready_check{check=\"watch-pods\",cluster=\"west\"} 0",
        "sandbox_provisioner_view_fresh{cluster=\"north\"} 1",
        "sandbox_provisioner_view_fresh{cluster=\"west\"} 0",
    ] {
        assert!(scrape.text().lines().any(|line| line == series), "{series}: {scrape}");
    }

    east.set_away(true);
    north.set_away(true);
    sleep(STALE).await;
    let answer = daemon.fetch("/readyz").await;
    assert_eq!(answer.status, 503, "{answer}");
    assert!(line("west/watch-pods").await.starts_with("[-]west/watch-pods failed: "));
    north.set_away(false);
    until("one cluster is back", async || daemon.fetch("/readyz").await.status == 200).await;
}

/// Guards that a scrape describes each metric once, and has the same series for each cluster, with its name.
#[tokio::test(start_paused = true)]
async fn each_cluster_has_its_metrics() {
    let [east, west] = [cluster(), cluster()];
    let daemon = daemon(&[("east", "", &east), ("west", "", &west)]).await;
    until("both are listed", async || {
        let scrape = daemon.fetch("/metrics").await;
        ["east", "west"].iter().all(|name| {
            scrape.text().contains(&format!("sandbox_provisioner_view_fresh{{cluster=\"{name}\"}} 1"))
        })
    })
    .await;
    for accept in ["text/plain", "application/openmetrics-text"] {
        let scrape =
            daemon.call_with(http::Method::GET, "/metrics", &[("accept", accept)], None).await.text();
        let described: Vec<_> = scrape.lines().filter(|line| line.starts_with("# TYPE ")).collect();
        let once: BTreeSet<_> = described.iter().collect();
        assert!(described.len() > 30, "{}", described.len());
        assert_eq!(described.len(), once.len(), "{scrape}");
        let names = |cluster: &str| {
            let label = format!("cluster=\"{cluster}\"");
            let series = scrape.lines().filter(|line| line.contains(&label));
            series.map(|line| line.split('{').next().unwrap_or_default().to_owned()).collect::<BTreeSet<_>>()
        };
        assert!(names("east").len() > 30, "{:?}", names("east"));
        assert_eq!(names("east"), names("west"));
        assert_eq!(scrape.ends_with("# EOF\n"), accept != "text/plain");
    }
}

/// Guards that two tables that lead to one cluster are named before there is a sandbox.
#[tokio::test(start_paused = true)]
async fn two_tables_of_one_cluster_are_named() {
    let [east, north] = [cluster(), cluster()];
    let daemon = daemon(&[("east", "", &east), ("north", "", &north), ("west", "", &east)]).await;
    let problems = async |name: &str| {
        let report = daemon.fetch(&format!("/api/clusters/{name}")).await.body;
        let problems = report["problems"].as_array().unwrap().iter();
        problems.filter(|problem| problem["check"] == "unique").cloned().collect::<Vec<_>>()
    };
    until("the second table is named", async || !problems("west").await.is_empty()).await;
    let west = problems("west").await;
    assert!(west[0]["message"].as_str().unwrap().ends_with("'east' is the same"), "{west:?}");
    assert_eq!((problems("east").await.len(), problems("north").await.len()), (0, 0));
}

/// Guards that a feature counts only if all clusters have it.
#[tokio::test(start_paused = true)]
async fn features_are_those_of_all_clusters() {
    let image = "lark_cli_init_image = 'lark:1'";
    for (east, west, all) in [(image, image, true), (image, "", false), ("", "", false)] {
        let daemon = daemon(&[("east", east, &cluster()), ("west", west, &cluster())]).await;
        let answer = daemon.fetch("/api/capabilities").await;
        assert_eq!(answer.body, json!({"lark_cli_init_image": all, "lark_cli_broker_image": false}));
    }
}

/// Guards that a stream counts once for the daemon, whether it is about all clusters or has the log of a sandbox on one, and
/// that the limit of their number is the daemon's.
#[tokio::test(start_paused = true)]
async fn the_streams_are_those_of_the_daemon() {
    let with_nodes = || {
        Cluster::start(Options { node: Some(NodeOptions::default()), ..Options::with_namespace(NAMESPACE) })
    };
    let clusters = ["east", "west"].map(|name| (name, "", with_nodes()));
    let daemon =
        Setup::new(&[("PROVISIONER_MAX_STREAMS", "3")]).clusters(clusters).start().await.ready().await;
    for cluster in ["east", "west"] {
        let body = json!({"sandbox_id": cluster, "cluster": cluster});
        assert_eq!(daemon.call(http::Method::POST, "/api/sandboxes", Some(body)).await.status, 200);
        daemon.until_phase(cluster, "Running").await;
    }
    let series = async || {
        let scrape = daemon.fetch("/metrics").await.text();
        let of_streams = scrape.lines().filter(|line| line.starts_with("sandbox_provisioner_event_streams"));
        of_streams.map(str::to_owned).collect::<Vec<_>>()
    };
    let gauges = |open: u8| {
        let open = format!("sandbox_provisioner_event_streams {open}");
        vec![open, "sandbox_provisioner_event_streams_max 3".to_owned()]
    };
    assert_eq!(series().await, gauges(0));
    let all = daemon.events("/api/events", None).await.unwrap();
    assert_eq!(series().await, gauges(1));
    let mut logs = vec![];
    for id in ["east", "west"] {
        logs.push(daemon.follow(&format!("/api/sandboxes/{id}/logs?follow=true")).await.unwrap());
    }
    assert_eq!(series().await, gauges(3));
    assert_eq!(daemon.events("/api/events", None).await.err().unwrap().status, 503);
    drop(all);
    assert_eq!(series().await, gauges(2));
}
