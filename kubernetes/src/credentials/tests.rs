use std::{os::unix::fs::PermissionsExt as _, path::Path, time::Instant};

use super::*;

/// A kubeconfig's directory with the files of one test.
struct Directory {
    path: tempfile::TempDir,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

/// Held by each test that runs programs. A program that is being written cannot be run, and a process that another
/// test starts meanwhile inherits the open file.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

impl Directory {
    async fn new() -> Self {
        Self { _turn: TURN.lock().await, path: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.path.path()
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path().join(name), content).unwrap();
    }

    /// Writes a credential plugin that is this shell script.
    fn plugin(&self, script: &str) {
        self.write("plug", &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(self.path().join("plug"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    async fn load(&self, cluster: &str, user: &str) -> Result<Loaded, CredentialsError> {
        let text = format!(
            "current-context: x\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: \"https://api\", {cluster}}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]\n"
        );
        load(&Context::read(text.as_bytes(), self.path(), None).unwrap()).await
    }

    /// Loads the user and returns the `Authorization` header.
    async fn header(&self, user: &str) -> Result<String, String> {
        let loaded = self.load("", user).await.map_err(|error| error.to_string())?;
        let value = loaded.credentials.authorization.unwrap();
        assert!(value.is_sensitive());
        Ok(value.to_str().unwrap().to_owned())
    }
}

const EXEC: &str = "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plug, provideClusterInfo: true, \
                    env: [{name: FROM_KUBECONFIG, value: here}], args: [one]}";

/// Returns a script that prints a credential with this status.
fn printing(status: &str) -> String {
    format!(
        "printf '%s' '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{status}}}'"
    )
}

/// Guards that white space around a token in a file does not count, and that a token that a header cannot have is
/// refused in words.
#[tokio::test]
async fn a_token_file_may_end_in_a_line_end() {
    let directory = Directory::new().await;
    for content in ["good", "good\n", "good\r\n", "\n good \n"] {
        directory.write("tok", content);
        assert_eq!(directory.header("tokenFile: tok").await.unwrap(), "Bearer good", "{content:?}");
    }
    for (content, why) in
        [("", "tok is empty"), (" \n", "tok is empty"), ("go\nod", "cannot be sent in a header")]
    {
        directory.write("tok", content);
        let error = directory.header("tokenFile: tok").await.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    for token in ["good\\n", "\\u0007good", "go\\rod"] {
        let error = directory.header(&format!("token: \"{token}\"")).await.unwrap_err();
        assert!(error.contains("cannot be sent in a header") && !error.contains("good"), "{error}");
    }
    let error = directory.header("tokenFile: absent").await.unwrap_err();
    assert!(
        error.contains("user's token file cannot be read from") && error.contains("not found"),
        "{error}"
    );
    assert_eq!(directory.header("token: old, tokenFile: absent").await.unwrap(), "Bearer old");
    directory.write("tok", "\n");
    assert_eq!(
        directory.header("token: old, tokenFile: tok").await.unwrap(),
        "Bearer old",
        "the file is empty"
    );
    directory.write("tok", "new\n");
    assert_eq!(directory.header("token: old, tokenFile: tok").await.unwrap(), "Bearer new");
    assert_eq!(directory.header("username: me, password: pw").await.unwrap(), "Basic bWU6cHc=");
}

/// Guards that a path that is not a file of a usual size is refused with its use.
#[tokio::test]
async fn what_is_not_a_usual_file_is_named() {
    let directory = Directory::new().await;
    std::fs::create_dir(directory.path().join("folder")).unwrap();
    let identity =
        |certificate: &str| format!("client-certificate: {certificate}, client-key: {certificate}");
    for (file, why) in [("folder", "is a directory"), ("/dev/zero", "file too large"), ("a/b", "not found")] {
        for (cluster, user, part) in [
            (format!("certificate-authority: {file}"), "token: t".to_owned(), "certificate authority"),
            (String::new(), identity(file), "user's client certificate"),
            (String::new(), format!("tokenFile: {file}"), "user's token file"),
        ] {
            let error = directory.load(&cluster, &user).await.unwrap_err().to_string();
            assert!(error.starts_with(&format!("its {part} cannot be read from")), "{error}");
            assert!(error.contains(file) && error.contains(why), "{error}");
        }
    }
}

/// Guards that files are read only if they are needed: without a check of the certificate its authority is not.
#[tokio::test]
async fn only_files_that_are_needed_are_read() {
    let directory = Directory::new().await;
    let cluster = "certificate-authority: absent";
    let error = directory.load(cluster, "token: t").await.unwrap_err().to_string();
    assert!(error.contains("certificate authority cannot be read from"), "{error}");
    let insecure = format!("{cluster}, insecure-skip-tls-verify: true");
    assert_eq!(directory.load(&insecure, "token: t").await.unwrap().credentials.authority, None);
}

/// Guards the input of a plugin, and that it is run once.
#[tokio::test]
async fn a_plugin_is_run_once_and_told_about_the_cluster() {
    let directory = Directory::new().await;
    directory.plugin(&format!(
        "echo run >> {0}/runs\necho \"$FROM_KUBECONFIG $1\" > {0}/told\n\
         echo \"$KUBERNETES_EXEC_INFO\" > {0}/info\n{1}",
        directory.path().display(),
        printing(r#"{"token":"good","expirationTimestamp":"2030-01-01T00:00:00Z"}"#)
    ));
    let loaded = directory.load("certificate-authority-data: YQ==", EXEC).await.unwrap();
    assert_eq!(loaded.credentials.authorization.unwrap(), "Bearer good");
    assert_eq!(loaded.expires_at, Some("2030-01-01T00:00:00Z".parse().unwrap()));
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!(read("runs").lines().count(), 1);
    assert_eq!(read("told"), "here one\n");
    let info: serde_json::Value = serde_json::from_str(&read("info")).unwrap();
    assert_eq!(
        info,
        serde_json::json!({
            "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "spec": {"interactive": false, "cluster": {"server": "https://api", "certificate-authority-data": "YQ=="}},
        })
    );
}

/// Guards that a plugin may give a client certificate, alone or beside a token.
#[tokio::test]
async fn a_plugin_may_give_a_certificate() {
    let directory = Directory::new().await;
    directory.plugin(&printing(r#"{"clientCertificateData":"cert","clientKeyData":"key"}"#));
    let credentials = directory.load("", EXEC).await.unwrap().credentials;
    assert_eq!(credentials.identity, Some((Secret(b"cert".to_vec()), Secret(b"key".to_vec()))));
    assert_eq!(credentials.authorization, None);
    for (status, has_identity) in [
        (r#"{"token":"good","clientCertificateData":"","clientKeyData":""}"#, false),
        (
            r#"{"token":"good","clientCertificateData":null,"clientKeyData":null,"expirationTimestamp":null}"#,
            false,
        ),
        (r#"{"token":"good","clientCertificateData":"cert","clientKeyData":"key"}"#, true),
    ] {
        directory.plugin(&printing(status));
        let credentials = directory.load("", EXEC).await.unwrap().credentials;
        assert_eq!(credentials.identity.is_some(), has_identity, "{status}");
        assert_eq!(credentials.authorization.unwrap(), "Bearer good");
    }
}

/// Guards that every failure of a plugin names the plugin and what happened, and shows nothing that it printed.
#[tokio::test]
async fn a_plugin_that_fails_is_named() {
    let directory = Directory::new().await;
    let error = directory.header(EXEC).await.unwrap_err();
    assert!(error.contains("plug\" was not found"), "{error}");
    directory.write("plug", "#!/bin/sh\n");
    let error = directory.header(EXEC).await.unwrap_err();
    assert!(error.contains("plug\" cannot be started (permission denied)"), "{error}");
    for (script, why) in [
        ("echo s3cret >&2; echo s3cret; exit 3".to_owned(), "failed with exit status: 3; run it by hand"),
        ("kill -9 $$".to_owned(), "failed with signal: 9"),
        ("echo s3cret".to_owned(), "not an ExecCredential in JSON"),
        (String::new(), "not an ExecCredential in JSON"),
        (r#"echo '{"apiVersion":"v1","kind":"Status"}'"#.to_owned(), "its kind is not ExecCredential"),
        ("exec cat /dev/zero".to_owned(), "more than 1 MiB"),
        (r#"echo '{"kind":"ExecCredential"}'"#.to_owned(), "its apiVersion is not the one"),
        (
            printing(r#"{"token":"s3cret","clientCertificateData":""}"#) + "; exit 1",
            "failed with exit status: 1",
        ),
        (printing("null"), "it has no status"),
        (
            printing(r#"{"clientCertificateData":"","clientKeyData":""}"#),
            "its client certificate are missing",
        ),
        (printing("{}"), "its token and its client certificate are missing"),
        (printing(r#"{"token":""}"#), "its token and its client certificate are missing"),
        (
            printing(r#"{"token":"s3cret","clientKeyData":"s3cret"}"#),
            "a client certificate but no client key",
        ),
        (printing(r#"{"token":"s3cret","expirationTimestamp":"soon"}"#), "is not a time"),
        (
            printing(r#"{"token":"x"}"#).replace("k8s.io/v1", "k8s.io/v1beta1"),
            "its apiVersion is not the one",
        ),
    ] {
        directory.plugin(&script);
        let error = directory.header(EXEC).await.unwrap_err();
        assert!(error.contains("plug\"") && error.contains(why), "{script}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

/// Guards that a plugin and a file that hang end by themselves, and that nothing keeps the runtime from ending.
#[test]
fn what_hangs_has_an_end() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = runtime.block_on(Directory::new());
    directory.plugin("exec sleep 600");
    let fifo = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let began = Instant::now();
    runtime.block_on(async {
        let plugin = tokio::time::timeout(Duration::from_millis(200), directory.header(EXEC)).await;
        assert!(plugin.is_err(), "the plugin still runs");
        let error = directory.header("tokenFile: pipe").await.unwrap_err();
        assert!(error.contains("timed out"), "{error}");
    });
    runtime.shutdown_background();
    assert!(began.elapsed() < READ_TIMEOUT * 2, "{:?}", began.elapsed());
}
