use serde_json::json;

use super::*;
use crate::fake::{self, Answer, failure};

fn missing() -> Answer {
    failure(404, "NotFound", "namespaces \"rec\" not found")
}

fn forbidden() -> Answer {
    failure(
        403,
        "Forbidden",
        "namespaces \"rec\" is forbidden: User \"x\" cannot get resource \"namespaces\"",
    )
}

/// Guards that the namespace is read first and created only if it is missing, and that another client may create it
/// meanwhile.
#[tokio::test(start_paused = true)]
async fn created_only_if_missing() {
    let there = || Answer::Json(200, json!({"status": {"phase": "Active"}}));
    let exists = || failure(409, "AlreadyExists", "namespaces \"rec\" already exists");
    for (answers, calls) in [
        (vec![there()], vec!["GET /api/v1/namespaces/rec"]),
        (vec![missing(), there()], vec!["GET /api/v1/namespaces/rec", "POST /api/v1/namespaces"]),
        (vec![missing(), exists()], vec!["GET /api/v1/namespaces/rec", "POST /api/v1/namespaces"]),
        // Without the permission to read or create it, the namespace is assumed to exist.
        (vec![forbidden()], vec!["GET /api/v1/namespaces/rec"]),
        (vec![missing(), forbidden()], vec!["GET /api/v1/namespaces/rec", "POST /api/v1/namespaces"]),
    ] {
        let answers = Mutex::new(answers.into_iter());
        let (connection, log) = fake::server(move |_, _| answers.lock().next().unwrap());
        let namespace = Namespace::new(connection);
        assert!(namespace.unready_reason().is_some(), "nothing is known before the first look");
        namespace.ensure().await.unwrap();
        assert_eq!(namespace.unready_reason(), None);
        assert_eq!(log.lines(), calls);
    }
}

/// Guards that the uid is that of the namespace which was read or created, and is not known without the rights.
#[tokio::test(start_paused = true)]
async fn its_uid_is_known() {
    let there = || Answer::Json(200, json!({"metadata": {"uid": "u-1"}, "status": {"phase": "Active"}}));
    for (answers, uid) in [
        (vec![there()], Some("u-1")),
        (vec![missing(), there()], Some("u-1")),
        (vec![forbidden()], None),
        (vec![missing(), forbidden()], None),
    ] {
        let answers = Mutex::new(answers.into_iter());
        let (connection, _) = fake::server(move |_, _| answers.lock().next().unwrap());
        let namespace = Namespace::new(connection);
        namespace.ensure().await.unwrap();
        assert_eq!(namespace.uid().as_ref().map(|uid| &*uid.0), uid);
    }
}

/// Guards that the namespace is retried until it exists, and that the reason is reported meanwhile.
#[tokio::test(start_paused = true)]
async fn retried_until_it_exists() {
    let (connection, log) = fake::server(|before, _| match before {
        0..5 => Answer::Broken(std::io::ErrorKind::ConnectionRefused),
        5 => Answer::Json(200, json!({"status": {"phase": "Terminating"}})),
        6 => missing(),
        _ => Answer::Json(201, json!({})),
    });
    let namespace = Namespace::new(connection);
    let fault = namespace.ensure().await.unwrap_err();
    assert_eq!(fault.kind, ClusterErrorKind::Unreachable);
    assert!(namespace.unready_reason().unwrap().contains("Unreachable"));
    namespace.ensure_until_done().await;
    assert_eq!(namespace.unready_reason(), None);
    assert_eq!(log.len(), 8);
}

/// Guards that a hundred creates that find the namespace missing check it once.
#[tokio::test(start_paused = true)]
async fn a_burst_checks_once() {
    let (connection, log) = fake::server(|_, _| Answer::Json(200, json!({"status": {"phase": "Active"}})));
    let namespace = Namespace::new(connection);
    for result in futures::future::join_all((0..100).map(|_| namespace.ensure())).await {
        result.unwrap();
    }
    assert_eq!(log.len(), 1);
}
