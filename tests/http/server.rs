//! The HTTP API on its own port.

use std::{net::SocketAddr, time::Duration};

use sandbox_provisioner::{
    admin::{Admin, Check},
    http::{
        self as api, Capabilities,
        auth::Auth,
        body,
        frontend::{Deadlines, Frontend},
        metrics::HttpMetrics,
    },
    listener::{self, Drained},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::oneshot,
    task::JoinHandle,
};

use crate::fake::Fake;

/// The API key.
pub const KEY: &str = "test-key";

/// A time limit that only a hanging test reaches.
pub const LONG: Duration = Duration::from_secs(20);

/// A time limit that a test reaches in real time.
pub const SHORT: Duration = Duration::from_millis(150);

/// A server that runs until it is stopped or the test ends.
pub struct Server {
    pub address: SocketAddr,
    pub fake: Fake,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

/// Returns limits that no test reaches by accident.
pub fn limits() -> listener::Limits {
    listener::Limits { head_time: LONG, stall: LONG, drain: LONG, ..listener::Limits::default() }
}

// === impl Server ===

impl Server {
    pub fn start(fake: Fake) -> Self {
        Self::with(fake, limits(), body::Limits::default())
    }

    pub fn with(fake: Fake, limits: listener::Limits, body: body::Limits) -> Self {
        Self::with_frontend(frontend(fake.clone(), body, Vec::new()), fake, limits)
    }

    fn with_frontend(frontend: Frontend, fake: Fake, limits: listener::Limits) -> Self {
        let listener = listen();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(listener::serve(listener, limits, frontend, async {
            let _ = stopped.await;
        }));
        Self { address, fake, stop, ended }
    }

    /// Stops the server, and waits for its end.
    pub async fn stop(self) -> Drained {
        drop(self.stop);
        self.ended.await.unwrap()
    }

    /// Stops the server without waiting.
    pub fn begin_stop(self) -> JoinHandle<Drained> {
        drop(self.stop);
        self.ended
    }
}

/// Returns a listener with small send buffers, so that a peer that does not read is noticed soon.
fn listen() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(16 << 10).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(128).unwrap()
}

/// Returns the routes in their front end, as the program builds them.
pub fn frontend(fake: Fake, body: body::Limits, checks: Vec<Check>) -> Frontend {
    let capabilities = Capabilities { lark_cli_init_image: false, lark_cli_broker_image: false };
    let routes = api::routes(
        fake,
        capabilities,
        api::Profiles::default(),
        body,
        Admin::of_checks(move || checks.clone()),
    );
    Frontend::new(routes, Auth::Key(KEY.to_owned().into()), Deadlines::default(), HttpMetrics::default())
}
