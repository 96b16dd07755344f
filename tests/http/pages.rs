//! The files of the pages `/ui` and `/docs`. `tests/browser` has what the pages do.

use std::{fs, path::Path};

use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use sandbox_provisioner::http::body;

use crate::{fake::Fake, server};

async fn ask(method: &str, path: &str, known: Option<&str>) -> Response<usize> {
    let frontend = server::frontend(Fake::default(), body::Limits::default(), Vec::new());
    let mut request = Request::builder().method(method).uri(path);
    if let Some(known) = known {
        request = request.header("if-none-match", known);
    }
    let answer = frontend.answer(request.body(Empty::<bytes::Bytes>::new()).unwrap(), None).await;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, body.len())
}

/// Guards that every file in the directory is served without a key, and with the headers that restrict the browser.
#[tokio::test]
async fn every_file_is_served_with_the_policy() {
    let mut paths = vec!["/ui".to_owned(), "/docs".to_owned()];
    for page in ["ui", "docs"] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http").join(page);
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap()).filter(|name| name != "index.html");
        paths.extend(names.map(|name| format!("/{page}/{name}")));
    }
    assert!(paths.len() >= 30, "{paths:?}");
    for path in paths {
        let answer = ask("GET", &path, None).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert!(*answer.body() > 0, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{path}: {policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.headers()[name], value, "{path}");
        }
    }
}

/// Guards that an unknown file is a 404, that other methods are a 405, that the page with a slash is redirected, and that
/// a file that the browser has is not sent again.
#[tokio::test]
async fn paths_and_tags() {
    for path in [
        "/ui/nothing.js",
        "/ui/index.html",
        "/ui/..%2Fui.rs",
        "/ui/main.js/x",
        "/docs/nothing.js",
        "/docs/index.html",
    ] {
        for method in ["GET", "POST"] {
            assert_eq!(ask(method, path, None).await.status(), 404, "{method} {path}");
        }
    }
    for path in ["/ui", "/ui/main.js", "/docs", "/docs/main.js"] {
        let refused = ask("DELETE", path, None).await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["allow"]),
            (405, &"GET, HEAD".parse().unwrap())
        );
        assert_eq!(ask("HEAD", path, None).await.status(), 200, "{path}");
    }
    for (path, location) in [("/ui/", "../ui"), ("/docs/", "../docs")] {
        let slash = ask("GET", path, None).await;
        assert_eq!(
            (slash.status().as_u16(), &slash.headers()["location"]),
            (308, &location.parse().unwrap())
        );
    }

    let tag = |answer: &Response<usize>| answer.headers()["etag"].to_str().unwrap().to_owned();
    let first = tag(&ask("GET", "/ui/main.js", None).await);
    let again = ask("GET", "/ui/main.js", Some(&first)).await;
    assert_eq!((again.status().as_u16(), *again.body()), (304, 0));
    assert!(!again.headers().contains_key("content-type"));
    let other = ask("GET", "/ui", Some(&first)).await;
    assert_eq!(other.status(), 200);
    assert_ne!(tag(&other), first);
}
