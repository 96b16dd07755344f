use std::{io::Write, path::PathBuf};

use http::Uri;
use tokio::time::Instant;

use super::{
    config::{apply, bare_host, server, service_account},
    *,
};
use crate::kubeconfig::{Content, Context, Login};

const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "https://127.0.0.1:6443"}}]
users: [{name: me, user: {token: s3cret-token}}]
"#;

/// A directory for one test, removed when dropped.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cluster-connect-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, content: &str) -> PathBuf {
        let path = self.0.join("config");
        std::fs::File::create(&path).unwrap().write_all(content.as_bytes()).unwrap();
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn options(kubeconfig: PathBuf) -> Options {
    Options {
        kubeconfig,
        setting: "KUBECONFIG_PATH".to_owned(),
        context: None,
        in_cluster: None,
        api_server: None,
        tls_server_name: None,
        insecure_skip_tls_verify: false,
    }
}

fn unconnected() -> Connection {
    Connection::new("rec", Limits::default())
}

async fn refusal(options: &Options) -> String {
    unconnected().open(options).await.map(|_| ()).unwrap_err().to_string()
}

/// Guards the wait for a missing kubeconfig, and that the error starts with the text of DeerFlow's provisioner.
#[tokio::test(start_paused = true)]
async fn a_missing_kubeconfig_is_waited_for_and_named() {
    let begun = Instant::now();
    let setting = "clusters.west.kubeconfig".to_owned();
    let text = refusal(&Options { setting, ..options("/nowhere/.kube/config".into()) }).await;
    assert!(text.starts_with("Kubeconfig not found at /nowhere/.kube/config"), "{text}");
    assert!(text.ends_with("or set clusters.west.kubeconfig to where it is"), "{text}");
    assert!(begun.elapsed() >= KUBECONFIG_WAIT && begun.elapsed() < KUBECONFIG_WAIT + Duration::from_secs(1));
}

/// Guards that a kubeconfig that appears late or is still being written is found.
#[tokio::test(start_paused = true)]
async fn a_kubeconfig_that_comes_late_is_found() {
    let place = Place::new("late");
    let path = place.file("");
    let options = options(path);
    let write = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        place.file(KUBECONFIG);
    };
    let (configuration, ()) = futures::future::join(Configuration::find(&options), write).await;
    assert_eq!(configuration.unwrap().context.server, "https://127.0.0.1:6443/");
}

/// Guards that each kind of unusable kubeconfig has its own error, returned at once, that does not quote the file.
#[tokio::test(start_paused = true)]
async fn a_bad_kubeconfig_is_named_and_not_quoted() {
    let place = Place::new("bad");
    let text = refusal(&options(place.0.clone())).await;
    assert!(text.starts_with("Kubeconfig path is a directory"), "{text}");
    assert!(text.ends_with("or set KUBECONFIG_PATH to a file"), "{text}");
    for (content, why) in [
        ("s3cret: [s3cret", "it is not a valid kubeconfig: see line 1"),
        ("users: 7\ns3cret: s3cret", "it is not a valid kubeconfig: see line 1"),
        ("apiVersion: v1\nkind: Config\n", "it names no current-context"),
        ("current-context: s3cret\n", "its current-context is not among its contexts"),
        (&KUBECONFIG.replace("server: \"https://127.0.0.1:6443\"", ""), "its cluster has no server"),
        (
            &KUBECONFIG.replace("https://127.0.0.1:6443", "https://s3cret host"),
            "its cluster's server is not a URL",
        ),
        (
            &KUBECONFIG.replace("server:", "certificate-authority-data: s3cret!, server:"),
            "its certificate authority cannot be loaded: not valid base64",
        ),
    ] {
        let begun = Instant::now();
        let text = refusal(&options(place.file(content))).await;
        assert!(text.ends_with(why), "{content}: {text}");
        assert!(!text.contains("s3cret"), "{text}");
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}

/// Guards that the certificate is still checked against the name of the kubeconfig's server if the address changes.
#[tokio::test(start_paused = true)]
async fn an_api_server_changes_the_address_only() {
    let place = Place::new("address");
    let path = place.file(KUBECONFIG);
    let applied = |text: &str, change: fn(&mut Options)| {
        let mut options = options(path.clone());
        change(&mut options);
        apply(&options, Context::read(text.as_bytes(), &path, None).unwrap())
    };
    let elsewhere = |options: &mut Options| {
        options.api_server = Some(Uri::from_static("https://host.docker.internal:26443"));
    };

    let context = applied(KUBECONFIG, |_| ());
    assert_eq!((context.tls_server_name, context.insecure), (None, false));

    let context = applied(KUBECONFIG, elsewhere);
    assert_eq!(context.server, "https://host.docker.internal:26443");
    assert_eq!(context.tls_server_name.as_deref(), Some("127.0.0.1"));
    assert!(!context.insecure);

    let context = applied(KUBECONFIG, |options| {
        options.api_server = Some(Uri::from_static("https://host.docker.internal:26443"));
        options.tls_server_name = Some("kubernetes".to_owned());
    });
    assert_eq!(context.tls_server_name.as_deref(), Some("kubernetes"));

    let context = applied(KUBECONFIG, |options| options.insecure_skip_tls_verify = true);
    assert!(context.insecure);

    // The kubeconfig's own TLS server name takes precedence, and an address without TLS needs none.
    let named = KUBECONFIG.replace("server:", "tls-server-name: kind, server:");
    assert_eq!(applied(&named, elsewhere).tls_server_name.as_deref(), Some("kind"));
    let plain = applied(KUBECONFIG, |o| o.api_server = Some(Uri::from_static("http://127.0.0.1:8001")));
    assert_eq!(plain.tls_server_name, None);
    assert_eq!(bare_host("[::1]"), "::1");
}

/// Guards that only the current cluster's proxy counts, and not if the API server's address is replaced; and that a proxy that
/// cannot be used is refused by name.
#[tokio::test]
async fn a_proxy_counts_for_its_own_address_only() {
    let place = Place::new("proxy");
    let proxied = |url: &str| KUBECONFIG.replace("server:", &format!("proxy-url: {url:?}, server:"));
    for url in ["http://proxy:3128", "http://me:s3cret@proxy:3128", "socks5://proxy:1080"] {
        unconnected().open(&options(place.file(&proxied(url)))).await.unwrap();
    }
    for url in ["https://proxy:3128", "proxy:3128", "ftp://proxy", "http://us er@proxy"] {
        let connection = unconnected();
        let mut options = options(place.file(&proxied(url)));
        let error = connection.open(&options).await.unwrap_err().to_string();
        assert!(error.contains("its cluster's proxy-url is not"), "{url}: {error}");
        assert_eq!(connection.unready_reason(), Some(error), "it is the reason of each failed call");
        options.api_server = Some(Uri::from_static("https://127.0.0.1:1"));
        connection.open(&options).await.unwrap();
    }
}

/// Guards that whom the user acts as is refused by name if a header cannot have it, and that empty values are absent.
#[tokio::test]
async fn an_impersonation_that_cannot_be_sent_is_named() {
    let place = Place::new("impersonation");
    let user = |fields: &str| KUBECONFIG.replace("token: s3cret-token", &format!("token: t, {fields}"));
    for fields in [
        r#"as: "s3cret\n""#,
        r#"as: me, as-uid: "s3cret\r""#,
        r#"as: me, as-groups: ["a", "s3cret\0"]"#,
        r#"as: me, as-user-extra: {k: ["s3cret\n"]}"#,
    ] {
        let error = refusal(&options(place.file(&user(fields)))).await;
        assert!(
            error.contains("its user's as, as-uid, as-groups or as-user-extra cannot be sent"),
            "{error}"
        );
        assert!(!error.contains("s3cret"), "{error}");
    }
    for fields in [
        "as: me, as-groups: [a, b], as-user-extra: {k: [v]}",
        r#"as: "", as-groups: null, as-user-extra: {}"#,
    ] {
        unconnected().open(&options(place.file(&user(fields)))).await.unwrap();
    }
}

/// Guards what a Pod's service account needs: an address and a token. Its namespace is not read, and its certificate
/// authority only if it is there.
#[test]
fn a_service_account_needs_no_more_than_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let address = |host: &str, port: &str| ServiceAddress { host: host.to_owned(), port: port.to_owned() };
    let context = service_account(&address("10.96.0.1", "443"), directory.path()).unwrap();
    assert_eq!((context.server.to_string().as_str(), context.authority), ("https://10.96.0.1:443/", None));
    let token = directory.path().join("token");
    assert!(matches!(context.login, Login::TokenFile { path, fallback: None } if path == token));
    let authority = directory.path().join("ca.crt");
    std::fs::write(&authority, "").unwrap();
    let context = service_account(&address("fd00::1", "6443"), directory.path()).unwrap();
    assert_eq!(context.server, "https://[fd00::1]:6443/");
    assert_eq!(context.authority, Some(Content::File(authority)));
    assert!(service_account(&address("a b", "443"), directory.path()).is_err());
}

/// Guards that an API server that answers without TLS is named as such, and not with the words of the TLS library.
#[tokio::test]
async fn a_server_without_tls_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = Place::new("without-tls");
    let mut options = options(place.file(KUBECONFIG));
    options.api_server = Some(format!("https://{}", listener.local_addr().unwrap()).parse().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let connection = unconnected();
    connection.open(&options).await.unwrap();
    let request = Request::get("/version").body(Vec::new()).unwrap();
    let calls = connection.calls().unwrap();
    let error = calls.request::<serde_json::Value>(request, Duration::from_secs(5)).await.unwrap_err();
    let failed = crate::fault::classify(crate::fault::Verb::Get, &error);
    assert!(
        failed.fault.message.contains("the server answers without TLS; correct the port, or use http://"),
        "{}",
        failed.fault.message
    );
}

/// Guards that connecting succeeds without a reachable API server, and that `Debug` contains no secret.
#[tokio::test]
async fn connecting_makes_no_call() {
    let place = Place::new("lazy");
    let mut options = options(place.file(KUBECONFIG));
    // Nothing listens on this port, so a call would fail.
    options.api_server = Some(Uri::from_static("https://127.0.0.1:1"));
    let connection = unconnected();
    assert_eq!(connection.unready_reason().as_deref(), Some("not connected yet"));
    connection.open(&options).await.unwrap();
    assert_eq!((connection.namespace(), connection.unready_reason()), ("rec", None));
    assert!(!format!("{connection:?}{options:?}").contains("s3cret"));
    let request = Request::get("/version").body(Vec::new()).unwrap();
    let calls = connection.calls().unwrap();
    let error = calls.request::<serde_json::Value>(request, Duration::from_secs(5)).await.unwrap_err();
    let failed = crate::fault::classify(crate::fault::Verb::Get, &error);
    assert_eq!(failed.fault.kind, lifecycle::error::ClusterErrorKind::Unreachable, "{failed:?}");
    assert_eq!(failed.certainty, crate::fault::Certainty::NotDone);
    assert!(
        failed.fault.message.ends_with(", at https://127.0.0.1:1"),
        "it says where: {}",
        failed.fault.message
    );
    let secret = Uri::from_static("https://me:s3cret@[::1]:6443/path?token=s3cret");
    assert_eq!(server(&secret), "https://[::1]:6443");
}
