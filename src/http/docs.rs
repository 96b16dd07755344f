//! `GET /docs`: a page that shows the description of the API, and sends requests.

use warp::{filters::BoxedFilter, reply::Response};

use super::{
    openapi::{Endpoint, pages},
    page::{File, Page, file},
    path,
};

/// The page.
pub(super) static PAGE: Page = Page { redirect: "../docs", html: file!("docs", "index.html"), files: &FILES };

static FILES: [File; 7] = [
    file!("docs", "style.css"),
    file!("docs", "icon.svg"),
    file!("docs", "main.js"),
    file!("docs", "call.js"),
    file!("docs", "schema.js"),
    file!("docs", "request.js"),
    file!("docs", "dom.js"),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    pages::endpoints(
        &PAGE,
        ["/docs", "/docs/{file}"],
        ["getDocs", "getDocsFile"],
        "Return a page that shows this document",
    )
}

pub(super) fn route() -> BoxedFilter<(Response,)> {
    PAGE.route(path::docs(), path::docs_file())
}

/// The paths of the page and of its files, with any method.
pub(super) fn paths() -> BoxedFilter<()> {
    PAGE.paths(path::docs(), path::docs_file())
}
