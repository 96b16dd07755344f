//! The calls of a resize, and the meaning of their errors.

use lifecycle::spec::Resources;

use super::*;

fn resources() -> Resources {
    Resources { cpu: Some("2".to_owned()), ..Resources::NONE }
}

/// Returns the Pod, which has one core.
fn found() -> Value {
    let mut found = pod("a", "ua", 7, "Running");
    let resources = json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1"}});
    found["spec"]["containers"][0]["resources"] = resources;
    found
}

/// Resizes the Pod; the patch gets this answer.
async fn resized(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (Outcome<ObservedPod>, Log) {
    let (cluster, log) = writes(move |_, asked| match &*asked.method {
        "GET" => Answer::Json(200, found()),
        _ => answer(),
    });
    (cluster.resize(id(), uid(), resources()).await, log)
}

/// Guards that a resize is a read and one patch of the subresource, with the uid as its precondition.
#[tokio::test(start_paused = true)]
async fn a_resize_is_a_read_and_a_patch() {
    let (outcome, log) = resized(|| Answer::Json(200, pod("a", "ua", 8, "Running"))).await;
    let Outcome::Done(seen) = outcome else { panic!("{outcome:?}") };
    assert_eq!((seen.uid, seen.version), (uid(), ResourceVersion(8)));
    let path = "/api/v1/namespaces/rec/pods/sandbox-a";
    assert_eq!(log.lines(), [format!("GET {path}"), format!("PATCH {path}/resize")]);
    let container =
        json!({"name": "sandbox", "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "2"}}});
    let expected = json!({"metadata": {"uid": "ua"}, "spec": {"containers": [container]}});
    assert_eq!(log.all()[1].body, expected);
}

/// Guards that a resize before the start is over is also for after it, and that a refused one is not.
#[tokio::test(start_paused = true)]
async fn a_refused_resize_is_not_made_after_the_start() {
    for is_refused in [false, true] {
        let (cluster, log) = writes(move |_, asked| {
            let mut found = found();
            found["metadata"]["annotations"] = json!({ names::CPU_AFTER_START: "1" });
            match &*asked.method {
                "PATCH" if is_refused && asked.path.ends_with("/resize") => {
                    failure(422, "Invalid", "Pod \"sandbox-a\" is invalid: spec: too much")
                }
                _ => Answer::Json(200, found),
            }
        });
        let outcome = cluster.resize(id(), uid(), resources()).await;
        assert_eq!(matches!(outcome, Outcome::Refused(_)), is_refused, "{outcome:?}");
        let annotation = |body: &Value| body["metadata"]["annotations"][names::CPU_AFTER_START].clone();
        let written: Vec<_> = log.all().iter().map(|asked| annotation(&asked.body)).collect();
        let all = [json!(null), json!("2"), json!(null), json!("1")];
        assert_eq!(written, all[..if is_refused { 4 } else { 3 }]);
    }
}

/// Guards that another Pod with the same name, and a Pod that is gone, get no patch.
#[tokio::test(start_paused = true)]
async fn another_pod_is_not_resized() {
    let gone = || failure(404, "NotFound", "pods \"sandbox-a\" not found");
    for other in [None, Some(pod("a", "ub", 9, "Running"))] {
        let (cluster, log) =
            writes(move |_, _| other.clone().map_or_else(gone, |other| Answer::Json(200, other)));
        let outcome = cluster.resize(id(), uid(), resources()).await;
        assert_eq!((kind(&outcome), log.len()), ((true, ClusterErrorKind::NotFound), 1));
    }
}

/// Guards that an API server without the subresource is distinguished from a Pod that is gone, and that no other error means
/// the same: not the 404 of a proxy, and not a missing right.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_cannot_resize_is_recognized() {
    let forbidden = "pods \"sandbox-a\" is forbidden: User \"x\" cannot patch resource \"pods/resize\" in API group \
                     \"\" in the namespace \"rec\"";
    let quality = "Pod \"sandbox-a\" is invalid: spec: Invalid value: \"Guaranteed\": Pod QOS Class may not change as \
                   a result of resizing";
    let small = "pods \"sandbox-a\" is forbidden: node didn't have enough allocatable resources: cpu, requested: \
                 64000, allocatable: 8000";
    for (code, reason, message, expected) in [
        (404, "NotFound", "the server could not find the requested resource", ClusterErrorKind::NotSupported),
        (405, "MethodNotAllowed", "the server does not allow this method", ClusterErrorKind::NotSupported),
        (404, "NotFound", "pods \"sandbox-a\" not found", ClusterErrorKind::NotFound),
        (403, "Forbidden", forbidden, ClusterErrorKind::Forbidden),
        (403, "Forbidden", small, ClusterErrorKind::Denied),
        (422, "Invalid", quality, ClusterErrorKind::Invalid),
    ] {
        let (outcome, log) = resized(move || failure(code, reason, message)).await;
        assert_eq!((kind(&outcome), log.len()), ((true, expected), 2), "{message}");
    }
    let (outcome, _) = resized(|| Answer::Text(404, vec![], "404 page not found")).await;
    assert_eq!(kind(&outcome).1, ClusterErrorKind::Unreachable, "a proxy");
}

/// Guards that a Pod that is to get another limit once it is ready gets the new limit then, too.
#[tokio::test(start_paused = true)]
async fn a_resize_before_the_end_of_the_start_stays() {
    let (cluster, log) = writes(|_, _| {
        let mut found = found();
        found["metadata"]["annotations"] = json!({"sandbox-provisioner/cpu-after-start": "500m"});
        Answer::Json(200, found)
    });
    assert!(matches!(cluster.resize(id(), uid(), resources()).await, Outcome::Done(_)));
    let path = "/api/v1/namespaces/rec/pods/sandbox-a";
    assert_eq!(log.lines(), [format!("GET {path}"), format!("PATCH {path}"), format!("PATCH {path}/resize")]);
    let annotations = json!({"sandbox-provisioner/cpu-after-start": "2"});
    assert_eq!(log.all()[1].body, json!({"metadata": {"uid": "ua", "annotations": annotations}}));
}

/// Guards that a resize is checked against the bounds of the sandbox's profile, and that only CPU and memory can change.
#[test]
fn a_resize_is_checked_against_the_profile() {
    let mut profile = Profile::default();
    profile.set("overrides", &json!({"cpu": {"max": "4"}})).unwrap();
    let name = ProfileName::parse("large").unwrap();
    let written = std::collections::BTreeMap::from([(name.clone(), profile)]);
    let profiles = crate::profile::Profiles::new(
        &written,
        &manifest::default_resources(),
        crate::profile::HostPaths::default(),
    )
    .unwrap();
    let template = Template { profiles, ..Template::default() };
    let check = |profile: Option<&ProfileName>, resources: &Resources| {
        manifest::check_resize(&template, profile, resources).map_err(|error| error.to_string())
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(check(Some(&name), &resources()), Ok(()));
    for (profile, resources, expected) in [
        (
            Some(&name),
            Resources { cpu: text("8"), ..Resources::NONE },
            "resources.cpu: 8 is above 4, the maximum of the profile large",
        ),
        (
            Some(&name),
            Resources { memory: text("1Gi"), ..Resources::NONE },
            "resources.memory: the profile large does not let a request set this",
        ),
        (
            Some(&name),
            Resources { cpu: text("2"), ephemeral_storage: text("1Gi"), ..Resources::NONE },
            "resources.ephemeral_storage: Kubernetes resizes only cpu and memory in place",
        ),
        (None, resources(), "resources.cpu: without a profile, no request can set this"),
        (
            ProfileName::parse("gone").as_ref(),
            resources(),
            "there is no profile 'gone'; the profiles are large",
        ),
    ] {
        let error = check(profile, &resources).unwrap_err();
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}
