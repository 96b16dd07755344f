//! The whole face of the program on a port of its own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use sandbox_provisioner::{
    admin::Check,
    http::{
        self as api, Capabilities,
        auth::Auth,
        body,
        frontend::{Deadlines, Frontend},
    },
    listener::{self, Drained},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::oneshot,
    task::JoinHandle,
};

use crate::fake::Fake;

/// The key that is asked for.
pub const KEY: &str = "test-key";

/// A limit that no test is meant to reach, and that still ends one that hangs.
pub const LONG: Duration = Duration::from_secs(20);

/// A limit that a test means to reach, in real time.
pub const SHORT: Duration = Duration::from_millis(150);

/// A server that runs until it is stopped or the test ends.
pub struct Server {
    pub address: SocketAddr,
    pub fake: Fake,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

/// Limits that nothing reaches by accident.
pub fn limits() -> listener::Limits {
    listener::Limits { head_time: LONG, stall: LONG, drain: LONG, ..listener::Limits::default() }
}

// === impl Server ===

impl Server {
    pub fn start(fake: Fake) -> Self {
        Self::with(fake, limits(), body::Limits::default())
    }

    pub fn with(fake: Fake, limits: listener::Limits, body: body::Limits) -> Self {
        let edge = edge(fake.clone(), body, Vec::new());
        let listener = listen();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(listener::serve(listener, limits, edge, async {
            let _ = stopped.await;
        }));
        Self { address, fake, stop, ended }
    }

    /// Stops it, and waits for its end.
    pub async fn stop(self) -> Drained {
        drop(self.stop);
        self.ended.await.unwrap()
    }

    /// Says stop without waiting.
    pub fn say_stop(self) -> JoinHandle<Drained> {
        drop(self.stop);
        self.ended
    }
}

/// A listener whose sockets buffer little, so that a peer that does not read is soon noticed.
fn listen() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(16 << 10).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(128).unwrap()
}

/// The routes and their edge, as the program puts them together.
pub fn edge(fake: Fake, body: body::Limits, checks: Vec<Check>) -> Frontend {
    let capabilities = Capabilities { lark_cli_init_image: false, lark_cli_broker_image: false };
    let routes = api::routes(fake, capabilities, body, Arc::new(move || checks.clone()));
    Frontend::new(routes, Auth::Key(KEY.to_owned().into()), Deadlines::default())
}
