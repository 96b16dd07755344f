//! Faults of the kubeconfig, the credentials and the way to the API server.

use std::{fs, path::PathBuf};

use doctor::{Cluster as Where, Selection};
use jiff::{SignedDuration, Timestamp};
use simcluster::Kubeconfig;
use tokio::time::Instant;

use crate::{
    certificates::pem,
    fixture::{Case, base64, connect, ended_in_time, finds, free_address, serve, subject, template},
};

/// A directory for kubeconfigs of a healthy cluster that is served over HTTP.
struct Files {
    case: Case,
    url: String,
    folder: tempfile::TempDir,
}

// === impl Files ===

impl Files {
    async fn new() -> Self {
        let case = Case::healthy().await;
        let url = serve(&case.cluster).await;
        Self { case, url, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Writes a kubeconfig whose user has these lines.
    fn write(&self, user: &str) {
        let text = Kubeconfig::new(&self.url).to_string();
        fs::write(self.path(), text.replace("user: {}", &format!("user:\n{user}"))).unwrap();
    }

    async fn finds(&self, fault: &str, codes: &[&str]) {
        let subject = subject(template(), Where::Configured(connect(self.path())));
        finds(fault, &subject, &Selection::default(), codes).await;
    }
}

/// Guards that a healthy cluster behind a kubeconfig passes with no warning.
#[tokio::test]
async fn a_healthy_kubeconfig_passes() {
    let files = Files::new().await;
    files.write("    {}");
    files.finds("nothing", &[]).await;
    drop(files.case);
}

/// Guards the code of each fault of the file.
#[tokio::test]
async fn faults_of_the_file() {
    let files = Files::new().await;
    files.finds("missing", &["SP0201"]).await;
    fs::create_dir(files.path()).unwrap();
    files.finds("a directory", &["SP0202"]).await;
    fs::remove_dir(files.path()).unwrap();
    fs::write(files.path(), vec![b' '; 5 << 20]).unwrap();
    files.finds("too large to read", &["SP0203"]).await;
    fs::write(files.path(), "clusters: [\n").unwrap();
    files.finds("not YAML", &["SP0204"]).await;
    fs::write(files.path(), "apiVersion: v1\nkind: Config\n").unwrap();
    files.finds("no context", &["SP0204"]).await;
}

/// Guards the code of each fault of the credentials.
#[tokio::test]
async fn faults_of_the_credentials() {
    let files = Files::new().await;
    for (fault, user, code) in [
        ("no token file", "    tokenFile: /nowhere/token", "SP0205"),
        ("an empty token file", "    tokenFile: /dev/null", "SP0205"),
        ("a token in two lines", "    token: \"a\\nb\"", "SP0205"),
        ("no certificate file", "    client-certificate: /nowhere/c\n    client-key: /nowhere/k", "SP0205"),
        ("no plugin", &exec("no-such-plugin-anywhere"), "SP0206"),
        ("a plugin that fails", &exec("/bin/false"), "SP0206"),
        ("a plugin without output", &exec("/bin/true"), "SP0206"),
        ("a plugin that hangs", &exec("/bin/cat\n      args: [/dev/zero]"), "SP0206"),
        (
            "a plugin with a terminal",
            &format!("{}\n      interactiveMode: Always", exec("/bin/true")),
            "SP0206",
        ),
        ("not a certificate", "    client-certificate-data: eA==\n    client-key-data: eA==", "SP0207"),
    ] {
        files.write(user);
        files.finds(fault, &[code]).await;
    }
    drop(files.case);
}

fn exec(command: &str) -> String {
    format!("    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: {command}")
}

/// Guards that a plugin that does not end is a finding within the time of a diagnosis.
#[tokio::test]
async fn a_plugin_that_hangs_is_found_in_time() {
    let files = Files::new().await;
    files.write(&exec("/bin/sleep\n      args: [\"60\"]"));
    let begin = Instant::now();
    files.finds("a plugin that sleeps", &["SP0206"]).await;
    ended_in_time(begin, "a plugin that sleeps");
}

/// Guards that the ends of tokens and client certificates are found before and after.
#[tokio::test]
async fn credentials_expire() {
    let files = Files::new().await;
    for (hours, codes) in [(-1, &["SP0209"][..]), (2, &["SP0209"]), (48, &[])] {
        let end = (Timestamp::now() + SignedDuration::from_hours(hours)).as_second();
        files.write(&format!(
            "    token: e30.{}.c2ln",
            base64(format!("{{\"exp\":{end}}}").as_bytes(), false)
        ));
        files.finds(&format!("a token with {hours} h"), codes).await;
    }
    for (days, codes) in [(-1, &["SP0208"][..]), (3, &["SP0208"]), (60, &[])] {
        let (certificate, key) = pem(&["admin"], -10, days);
        let user = format!(
            "    client-certificate-data: {}\n    client-key-data: {}",
            base64(certificate.as_bytes(), true),
            base64(key.as_bytes(), true)
        );
        files.write(&user);
        files.finds(&format!("a certificate with {days} days"), codes).await;
    }
}

/// Guards the code of each step on the way to the API server.
#[tokio::test]
async fn the_api_server_is_not_reached() {
    let files = Files::new().await;
    let check = async |server: &str, is_container: bool, fault: &str, code: &str| {
        fs::write(files.path(), Kubeconfig::new(server).to_string()).unwrap();
        let mut subject = subject(template(), Where::Configured(connect(files.path())));
        subject.machine.is_container = is_container;
        finds(fault, &subject, &Selection::default(), &[code]).await;
    };
    let closed = format!("http://{}", free_address());
    check(&closed, true, "the container itself", "SP0301").await;
    check(&closed.replace("127.0.0.1", "localhost"), true, "the container itself, by name", "SP0301").await;
    check(&closed.replace("127.0.0.1", "0.0.0.0"), true, "the container itself, by any address", "SP0301")
        .await;
    check("http://nowhere.invalid:6443", false, "no address", "SP0302").await;
    check(&closed, false, "refused", "SP0303").await;
}

/// Guards that an in-container loopback address that works, as in the host's network, is not a fault.
#[tokio::test]
async fn a_loopback_address_may_work_in_a_container() {
    let files = Files::new().await;
    files.write("    {}");
    let mut subject = subject(template(), Where::Configured(connect(files.path())));
    subject.machine.is_container = true;
    finds("the host's network", &subject, &Selection::default(), &[]).await;
}
