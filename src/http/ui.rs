//! `GET /ui`: a page that shows the sandboxes and changes them through the API.

use warp::{filters::BoxedFilter, reply::Response};

use super::{
    openapi::{Endpoint, pages},
    page::{File, Page, file},
    path,
};

/// The page.
pub(super) static PAGE: Page = Page { redirect: "../ui", html: file!("ui", "index.html"), files: &FILES };

static FILES: [File; 29] = [
    file!("ui", "style.css"),
    file!("ui", "detail.css"),
    file!("ui", "icon.svg"),
    file!("ui", "actions.js"),
    file!("ui", "address.js"),
    file!("ui", "api.js"),
    file!("ui", "clock.js"),
    file!("ui", "columns.js"),
    file!("ui", "commands.js"),
    file!("ui", "connection.js"),
    file!("ui", "detail.js"),
    file!("ui", "dialog.js"),
    file!("ui", "dom.js"),
    file!("ui", "filters.js"),
    file!("ui", "format.js"),
    file!("ui", "keys.js"),
    file!("ui", "limits.js"),
    file!("ui", "main.js"),
    file!("ui", "metrics.js"),
    file!("ui", "model.js"),
    file!("ui", "notice.js"),
    file!("ui", "order.js"),
    file!("ui", "overview.js"),
    file!("ui", "sse.js"),
    file!("ui", "stream.js"),
    file!("ui", "table.js"),
    file!("ui", "theme.js"),
    file!("ui", "timeline.js"),
    file!("ui", "window.js"),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    pages::endpoints(
        &PAGE,
        ["/ui", "/ui/{file}"],
        ["getUi", "getUiFile"],
        "Return a page that shows the sandboxes live",
    )
}

pub(super) fn route() -> BoxedFilter<(Response,)> {
    PAGE.route(path::ui(), path::ui_file())
}

/// The paths of the page and of its files, with any method.
pub(super) fn paths() -> BoxedFilter<()> {
    PAGE.paths(path::ui(), path::ui_file())
}
