//! Who a write is entered for in `metadata.managedFields`.

use crate::ownership::Writer;
use crate::patch::PatchKind;
use crate::request::Request;
use crate::resource::Sub;
use crate::route::Target;
use crate::shared::Shared;

/// The writer of a request: its field manager, or else the first word of its user agent.
pub(super) fn of(shared: &Shared, target: &Target, request: &Request) -> Writer {
    let agent = request.user_agent.split('/').next().unwrap_or("");
    let manager = request.query.get("fieldManager").unwrap_or(agent);
    Writer {
        manager: if manager.is_empty() { "unknown" } else { manager }.to_owned(),
        apply: PatchKind::of(&request.content_type) == Some(PatchKind::Apply),
        api_version: target.resource.api_version(),
        subresource: target.sub.map(Sub::word),
        now: shared.clock.stamp(),
    }
}
