//! The endpoints of a page and of its files.

use utoipa::openapi::{ContentBuilder, ResponseBuilder};

use super::{Endpoint, Tag, failures, parameters, response, schemas};
use crate::http::page::{Page, SECURITY};

/// Returns the endpoints of a page, with the paths of the page and of its files, the ids of their operations, and a summary.
pub(in crate::http) fn endpoints(
    page: &Page,
    [html_path, file_path]: [&'static str; 2],
    [html_id, file_id]: [&'static str; 2],
    summary: &'static str,
) -> Vec<Endpoint> {
    let of = |description| ContentBuilder::new().schema(Some(schemas::text(description))).build();
    let with_headers = |response: ResponseBuilder| {
        SECURITY.iter().fold(response, |response, (name, value)| {
            let description = "For the security of the page, and for its files to be of one release.";
            response.header(name.as_str(), parameters::header(description, value))
        })
    };
    let etag = || parameters::header("The version of the file, for `If-None-Match`.", "\"5fb1\"");
    let not_modified =
        || with_headers(response("The copy of the browser is current.").header("ETag", etag()));
    let file = ["text/css", "text/javascript", "image/svg+xml"]
        .iter()
        .fold(response("The file").header("ETag", etag()), |file, kind| {
            file.content(*kind, of("A file of the page."))
        });
    let html = response("The page").header("ETag", etag()).content("text/html", of("The page."));
    let location = parameters::header("The path without the slash.", page.redirect);
    let elsewhere = response("The path ends with a slash.").header("Location", location);
    let of_html = Endpoint::get(html_path, html_id, Tag::Daemon, summary)
        .text("The page loads nothing from elsewhere. No key is needed.")
        .with(parameters::if_none_match())
        .answers("200", with_headers(html))
        .answers("304", not_modified())
        .answers("308", with_headers(elsewhere));
    let of_files = Endpoint::get(file_path, file_id, Tag::Daemon, "Return a file of the page")
        .text("No key is needed.")
        .with(parameters::file_name(page.files.iter().map(|file| file.name)))
        .with(parameters::if_none_match())
        .answers("200", with_headers(file))
        .answers("304", not_modified())
        .fails(failures::not_found());
    vec![of_html.and_head(), of_files.and_head()]
}
