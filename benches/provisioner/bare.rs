//! A warp route with a constant answer, to compare GET and LIST with.

use std::io::{BufRead, Write};

use bytes::Bytes;
use warp::Filter;

/// The argument that makes this program a server. It reads its answer as one line from standard input.
pub const ARGUMENT: &str = "--bare-server";

/// Serves `/bare` with warp's own server until the process is killed.
pub fn serve() {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).expect("the answer to give");
    let body = Bytes::from(line.trim_end().to_owned());
    let route = warp::path!("bare")
        .and(warp::get())
        .map(move || http::Response::builder().header("content-type", "application/json").body(body.clone()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("bare http://{}", listener.local_addr().expect("an address"));
        std::io::stdout().flush().expect("standard output");
        warp::serve(route).incoming(listener).run().await;
    });
}
