use super::*;

/// A kubeconfig whose cluster and user have these further fields, in YAML's flow style.
fn with(cluster: &str, user: &str) -> String {
    format!(
        "current-context: x\n\
         contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"https://api:6443\", {cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    )
}

fn read(text: impl AsRef<[u8]>) -> Result<Context, KubeconfigError> {
    Context::read(text.as_ref(), Path::new("/home/me/.kube"), None)
}

fn inline(text: &str) -> Content {
    Content::Inline(Secret(text.as_bytes().to_vec()))
}

/// Returns the token that the user logs in with.
fn token(text: impl AsRef<[u8]>) -> String {
    match read(text).unwrap().login {
        Login::Token(token) => token.expose_secret().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// Guards that base64 is read however it is wrapped.
#[test]
fn base64_may_have_line_ends() {
    for written in [
        "certificate-authority-data: YXV0aG9yaXR5",
        "certificate-authority-data: \"\\tYXV0\\taG9yaXR5\\t\"",
        "certificate-authority-data: \"\\n\\r\\nYXV0aG9yaXR5\"",
        "certificate-authority: ignored, certificate-authority-data: YXV0aG9yaXR5",
        "certificate-authority-data: \"YXV0aG9y\\naXR5\"",
        "certificate-authority-data: \"YXV0aG9y\\r\\naXR5\\r\\n\"",
        "certificate-authority-data: \"YXV0aG9y aXR5\\n\"",
    ] {
        assert_eq!(
            read(with(written, "token: good")).unwrap().authority,
            Some(inline("authority")),
            "{written}"
        );
    }
    let block = "current-context: x\n\
                 contexts: [{name: x, context: {cluster: c, user: u}}]\n\
                 clusters:\n- name: c\n  cluster:\n    server: https://api\n    certificate-authority-data: |\n      \
                 YXV0\n      aG9yaXR5\n\
                 users:\n- name: u\n  user:\n    client-certificate-data: |\n      Y2Vy\n      dA==\n    \
                 client-key-data: |\n      a2V5\n";
    let context = read(block).unwrap();
    assert_eq!(context.authority, Some(inline("authority")));
    assert_eq!(context.identity, Some((inline("cert"), inline("key"))));
    assert_eq!(
        read(with("certificate-authority-data: '%'", "")).unwrap_err(),
        KubeconfigError::InvalidBase64(Part::Authority)
    );
}

/// Guards that an empty string is an absent value, in every field that may be absent.
#[test]
fn an_empty_string_counts_as_absent() {
    for user in [
        "token: good, tokenFile: \"\"",
        "token: good, username: \"\", password: \"\"",
        "token: good, client-certificate-data: \"\", client-key-data: \"\"",
        "token: good, client-certificate: \"\", client-key: \"\"",
        "token: good, as: \"\"",
        "token: good, client-key-data: null",
    ] {
        let text =
            with("certificate-authority: \"\", certificate-authority-data: \"\", proxy-url: \"\"", user);
        assert_eq!(token(&text), "good", "{user}");
        let context = read(&text).unwrap();
        assert_eq!((context.authority, context.identity, context.proxy), (None, None, None), "{user}");
        assert_eq!(context.impersonation, Impersonation::default());
    }
    let file = read(with("", "token: \"\", tokenFile: tok")).unwrap().login;
    assert!(
        matches!(&file, Login::TokenFile { path, fallback: None } if path == Path::new("/home/me/.kube/tok"))
    );
    let exec = "token: \"\", exec: {apiVersion: client.authentication.k8s.io/v1, command: plug}";
    assert!(matches!(read(with("", exec)).unwrap().login, Login::Plugin(_)));
    assert_eq!(read(with("tls-server-name: \"\"", "")).unwrap().tls_server_name, None);
    assert_eq!(
        read(with("", "").replace("https://api:6443", "")).unwrap_err(),
        KubeconfigError::NoServer,
        "a server must be there"
    );
}

/// Guards that of a key that is given twice the last counts, at every level.
#[test]
fn a_key_may_be_given_twice() {
    assert_eq!(token(with("", "token: old, token: good")), "good");
    let context = read(with("server: \"https://other:1\"", "token: good")).unwrap();
    assert_eq!(context.server, "https://other:1/");
    assert_eq!(token(format!("preferences: {{}}\npreferences: {{}}\n{}", with("", "token: good"))), "good");
}

/// Guards the same in the entries of lists and in a plugin's cluster, and for a merge key beside the key itself.
#[test]
fn a_key_may_be_given_twice_at_every_level() {
    let text = "current-context: old\n\
                contexts: [{name: old, name: x, context: {user: old}, context: {cluster: d, cluster: c, user: u}}]\n\
                base: &base {server: \"https://old\"}\n\
                clusters: [{name: c, cluster: {<<: *base, server: \"https://api\"}}]\n\
                users: []\n\
                users: [{name: u, user: {exec: {command: old, command: plug, apiVersion: old,\
                apiVersion: client.authentication.k8s.io/v1, env: [{name: A, value: old, value: new}]}}}]\n\
                current-context: x\n";
    let context = read(text).unwrap();
    assert_eq!(context.server, "https://api/");
    let Login::Plugin(plugin) = context.login else { panic!("{:?}", context.login) };
    assert_eq!(plugin.command, Path::new("plug"));
    assert_eq!(plugin.env[0].1.expose_secret(), "new");
}

/// Guards that an entry without a name is skipped, as one of another name is.
#[test]
fn an_entry_without_a_name_is_skipped() {
    let text = "current-context: x\n\
                contexts: [{context: {cluster: d}}, {name: null}, {name: x, context: {cluster: c, user: u}}]\n\
                clusters: [{cluster: {server: \"%\"}}, {name: \"\"}, {name: c, cluster: {server: \"http://api\", \
                extensions: [{extension: {version: v1.34.0}}, {name: cluster_info}]}}]\n\
                users: [{user: {token: old}}, {name: u, user: {token: good}}]\n";
    assert_eq!(token(text), "good");
}

/// Guards that every encoding with a byte order mark is read, and that half a character is an error, not a panic.
#[test]
fn a_byte_order_mark_names_the_encoding() {
    let text = with("", "token: good");
    let utf16 = |mark: [u8; 2], unit: fn(u16) -> [u8; 2]| {
        let mut bytes = mark.to_vec();
        bytes.extend(text.encode_utf16().flat_map(unit));
        bytes
    };
    let mut marked = vec![0xEF, 0xBB, 0xBF];
    marked.extend(text.as_bytes());
    assert_eq!(token(marked), "good");
    assert_eq!(token(utf16([0xFF, 0xFE], u16::to_le_bytes)), "good");
    assert_eq!(token(utf16([0xFE, 0xFF], u16::to_be_bytes)), "good");
    assert_eq!(token(text.replace('\n', "\r\n")), "good");
    for broken in [&[0xFF, 0xFE, 0x61][..], &[0xFE, 0xFF, 0xD8, 0x00], &[0xFF], &[0x61, 0xFF]] {
        assert_eq!(read(broken).unwrap_err(), KubeconfigError::NotText, "{broken:?}");
    }
}

/// Guards that a server without a scheme is reached over HTTPS exactly if anything about TLS is set.
#[test]
fn a_server_may_lack_its_scheme() {
    for (server, cluster, user, expected) in [
        ("api", "", "", "http://api/"),
        ("api:8080", "", "token: t", "http://api:8080/"),
        ("10.0.0.1:6443", "insecure-skip-tls-verify: true", "", "https://10.0.0.1:6443/"),
        ("[::1]:6443", "certificate-authority: ca", "", "https://[::1]:6443/"),
        ("api:6443", "", "client-certificate: c, client-key: k", "https://api:6443/"),
        ("HTTPS://API:6443", "", "", "https://api:6443/"),
        ("https://api/k8s/clusters/c-1", "", "", "https://api/k8s/clusters/c-1"),
        ("https://api:6443/", "", "", "https://api:6443/"),
        ("https://[fd00::1]:6443/path/", "", "", "https://[fd00::1]:6443/path/"),
        ("https://me:pw@api", "", "", "https://me:pw@api/"),
        ("api:6443/", "tls-server-name: kind", "", "http://api:6443/"),
    ] {
        let text = with(cluster, user).replace("https://api:6443", server);
        let uri = read(text).unwrap().server;
        assert_eq!(uri.to_string().to_lowercase(), expected.to_lowercase(), "{server}");
    }
    for server in ["api/path", "https://a b", "api:port", "api:70000", "::1", "http://", "ftp://api"] {
        let text = with("", "").replace("https://api:6443", server);
        assert_eq!(read(text).unwrap_err(), KubeconfigError::InvalidServer, "{server}");
    }
}

/// Guards the order of precedence, which is that of Kubernetes' own clients.
#[test]
fn the_way_to_log_in_is_chosen_as_kubectl_does() {
    let exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: plug}";
    assert_eq!(token(with("", &format!("token: good, {exec}"))), "good");
    let login = read(with("", "token: old, tokenFile: /run/tok")).unwrap().login;
    let Login::TokenFile { path, fallback: Some(fallback) } = login else { panic!("{login:?}") };
    assert_eq!((path.to_str(), fallback.expose_secret()), (Some("/run/tok"), "old"));
    let login = read(with("", &format!("username: me, password: pw, {exec}"))).unwrap().login;
    assert!(matches!(login, Login::Basic(name, _) if name == "me"));
    for user in ["username: me, token: t", "username: me, password: pw, tokenFile: t"] {
        assert_eq!(read(with("", user)).unwrap_err(), KubeconfigError::TwoLogins, "{user}");
    }
    let oidc = "auth-provider: {name: oidc, config: {id-token: good, client-id: c}}";
    assert_eq!(token(with("", oidc)), "good");
    for user in ["auth-provider: {name: gcp}", "auth-provider: {name: oidc, config: {}}", "auth-provider: {}"]
    {
        assert_eq!(read(with("", user)).unwrap_err(), KubeconfigError::AuthProvider, "{user}");
    }
    for user in ["client-certificate: c", "client-key-data: a2V5"] {
        assert_eq!(read(with("", user)).unwrap_err(), KubeconfigError::HalfIdentity, "{user}");
    }
}

/// Guards what is taken from a plugin's entry, and that a plugin that cannot work is named.
#[test]
fn a_plugins_entry_is_read() {
    let plugin = |fields: &str| {
        let exec = format!("exec: {{apiVersion: client.authentication.k8s.io/v1, {fields}}}");
        match read(with("tls-server-name: kind, certificate-authority-data: YQ==", &exec)).map(|c| c.login) {
            Ok(Login::Plugin(plugin)) => Ok(*plugin),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    };
    let found = plugin(
        "command: plug, args: [a, b], env: [{name: N, value: v}, {name: M}], provideClusterInfo: true, \
         installHint: none, interactiveMode: IfAvailable",
    )
    .unwrap();
    assert_eq!(found.command, Path::new("plug"), "it is looked up in PATH");
    assert_eq!(found.args.iter().map(SecretString::expose_secret).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(found.env.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["N", "M"]);
    assert_eq!(
        found.cluster.unwrap(),
        serde_json::json!({"server": "https://api:6443", "tls-server-name": "kind", "certificate-authority-data": "YQ=="})
    );
    assert_eq!(plugin("command: ./plug").unwrap().command, Path::new("/home/me/.kube/./plug"));
    assert_eq!(plugin("command: plug").unwrap().cluster, None);
    assert!(plugin("args: []").unwrap_err().contains("has no command"));
    assert!(
        plugin("command: plug, interactiveMode: Always").unwrap_err().contains("\"plug\" needs a terminal")
    );
    let old = "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: plug}";
    assert!(read(with("", old)).unwrap_err().to_string().contains("\"plug\" has an unsupported apiVersion"));
}

/// Guards that only the current context counts, and that lists may be null, repeated or in several documents.
#[test]
fn only_the_current_context_is_read() {
    let text = "current-context: x\n\
                contexts: [{name: y, context: null}, {name: x, context: {cluster: c, user: u}}]\n\
                clusters: [{name: d, cluster: {proxy-url: \"%\"}}, {name: c, cluster: {server: \"http://api\"}}]\n\
                users: null\n---\nusers: [{name: u, user: {token: good}}]\n...\n";
    assert_eq!(token(text), "good");
    assert_eq!(read(text).unwrap().proxy, None);
    for (text, error) in [
        (String::new(), KubeconfigError::NoContext),
        ("apiVersion: v1\nkind: Config\n".to_owned(), KubeconfigError::NoContext),
        ("current-context: y\n".to_owned(), KubeconfigError::UnknownContext),
        (with("", "").replace("cluster: c,", "cluster: d,"), KubeconfigError::UnknownCluster),
        ("a: [b\n".to_owned(), KubeconfigError::NotYaml { line: Some(1) }),
        ("current-context: x\nusers: 7\n".to_owned(), KubeconfigError::NotYaml { line: Some(2) }),
    ] {
        assert_eq!(read(&text).unwrap_err(), error, "{text}");
    }
    assert!(matches!(read(with("", "").replace("user: u", "user: v")).unwrap().login, Login::None));
}

/// Guards that the context of the settings replaces the current one, and that the error for an unknown one lists those
/// that exist.
#[test]
fn another_context_can_be_chosen() {
    let text = "contexts: [{name: east, context: {cluster: e}}, {name: west, context: {cluster: w}}]\n\
                clusters: [{name: e, cluster: {server: \"http://e\"}}, {name: w, cluster: {server: \"http://w\"}}]\n";
    let read = |text: &str, wanted| Context::read(text.as_bytes(), Path::new("/"), Some(wanted));
    assert_eq!(read(text, "west").unwrap().server.host(), Some("w"));
    let with_current = format!("current-context: nowhere\n{text}");
    assert_eq!(read(&with_current, "east").unwrap().server.host(), Some("e"));
    assert_eq!(
        read(text, "north").unwrap_err().to_string(),
        "it has no context \"north\"; its contexts are \"east\", \"west\""
    );
    assert_eq!(read("", "a").unwrap_err().to_string(), "it has no context \"a\"; it has no contexts");
    let many: Vec<_> = (0..25).map(|n| format!("{{name: c{n}}}")).collect();
    let many = format!("contexts: [{}]\n", many.join(", "));
    let error = read(&many, "a").unwrap_err().to_string();
    assert!(error.contains("\"c19\", and 5 more") && !error.contains("c20"), "{error}");
}

/// Guards that anchors, merge keys, JSON and old booleans are read.
#[test]
fn yaml_is_read_as_kubectl_reads_it() {
    let anchors = "current-context: x\n\
                   contexts: [{name: x, context: {cluster: c, user: u}}]\n\
                   base: &base {insecure-skip-tls-verify: true}\n\
                   clusters: [{name: c, cluster: {<<: *base, server: \"https://api\"}}]\n\
                   users: [{name: u, user: {token: good}}]\n";
    assert!(read(anchors).unwrap().insecure);
    let json = r#"{"current-context":"x","contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],
        "clusters":[{"name":"c","cluster":{"server":"https://api"}}],"users":[{"name":"u","user":{"token":"good"}}]}"#;
    assert_eq!(token(json), "good");
    assert!(read(with("insecure-skip-tls-verify: yes", "")).unwrap().insecure);
}

/// Guards that errors and `Debug` do not show the file's content.
#[test]
fn nothing_secret_is_shown() {
    let text = with(
        "certificate-authority-data: czNjcmV0",
        "token: s3cret, client-key-data: czNjcmV0, client-certificate: c, password: s3cret",
    );
    let shown = format!("{:?}", read(&text).unwrap());
    assert!(!shown.contains("s3cret") && !shown.contains("115, 51"), "{shown}");
    let exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: plug, args: [s3cret], \
                env: [{name: N, value: s3cret}]}";
    assert!(!format!("{:?}", read(with("", exec)).unwrap()).contains("s3cret"));
    for broken in ["s3cret: [s3cret", "users: s3cret", "current-context: s3cret"] {
        let error = read(broken).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
}
