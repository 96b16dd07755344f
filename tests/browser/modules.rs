//! The parts of the page that need no page, tested in the browser by the modules in `tests/browser/modules`.
//!
//! `node --test tests/browser/modules/` runs the same tests where Node.js is installed.

use std::{fs, path::Path};

use serde_json::json;
use warp::Filter as _;

use crate::{driver::Browser, page::WIDE};

/// Guards that all tests of the modules pass.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn the_modules_pass_their_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names: Vec<_> = fs::read_dir(root.join("tests/browser/modules"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".test.js"))
        .collect();
    assert!(names.len() >= 5, "{names:?}");
    let page = warp::path::end().map(|| warp::reply::html("<!doctype html><title>Tests</title>"));
    let serve = warp::get().and(page.or(warp::fs::dir(root)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(warp::serve(serve).incoming(listener).run());
    let browser = Browser::start(WIDE).await;
    browser.go(&url).await;
    let script = "
        const {run} = await import('/tests/browser/modules/harness.js');
        for (const name of arguments[0]) await import(`/tests/browser/modules/${name}`);
        return await run();";
    let result = browser.run_async(script, &[json!(names)]).await;
    server.abort();
    println!("{} tests of {} modules", result["passed"], names.len());
    assert_eq!(result["failed"], json!([]), "{result:#}");
    assert!(result["passed"].as_u64().unwrap() >= 30, "{result}");
}
