//! The embedded clusters of `serve --embedded`.

use std::{collections::BTreeMap, net::SocketAddr, ops::RangeInclusive};

use lifecycle::ids::ClusterName;
use simcluster::Cluster;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::settings::Embedded;

/// The node ports of all embedded clusters together: those of Kubernetes.
const NODE_PORTS: RangeInclusive<u16> = 30000..=32767;

/// The largest number of embedded clusters, each with its part of the node ports.
const CLUSTERS_MAX: u16 = 8;

/// The embedded clusters that run.
pub(super) struct EmbeddedClusters {
    options: Embedded,
    /// Whether there may be several, which then share the node ports.
    are_several: bool,
    running: BTreeMap<ClusterName, Running>,
    stop: CancellationToken,
    servers: TaskTracker,
}

struct Running {
    cluster: Cluster,
    /// The address of its API server, if that listens.
    api: Option<SocketAddr>,
}

// === impl EmbeddedClusters ===

impl EmbeddedClusters {
    /// Starts clusters with these names.
    ///
    /// # Errors
    /// A sentence, if an API server cannot listen.
    pub(super) async fn start(
        options: Embedded,
        names: impl IntoIterator<Item = ClusterName>,
    ) -> Result<Self, String> {
        // Without this check the node ports of all sandboxes would look taken.
        let bind = options.sandbox_bind;
        TcpListener::bind((bind, 0)).await.map_err(|error| {
            format!("sandboxes cannot listen on {bind}: {error}; set PROVISIONER_EMBEDDED_BIND to an address of this machine")
        })?;
        let names: Vec<_> = names.into_iter().collect();
        let are_several = names.len() > 1 || names.iter().any(|name| *name != ClusterName::DEFAULT);
        let (stop, servers) = (CancellationToken::new(), TaskTracker::new());
        let mut clusters = Self { options, are_several, running: BTreeMap::new(), stop, servers };
        for name in names {
            clusters.add(name).await?;
        }
        Ok(clusters)
    }

    /// Starts a further cluster.
    ///
    /// # Errors
    /// A sentence, if its API server cannot listen, or if no node ports are left.
    pub(super) async fn add(&mut self, name: ClusterName) -> Result<Cluster, String> {
        let index = u16::try_from(self.running.len()).unwrap_or(u16::MAX);
        let Some(node_ports) = node_ports(index, self.are_several) else {
            return Err(
                "no node ports are left for a further embedded cluster; restart the daemon".to_owned()
            );
        };
        let Embedded { sandbox_bind, nodes, api } = self.options;
        let listener = match api {
            Some(first) => Some(listen(first, index).await?),
            None => None,
        };
        let cluster = Cluster::start(simcluster::Options {
            node: Some(simcluster::NodeOptions::several(nodes)),
            node_ports,
            sandbox_servers: Some(sandbox_bind),
            ..simcluster::Options::default()
        });
        let api = listener.map(|(listener, address)| {
            let stop = self.stop.clone().cancelled_owned();
            self.servers.spawn(simcluster::serve(listener, cluster.clone(), stop));
            address
        });
        self.running.insert(name, Running { cluster: cluster.clone(), api });
        Ok(cluster)
    }

    /// Returns the clusters by their names.
    pub(super) fn clusters(&self) -> BTreeMap<ClusterName, Cluster> {
        self.running.iter().map(|(name, running)| (name.clone(), running.cluster.clone())).collect()
    }

    /// Returns the addresses of the API servers that listen.
    pub(super) fn apis(&self) -> impl Iterator<Item = (&ClusterName, SocketAddr)> {
        self.running.iter().filter_map(|(name, running)| Some((name, running.api?)))
    }

    /// Ends all clusters.
    pub(super) async fn shut_down(self) {
        self.stop.cancel();
        self.servers.close();
        self.servers.wait().await;
        for running in self.running.into_values() {
            running.cluster.shutdown().await;
        }
    }
}

/// Listens for the API server of the cluster with this index.
async fn listen(first: SocketAddr, index: u16) -> Result<(TcpListener, SocketAddr), String> {
    let port = match first.port() {
        0 => Some(0),
        port => port.checked_add(index),
    };
    let port = port.ok_or_else(|| format!("there is no port {index} after {first} for the API server"))?;
    let address = SocketAddr::new(first.ip(), port);
    let failed = |error| {
        format!(
            "cannot listen on {address} for an embedded API server: {error}; choose another address with \
             --embedded-api"
        )
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Returns the node ports of the cluster with this index. The sandboxes of all clusters listen on one address, so that
/// several clusters have different ones. `None` if none are left.
fn node_ports(index: u16, are_several: bool) -> Option<RangeInclusive<u16>> {
    if !are_several && index == 0 {
        return Some(NODE_PORTS);
    }
    let length = (NODE_PORTS.end() - NODE_PORTS.start() + 1) / CLUSTERS_MAX;
    let first = NODE_PORTS.start() + length * Some(index).filter(|index| *index < CLUSTERS_MAX)?;
    are_several.then_some(first..=first + length - 1)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    /// Sends a request to a control endpoint. Returns the status line.
    async fn put(address: SocketAddr, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let request = format!(
            "PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }

    /// Guards that each cluster has an API server of its own, whose fault switches concern it alone.
    #[tokio::test]
    async fn each_cluster_has_its_own_switches() {
        let options =
            Embedded { sandbox_bind: [127, 0, 0, 1].into(), nodes: 1, api: Some(([127, 0, 0, 1], 0).into()) };
        let [east, west] = ["east", "west"].map(|name| ClusterName::parse(name).unwrap());
        let clusters = EmbeddedClusters::start(options, [east.clone(), west.clone()]).await.unwrap();
        let apis: BTreeMap<_, _> = clusters.apis().map(|(name, api)| (name.clone(), api)).collect();
        let answer = put(apis[&west], "/simcluster/v1/server", "{\"away\": true}").await;
        assert_eq!(answer, "HTTP/1.1 200 OK");
        let running = clusters.clusters();
        assert_eq!((running[&east].is_away(), running[&west].is_away()), (false, true));
        clusters.shut_down().await;
        assert!(TcpStream::connect(apis[&east]).await.is_err(), "the port is free again");
    }

    /// Guards that an address of another machine is refused at the start: later it would look as if all node ports were taken.
    #[tokio::test]
    async fn sandboxes_listen_on_an_address_of_this_machine() {
        let options = Embedded { sandbox_bind: [203, 0, 113, 7].into(), nodes: 1, api: None };
        let error = EmbeddedClusters::start(options, [ClusterName::DEFAULT]).await.err().unwrap();
        assert!(error.starts_with("sandboxes cannot listen on 203.0.113.7: "), "{error}");
        assert!(error.ends_with("set PROVISIONER_EMBEDDED_BIND to an address of this machine"), "{error}");
    }

    /// Guards that the node ports of two clusters never overlap, and that a single cluster has all of them.
    #[test]
    fn node_ports_do_not_overlap() {
        assert_eq!(node_ports(0, false), Some(30000..=32767));
        assert_eq!(node_ports(1, false), None, "the first cluster has all");
        let parts: Vec<_> = (0..8).map(|index| node_ports(index, true).unwrap()).collect();
        assert_eq!((parts[0].clone(), parts[7].clone()), (30000..=30345, 32422..=32767));
        assert!(parts.windows(2).all(|pair| pair[0].end() < pair[1].start()));
        assert_eq!(node_ports(8, true), None);
    }
}
