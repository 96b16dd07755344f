//! Tests of valid and invalid settings and their messages.

use std::collections::HashMap;

use sandbox_provisioner::{
    http::auth::Auth,
    settings::{environment::Environment, load, sources::FlagValues},
};

use super::{
    mark::{is_not_in, secret},
    program::run,
};

/// Guards that no output of settings and no error message contains a key.
#[tokio::test]
async fn settings_are_shown_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = secret("key");
    let url = format!("https://{}:{}@host:6443", secret("user"), secret("password"));
    let query = format!("https://host:6443/?token={}", secret("query"));
    let good = write("good", &key);
    let bad = write("bad", &format!("{key}\n{key}\n"));
    for (variables, status) in [
        (vec![("PROVISIONER_API_KEY", key.clone())], 0),
        (vec![("PROVISIONER_API_KEY_FILE", good.clone())], 0),
        (vec![("PROVISIONER_API_KEY_FILE", bad)], 2),
        (vec![("PROVISIONER_API_KEY", format!("{key}\t"))], 2),
        (vec![("PROVISIONER_API_KEY", key.clone()), ("PROVISIONER_API_KEY_FILE", good.clone())], 2),
        (vec![("PROVISIONER_API_KEY", key.clone()), ("PROVISIONER_AUTH", "none".to_owned())], 2),
        (vec![("K8S_API_SERVER", url.clone())], 2),
        (vec![("K8S_API_SERVER", query)], 2),
        (vec![("K8S_API_SERVER", format!("{}@", secret("user")))], 2),
    ] {
        let given: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (ended, said) = run(&["serve", "--check"], &given).await;
        assert_eq!(ended, Some(status), "{said}");
        is_not_in("what is said of a setting", &said);
    }
    for text in [
        format!("api_key = \"{key}"),
        format!("api_key = {key}"),
        format!("api_key = \"{key}\" \"{key}\""),
        format!("api_key = [\"{key}\"]"),
        format!("api_key = {{ {key} = 1 }}"),
        format!("api_key = \"\\{key}\""),
        format!("api_key = '''{key}"),
        format!("api-key = \"{key}\""),
        format!("api_key = \"{key}\"\napi_key = \"{key}\""),
        format!("k8s_api_server = \"{url}\""),
        format!("api_key \"{key}\""),
    ] {
        let path = write("settings.toml", &text);
        let (ended, said) = run(&["serve", "--check", "--config", &path], &[]).await;
        assert_eq!(ended, Some(2), "{text}: {said}");
        is_not_in("what is said of the file", &said);
    }
    for arguments in [vec!["serve", "--check", "--k8s-api-server", &url], vec!["health", "--url", &url]] {
        let (ended, said) = run(&arguments, &[]).await;
        assert_ne!(ended, Some(0), "{said}");
        is_not_in("what is said of a flag", &said);
    }
}

/// Guards that `Debug` output contains no secrets.
#[test]
fn debug_hides_secrets() {
    let variables =
        HashMap::from([("PROVISIONER_API_KEY", secret("key")), ("KUBECONFIG_PATH", "/nowhere".to_owned())]);
    let environment = Environment::from_lookup(|name| variables.get(name).map(Into::into));
    let loaded = load::for_serving(None, &environment, &FlagValues::default()).unwrap();
    let auth = Auth::Key(loaded.settings.http.api_key.clone().unwrap());
    is_not_in("Debug", &format!("{environment:?} {:?} {auth:?}", loaded.settings));
    is_not_in("Debug", &format!("{:?}", loaded.settings.clusters.first.kubernetes.connect));
}
