//! The message on standard output when the daemon is ready.

use std::{fmt::Write as _, net::SocketAddr};

use super::embedded::EmbeddedClusters;
use crate::{settings::Settings, stdout};

/// Prints the address of the daemon and, on the embedded cluster, commands to try.
pub(super) fn print(settings: &Settings, embedded: Option<&EmbeddedClusters>, address: SocketAddr) {
    // A failure is ignored: the log contains the address too.
    let _ = stdout::print(&text(settings, embedded, address));
}

fn text(settings: &Settings, embedded: Option<&EmbeddedClusters>, address: SocketAddr) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("Sandbox Provisioner {version} is listening on http://{address}\n");
    let Some(embedded) = embedded else { return text };
    let (key, shell) = match settings.http.api_key {
        Some(_) => (" -H \"X-API-Key: $PROVISIONER_API_KEY\"", ", with the API key in PROVISIONER_API_KEY"),
        None => ("", ""),
    };
    let host = if address.ip().is_unspecified() {
        SocketAddr::new([127, 0, 0, 1].into(), address.port())
    } else {
        address
    };
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "It runs on {} forgotten when it ends. Try, in another terminal{shell}:

  curl -s{key} http://{host}/api/sandboxes -H 'Content-Type: application/json' -d '{{\"sandbox_id\":\"hello\"}}'
  curl -s{key} http://{host}/api/sandboxes/hello

and then, with the sandbox_url of the answer; it answers a moment after the status is Running:

  curl -s --retry 15 --retry-delay 1 --retry-connrefused SANDBOX_URL/v1/sandbox

A page that shows the sandboxes is at http://{host}/ui. Ctrl-C ends it.
",
        if settings.clusters.are_several() {
            format!("the embedded clusters {}, which are", settings.clusters.names())
        } else {
            "its embedded cluster, which is".to_owned()
        }
    );
    let mut last = None;
    for (name, api) in embedded.apis() {
        last = Some(api);
        let _ = writeln!(text, "The API server of the cluster {name}, for kubectl --server, is http://{api}");
    }
    if let Some(api) = last {
        let _ = writeln!(
            text,
            "This one is away for a minute after:\n\n  curl -X PUT http://{api}/simcluster/v1/server -d \
             '{{\"away\":true,\"for\":\"1m\"}}'"
        );
    }
    text
}
