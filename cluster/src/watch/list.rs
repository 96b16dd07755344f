//! A whole list, page by page.

use std::time::Duration;

use kube::core::{Request, params::ListParams};
use lifecycle::ids::SandboxId;
use serde::Deserialize;

use super::kind::Watchable;
use crate::{connect::Connection, fault::CallError, lenient, manifest::Template, names};

/// Objects a page: what `client-go` asks for. It bounds what is held as JSON at a time, about 10 MiB.
pub const PAGE: u32 = 500;

/// How long a page may take, its whole body included.
pub const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// One page of a list.
#[derive(Deserialize)]
#[serde(bound(deserialize = "K: Deserialize<'de>"))]
struct Page<K> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(default = "Vec::new", deserialize_with = "lenient::objects")]
    items: Vec<K>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

/// All that is ours of a kind, and the version that the list is of.
///
/// The list is read from the cluster's store, not from a cache that may lag behind (no `resourceVersion` is
/// asked for): a restart never goes back in time.
///
/// # Errors
/// The first page's that fails; what earlier pages held is not passed on, as absence from a list means
/// "gone". A list that takes so long that its pages expire (410) fails as any other.
pub async fn all<K: Watchable>(
    connection: &Connection,
    template: &Template,
) -> Result<(Vec<(SandboxId, K::Observed)>, String), CallError> {
    let path = Request::new(K::url_path(&(), Some(&connection.namespace)));
    let mut params = ListParams::default().labels(names::SELECTOR).limit(PAGE);
    let mut seen = Vec::new();
    loop {
        let request =
            path.list(&params).map_err(|error| CallError::from(kube::Error::BuildRequest(error)))?;
        let page: Page<K> = connection.watch.request(request, PAGE_TIMEOUT).await?;
        // Every list of Kubernetes has a version. What has none is some other success, and says nothing
        // about what is there.
        if page.metadata.resource_version.is_empty() {
            return Err(CallError::Unreadable);
        }
        seen.extend(page.items.iter().filter_map(|object| {
            let id = object.owner()?;
            let row = object.seen(template, &id)?;
            Some((id, row))
        }));
        if page.metadata.next.is_empty() {
            return Ok((seen, page.metadata.resource_version));
        }
        params = params.continue_token(&page.metadata.next);
    }
}
