//! `kubectl`, unmodified, against the cluster on a port. Where it is not installed, each test says so and passes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use simcluster::{Cluster, Options, Verb};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::task::JoinHandle;

const NS: &str = "deer-flow";
/// Longer than any single command takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const MANIFEST: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: a, labels: {app: x}}
spec:
  containers:
  - {name: c, image: "img:1", ports: [{containerPort: 80}], resources: {limits: {cpu: 500m, memory: 1Gi}}}
---
apiVersion: v1
kind: Service
metadata: {name: a-svc, labels: {app: x}}
spec: {type: NodePort, selector: {app: x}, ports: [{port: 80}]}
"#;

/// A cluster on a port, and `kubectl` pointed at it.
struct Kubectl {
    cluster: Cluster,
    server: String,
    /// Its cache of the server's discovery, in a directory of its own for each test.
    home: PathBuf,
    task: JoinHandle<()>,
}

/// The result of a command.
struct Outcome {
    ok: bool,
    out: String,
    err: String,
}

// === impl Kubectl ===

impl Kubectl {
    /// `None` where there is no `kubectl`.
    async fn start(test: &str) -> Option<Self> {
        let version = Command::new("kubectl").args(["version", "--client"]).output().await;
        if !version.is_ok_and(|output| output.status.success()) {
            eprintln!("kubectl is not installed: {test} is skipped");
            return None;
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let cluster = Cluster::start(Options::with_namespace(NS));
        let task = tokio::spawn(simcluster::serve(listener, cluster.clone(), std::future::pending()));
        let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("kubectl-{test}"));
        let _ = std::fs::remove_dir_all(&home);
        std::fs::create_dir_all(&home).unwrap();
        Some(Self { cluster, server, home, task })
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("kubectl");
        command
            .args(["--server", &self.server, "--namespace", NS])
            .args(line.split(' '))
            .env_remove("KUBECONFIG")
            .env("HOME", &self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command with something on its standard input.
    async fn feed(&self, line: &str, input: &str) -> Outcome {
        let mut child = self.command(line).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Outcome { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs a command that must succeed, and returns its output.
    async fn run(&self, line: &str) -> String {
        self.must(line, "").await
    }

    async fn must(&self, line: &str, input: &str) -> String {
        let outcome = self.feed(line, input).await;
        assert!(outcome.ok, "kubectl {line}: {}{}", outcome.out, outcome.err);
        outcome.out
    }

    /// Runs a command whose output must have all of some words.
    async fn shows(&self, line: &str, words: &[&str]) {
        let out = self.run(line).await;
        for word in words {
            assert!(out.contains(word), "kubectl {line} does not say {word:?}:\n{out}");
        }
    }

    /// A Pod and a Service, ready.
    async fn sandbox(&self) {
        self.must("create -f -", MANIFEST).await;
        self.run("wait --for=condition=Ready pod/a --timeout=30s").await;
    }
}

impl Drop for Kubectl {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === tests ===

/// Guards that manifests go in without `--validate=false`, and that the server's own validation is what speaks.
#[tokio::test(flavor = "multi_thread")]
async fn create_and_apply_are_validated_by_the_server() {
    let Some(kubectl) = Kubectl::start("validate").await else { return };
    let out = kubectl.must("create -f -", MANIFEST).await;
    assert_eq!(out, "pod/a created\nservice/a-svc created\n");
    let slip = MANIFEST.replace("image:", "imagee: y, image:");
    let refused = kubectl.feed("apply -f -", &slip).await;
    assert!(
        !refused.ok && refused.err.contains("unknown field \"spec.containers[0].imagee\""),
        "{}",
        refused.err
    );
    let again = kubectl.feed("create -f -", MANIFEST).await;
    assert!(
        again.err.contains("(AlreadyExists)") && again.err.contains("pods \"a\" already exists"),
        "{}",
        again.err
    );
}

/// Guards client-side `apply`: removed fields are deleted, unchanged objects are left alone.
#[tokio::test(flavor = "multi_thread")]
async fn apply_changes_what_differs() {
    let Some(kubectl) = Kubectl::start("apply").await else { return };
    assert_eq!(kubectl.must("apply -f -", MANIFEST).await, "pod/a created\nservice/a-svc created\n");
    assert_eq!(kubectl.must("apply -f -", MANIFEST).await, "pod/a unchanged\nservice/a-svc unchanged\n");
    let other = MANIFEST.replace("labels: {app: x}}\nspec: {type", "labels: {tier: low}}\nspec: {type");
    assert_eq!(kubectl.must("apply -f -", &other).await, "pod/a unchanged\nservice/a-svc configured\n");
    let service = kubectl.cluster.object("services", NS, "a-svc").unwrap();
    assert_eq!(service["metadata"]["labels"], serde_json::json!({"tier": "low"}));
    let tried = kubectl.must("apply --dry-run=server -f -", MANIFEST).await;
    assert!(tried.contains("service/a-svc configured (server dry run)"), "{tried}");
    let immutable = MANIFEST.replace("containerPort: 80", "containerPort: 81");
    let refused = kubectl.feed("apply -f -", &immutable).await;
    assert!(refused.err.contains("pod updates may not change fields other than"), "{}", refused.err);
}

/// Guards server-side apply: fields have owners, and taking one needs force.
#[tokio::test(flavor = "multi_thread")]
async fn apply_on_the_server_minds_who_owns_what() {
    let Some(kubectl) = Kubectl::start("server-side").await else { return };
    let out = kubectl.must("apply --server-side -f -", MANIFEST).await;
    assert_eq!(out, "pod/a serverside-applied\nservice/a-svc serverside-applied\n");
    let version =
        kubectl.cluster.object("services", NS, "a-svc").unwrap()["metadata"]["resourceVersion"].clone();
    kubectl.must("apply --server-side -f -", MANIFEST).await;
    let unchanged = kubectl.cluster.object("services", NS, "a-svc").unwrap();
    assert_eq!(unchanged["metadata"]["resourceVersion"], version);
    let other = MANIFEST.replace("img:1", "img:2");
    let refused = kubectl.feed("apply --server-side --field-manager=other -f -", &other).await;
    let words = "Apply failed with 1 conflict: conflict with \"kubectl\": .spec.containers[name=\"c\"].image";
    assert!(!refused.ok && refused.err.contains(words), "{}", refused.err);
    kubectl.must("apply --server-side --field-manager=other --force-conflicts -f -", &other).await;
    kubectl
        .shows(
            "get pod a -o yaml --show-managed-fields",
            &["image: img:2", "manager: other", "operation: Apply"],
        )
        .await;
}

/// Guards `get`: tables with the columns of the real server, selectors, all namespaces, the objects themselves.
#[tokio::test(flavor = "multi_thread")]
async fn get_prints_what_is_there() {
    let Some(kubectl) = Kubectl::start("get").await else { return };
    kubectl.sandbox().await;
    kubectl.run("create quota q --hard=pods=5,limits.cpu=4").await;
    kubectl.run("create configmap cm --from-literal=a=b").await;
    kubectl.run("create secret generic s --from-literal=a=b").await;
    kubectl.shows("get all", &["pod/a", "1/1", "Running", "service/a-svc", "NodePort"]).await;
    kubectl.shows("get pods -o wide", &["NOMINATED NODE", "READINESS GATES", "sim-node", "10.244."]).await;
    kubectl.shows("get pods,svc -A", &["NAMESPACE", "deer-flow   pod/a", "deer-flow   service/a-svc"]).await;
    kubectl.shows("get nodes -o wide", &["Ready", "<none>", "v1.36.2", "INTERNAL-IP"]).await;
    kubectl.shows("get ns", &["deer-flow", "Active"]).await;
    kubectl.shows("get quota", &["pods: 1/5", "limits.cpu: 500m/4"]).await;
    kubectl.shows("get cm,secret", &["configmap/cm", "secret/s", "Opaque"]).await;
    kubectl.shows("get endpoints", &["a-svc", ":80"]).await;
    kubectl.shows("get endpointslices", &["a-svc-", "IPv4", "80"]).await;
    kubectl.shows("get pod a -o yaml", &["apiVersion: v1", "kind: Pod", "phase: Running"]).await;
    assert_eq!(kubectl.run("get pods -l app=x -o name").await, "pod/a\n");
    assert_eq!(kubectl.run("get pods -l app!=x -o name").await, "");
    assert_eq!(kubectl.run("get pods --field-selector status.phase=Running -o name").await, "pod/a\n");
    assert_eq!(kubectl.run("get pods --sort-by=.metadata.name --no-headers -o name").await, "pod/a\n");
    assert_eq!(kubectl.run("get pod a -o jsonpath={.spec.containers[0].image}").await, "img:1");
    let missing = kubectl.feed("get pod nope", "").await;
    assert_eq!(missing.err, "Error from server (NotFound): pods \"nope\" not found\n");
    kubectl
        .shows("api-resources --no-headers", &["pods", "endpointslices", "networkpolicies", "leases"])
        .await;
    kubectl
        .shows("explain pod.spec.containers", &["FIELD: containers <[]Container>", "imagePullPolicy"])
        .await;
}

/// Guards `describe`, which asks for much that stands beside an object.
#[tokio::test(flavor = "multi_thread")]
async fn describe_tells_all_about_it() {
    let Some(kubectl) = Kubectl::start("describe").await else { return };
    kubectl.sandbox().await;
    kubectl.run("create quota q --hard=pods=5").await;
    kubectl
        .shows("describe pod a", &["Node:", "sim-node", "State:", "QoS Class:", "Started", "Scheduled"])
        .await;
    kubectl.shows("describe svc a-svc", &["NodePort:", "Endpoints:", ":80", "Selector:"]).await;
    kubectl.shows("describe node sim-node", &["Non-terminated Pods:", "KubeletReady", "cpu", "500m"]).await;
    kubectl.shows("describe ns deer-flow", &["Resource Quotas", "pods", "Active"]).await;
    kubectl.shows("describe quota q", &["pods", "1", "5"]).await;
    kubectl.shows("describe endpointslices", &["AddressType:", "IPv4", "Ready:"]).await;
}

/// Guards logs and events, of Pods that run and of Pods that do not.
#[tokio::test(flavor = "multi_thread")]
async fn logs_and_events_are_served() {
    let Some(kubectl) = Kubectl::start("logs").await else { return };
    kubectl.sandbox().await;
    kubectl.shows("logs a", &["c started in pod deer-flow/a"]).await;
    kubectl.shows("logs a -c c --timestamps --tail=1", &["Z c started"]).await;
    let wrong = kubectl.feed("logs a -c nope", "").await;
    assert!(wrong.err.contains("container nope is not valid for pod a"), "{}", wrong.err);
    kubectl.shows("events", &["Scheduled", "Pulled", "Started"]).await;
    kubectl.shows("events --for pod/a", &["Pod/a"]).await;
    kubectl.shows("get events --field-selector involvedObject.name=a", &["pod/a", "Normal"]).await;
    let annotation = format!("{}: image-pull-error", simcluster::BEHAVIOUR_ANNOTATION);
    let bad = MANIFEST.replace("name: a,", &format!("name: bad, annotations: {{{annotation}}},"));
    let bad = bad.split("---").next().unwrap();
    kubectl.must("create -f -", bad).await;
    let waiting = "wait --for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImagePull pod/bad --timeout=30s";
    kubectl.run(waiting).await;
    let log = kubectl.feed("logs bad", "").await;
    assert!(log.err.contains("is waiting to start: trying and failing to pull image"), "{}", log.err);
}

/// Guards watches as `kubectl` opens them.
#[tokio::test(flavor = "multi_thread")]
async fn get_follows_changes() {
    let Some(kubectl) = Kubectl::start("watch").await else { return };
    let mut child = kubectl.command("get pods -w").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // It has to look before there is something to see.
    let watches = async {
        while kubectl.cluster.count_calls(Verb::Watch, "pods") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, watches).await.unwrap();
    kubectl.must("create -f -", MANIFEST).await;
    let mut seen = Vec::new();
    let followed = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let done = line.contains("1/1");
            seen.push(line);
            if done {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, followed).await.unwrap();
    child.kill().await.unwrap();
    let all = seen.join("\n");
    assert!(all.contains("Pending") && all.contains("ContainerCreating") && all.contains("Running"), "{all}");
    assert_eq!(all.matches("STATUS").count(), 1, "{all}");
}

/// Guards deletes and the waits that go with them.
#[tokio::test(flavor = "multi_thread")]
async fn delete_waits_until_it_is_gone() {
    let Some(kubectl) = Kubectl::start("delete").await else { return };
    kubectl.sandbox().await;
    kubectl.run("delete pod a --wait=false").await;
    kubectl.run("wait --for=delete pod/a --timeout=30s").await;
    assert_eq!(kubectl.run("delete svc a-svc").await, "service \"a-svc\" deleted\n");
    kubectl.must("create -f -", MANIFEST).await;
    kubectl.run("delete pods,svc -l app=x --now").await;
    assert_eq!((kubectl.cluster.count("pods", None), kubectl.cluster.count("services", None)), (0, 0));
    kubectl.must("create -f -", MANIFEST).await;
    kubectl.run("delete pod a --grace-period=0 --force").await;
    kubectl.run("delete svc a-svc --cascade=foreground").await;
    assert_eq!(kubectl.cluster.count("endpointslices", None), 0);
    kubectl.must("create -f -", MANIFEST).await;
    kubectl.run("delete ns deer-flow").await;
    assert_eq!(kubectl.cluster.count("namespaces", None), 2);
    assert!(kubectl.cluster.object("pods", NS, "a").is_none());
}

/// Guards small changes from the command line, of each type of patch.
#[tokio::test(flavor = "multi_thread")]
async fn objects_are_changed_in_place() {
    let Some(kubectl) = Kubectl::start("change").await else { return };
    kubectl.sandbox().await;
    kubectl.run("label pod a tier=y").await;
    kubectl.run("annotate pod a note=z").await;
    kubectl.run("set image pod/a c=img:3").await;
    kubectl
        .run(r#"patch svc a-svc --type=json -p=[{"op":"replace","path":"/spec/ports/0/port","value":81}]"#)
        .await;
    kubectl.run(r#"patch svc a-svc --type=merge -p={"spec":{"type":"ClusterIP"}}"#).await;
    let pod = kubectl.cluster.object("pods", NS, "a").unwrap();
    assert_eq!(
        (&pod["metadata"]["labels"]["tier"], &pod["metadata"]["annotations"]["note"]),
        (&"y".into(), &"z".into())
    );
    assert_eq!(pod["spec"]["containers"][0]["image"], "img:3");
    let service = kubectl.cluster.object("services", NS, "a-svc").unwrap();
    assert_eq!(
        (&service["spec"]["ports"][0]["port"], &service["spec"]["type"]),
        (&81.into(), &"ClusterIP".into())
    );
    let replaced = MANIFEST.split("---").nth(1).unwrap().replace("port: 80", "port: 82");
    assert_eq!(kubectl.must("replace -f -", &replaced).await, "service/a-svc replaced\n");
}
