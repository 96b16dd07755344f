//! The endpoints of a page and of its files.

use http::HeaderName;
use utoipa::openapi::{ContentBuilder, ResponseBuilder};

use super::{Endpoint, Tag, failures, parameters, response, schemas};

/// A page and its files, as the document describes them.
pub(in crate::http) struct StaticFiles {
    /// The paths of the page and of its files.
    pub(in crate::http) paths: [&'static str; 2],
    /// The ids of their operations.
    pub(in crate::http) ids: [&'static str; 2],
    /// The purpose of the page.
    pub(in crate::http) summary: &'static str,
    pub(in crate::http) names: Vec<&'static str>,
    /// The headers of every answer.
    pub(in crate::http) headers: &'static [(HeaderName, &'static str)],
    /// The path to which a path with a slash at the end is redirected.
    pub(in crate::http) location: &'static str,
}

impl StaticFiles {
    /// Returns the endpoints.
    pub(in crate::http) fn endpoints(self) -> Vec<Endpoint> {
        let of = |description| ContentBuilder::new().schema(Some(schemas::text(description))).build();
        let headers = self.headers;
        let with_headers = |response: ResponseBuilder| {
            headers.iter().fold(response, |response, (name, value)| {
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
        let page = response("The page").header("ETag", etag()).content("text/html", of("The page."));
        let location = parameters::header("The path without the slash.", self.location);
        let elsewhere = response("The path ends with a slash.").header("Location", location);
        vec![
            Endpoint::get(self.paths[0], self.ids[0], Tag::Daemon, self.summary)
                .text("The page loads nothing from elsewhere. No key is needed.")
                .with(parameters::if_none_match())
                .answers("200", with_headers(page))
                .answers("304", not_modified())
                .answers("308", with_headers(elsewhere)),
            Endpoint::get(self.paths[1], self.ids[1], Tag::Daemon, "Return a file of the page")
                .text("No key is needed.")
                .with(parameters::file_name(self.names.into_iter()))
                .with(parameters::if_none_match())
                .answers("200", with_headers(file))
                .answers("304", not_modified())
                .fails(failures::not_found()),
        ]
    }
}
