//! No output contains a secret.

use doctor::{Cluster as Where, DaemonUrl, Format, Selection};
use simcluster::{Effect, Kubeconfig, Refusal, Rule};

use crate::fixture::{Case, connect, report, serve, server, subject, template};

const MARK: &str = "planted-secret-7f3a";

/// Guards that the token of the kubeconfig and the API key stand in no form of the output, also if the cluster or the daemon
/// repeats them.
#[tokio::test]
async fn secrets_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let case = Case::healthy().await;
    let url = serve(&case.cluster).await;
    std::fs::write(&path, Kubeconfig::new(&url).token(MARK).to_string()).unwrap();
    let says = |message: String| {
        Rule::new(Effect::Refuse(Refusal::Other { code: 403, reason: "X".into(), message }))
    };
    for rule in [
        None,
        Some(says(format!("no right for Bearer {MARK}"))),
        Some(Rule::new(Effect::Refuse(Refusal::Unauthorized))),
    ] {
        case.cluster.clear_faults();
        if let Some(rule) = rule {
            case.cluster.fault(rule);
        }
        let mut subject = subject(template(), Where::Configured(connect(&path)));
        subject.daemon.key = Some(MARK.to_owned().into());
        subject.daemon.url = DaemonUrl::of(server(|_| (401, format!("Bearer {MARK}"))).await);
        let report = report(&subject, &Selection::default()).await;
        for format in [Format::Table, Format::Short, Format::Json] {
            assert!(!format.show(&report, None).contains(MARK));
        }
        assert!(!format!("{subject:?}").contains(MARK));
    }
}

/// Guards that invalid kubeconfigs are described without their content.
#[tokio::test]
async fn invalid_kubeconfigs_are_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let exec = format!(
        "user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: /bin/sh\n      args: [-c, \
         'echo {MARK}; exit 1']"
    );
    let good = Kubeconfig::new("http://127.0.0.1:1").to_string();
    for text in [
        format!("clusters: [{MARK}"),
        format!("{good}\ntoken: [{MARK}\n"),
        good.replace("user: {}", &format!("user:\n    token: \"{MARK}\\n\"")),
        good.replace("user: {}", &exec),
        Kubeconfig::new(format!("http://user:{MARK}@127.0.0.1:1")).to_string(),
    ] {
        std::fs::write(&path, &text).unwrap();
        let subject = subject(template(), Where::Configured(connect(&path)));
        let report = report(&subject, &Selection::default()).await;
        assert!(!report.failures().is_empty(), "{text}");
        assert!(!Format::Table.show(&report, None).contains(MARK), "{text}");
    }
}
