//! The environment variables of the command line, and the target that they and the flags choose.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use http::HeaderValue;

use crate::{args::ConnectionArgs, error::Failure, url::BaseUrl};

/// The URL of a daemon on this machine with its default settings.
const DEFAULT_URL: &str = "http://127.0.0.1:8002";

/// The longest key file, in bytes: more is not a key.
const KEY_FILE_MAX: u64 = 64 << 10;

/// The variables, each with its value. Empty ones count as absent.
#[derive(Clone, Default)]
pub struct Environment {
    url: Option<String>,
    api_key: Option<String>,
    api_key_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    /// Whether `NO_COLOR` forbids colours.
    pub no_color: bool,
    /// Whether the terminal can show colours.
    pub term_is_dumb: bool,
}

/// A daemon, and how to reach it.
pub struct Target {
    /// Its URL.
    pub url: BaseUrl,
    /// The API key, as the value of a header.
    pub key: Option<HeaderValue>,
    /// Where the key came from, for error messages.
    pub key_origin: Option<String>,
    /// A file with the certificates that it trusts, in place of those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long it has to answer.
    pub timeout: Duration,
}

// === impl Environment ===

impl Environment {
    /// Reads the variables for which `lookup` returns a value.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name| lookup(name).filter(|value| !value.is_empty());
        let text = |name| set(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            url: text("PROVISIONER_URL"),
            api_key: text("PROVISIONER_API_KEY"),
            api_key_file: set("PROVISIONER_API_KEY_FILE").map(PathBuf::from),
            ca_file: set("PROVISIONER_CA_FILE").map(PathBuf::from),
            no_color: set("NO_COLOR").is_some(),
            term_is_dumb: set("TERM").is_some_and(|term| term == "dumb"),
        }
    }

    /// Returns the target of a command: flags come before variables.
    pub fn target(&self, args: &ConnectionArgs) -> Result<Target, Failure> {
        let (text, origin) = match (&args.url, &self.url) {
            (Some(url), _) => (url.as_str(), "--url"),
            (None, Some(url)) => (url.as_str(), "PROVISIONER_URL"),
            (None, None) => (DEFAULT_URL, ""),
        };
        let url = text.parse().map_err(|error| Failure::usage(format!("{origin}: {error}")))?;
        let (key, key_origin) = self.key(args)?.unzip();
        let ca_file = args.ca_file.clone().or_else(|| self.ca_file.clone());
        Ok(Target { url, key, key_origin, ca_file, timeout: args.request_timeout })
    }

    /// Returns the key and where it came from.
    fn key(&self, args: &ConnectionArgs) -> Result<Option<(HeaderValue, String)>, Failure> {
        if let Some(file) = &args.api_key_file {
            return read_key(file).map(Some);
        }
        match (&self.api_key, &self.api_key_file) {
            (Some(_), Some(_)) => Err(Failure::usage(
                "PROVISIONER_API_KEY and PROVISIONER_API_KEY_FILE are not allowed together".to_owned(),
            )),
            (Some(key), None) => {
                let origin = "PROVISIONER_API_KEY";
                let key = header(key).ok_or_else(|| Failure::usage(format!("{origin}: {INVALID_KEY}")))?;
                Ok(Some((key, origin.to_owned())))
            }
            (None, Some(file)) => read_key(file).map(Some),
            (None, None) => Ok(None),
        }
    }
}

impl std::fmt::Debug for Environment {
    /// Leaves out the values, which may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

const INVALID_KEY: &str =
    "not a valid API key: expected visible ASCII characters, without spaces at the beginning or the end";

/// Returns the key as a header that is shown nowhere.
fn header(key: &str) -> Option<HeaderValue> {
    let is_sound = !key.is_empty() && key.trim() == key && key.bytes().all(|b| (b' '..=b'~').contains(&b));
    let mut value = is_sound.then(|| HeaderValue::from_str(key).ok())??;
    value.set_sensitive(true);
    Some(value)
}

fn read_key(file: &Path) -> Result<(HeaderValue, String), Failure> {
    let origin = file.display().to_string();
    let failed =
        |why: &dyn std::fmt::Display| Failure::usage(format!("cannot read the API key from {origin}: {why}"));
    let metadata = fs::metadata(file).map_err(|error| failed(&error))?;
    if metadata.is_dir() {
        return Err(failed(&"it is a directory"));
    }
    if metadata.len() > KEY_FILE_MAX {
        return Err(failed(&"it is too large"));
    }
    let text = fs::read_to_string(file).map_err(|error| failed(&error))?;
    let key = header(text.trim_end_matches(['\r', '\n'])).ok_or_else(|| failed(&INVALID_KEY))?;
    Ok((key, origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::from_lookup(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    fn args(url: Option<&str>, key_file: Option<&Path>) -> ConnectionArgs {
        ConnectionArgs {
            url: url.map(str::to_owned),
            api_key_file: key_file.map(Path::to_owned),
            ca_file: None,
            request_timeout: Duration::from_secs(1),
        }
    }

    /// Guards that a flag comes before a variable, and a variable before the default.
    #[test]
    fn the_url_comes_from_flag_variable_or_default() {
        let set = environment(&[("PROVISIONER_URL", "http://b:1")]);
        for (environment, flag, wanted) in [
            (&set, Some("http://a:1"), "http://a:1"),
            (&set, None, "http://b:1"),
            (&environment(&[("PROVISIONER_URL", "")]), None, DEFAULT_URL),
        ] {
            let target = environment.target(&args(flag, None)).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(target.url.to_string(), wanted);
        }
        let error = set.target(&args(Some("b"), None)).err().unwrap();
        assert!(error.to_string().starts_with("--url: invalid URL: "), "{error}");
    }

    /// Guards that the key is read from each place, and that no error contains it.
    #[test]
    fn the_key_comes_from_a_variable_or_a_file() {
        let file = std::env::temp_dir().join(format!("client-key-{}", std::process::id()));
        fs::write(&file, "hunter2\n").unwrap();
        let path = file.to_str().unwrap();
        let (variable, from_file) = (("PROVISIONER_API_KEY", "hunter2"), ("PROVISIONER_API_KEY_FILE", path));
        for (variables, flag, origin) in [
            (&[variable][..], None, Ok("PROVISIONER_API_KEY")),
            (&[from_file], None, Ok(path)),
            (&[("PROVISIONER_API_KEY", "other"), from_file], Some(&*file), Ok(path)),
            (&[variable, from_file], None, Err("not allowed together")),
            (&[("PROVISIONER_API_KEY", "hunter2 ")], None, Err("not a valid API key")),
            (
                &[("PROVISIONER_API_KEY_FILE", "/nonexistent")],
                None,
                Err("cannot read the API key from /nonexistent"),
            ),
            (&[("PROVISIONER_API_KEY_FILE", "/")], None, Err("it is a directory")),
        ] {
            match (environment(variables).target(&args(None, flag)), origin) {
                (Ok(target), Ok(origin)) => {
                    assert_eq!(target.key.unwrap(), "hunter2");
                    assert_eq!(target.key_origin.as_deref(), Some(origin));
                }
                (Err(error), Err(part)) => {
                    let shown = error.to_string();
                    assert!(shown.contains(part) && !shown.contains("hunter2"), "{shown}");
                }
                (outcome, _) => panic!("{variables:?}: {:?}", outcome.err()),
            }
        }
        fs::remove_file(&file).unwrap();
    }
}
