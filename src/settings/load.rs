//! Reading the settings. Only this module reads files; everything else is a function of values.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{
    Log, Settings,
    environment::{CONFIG_VARIABLE, Environment},
    file,
    keys::Key,
    layers::{FlagValues, Layers},
    problem::{Problem, Problems},
    resolve::{self, Purpose},
};

/// The largest settings file that is read, in bytes: the example, with all comments, is a hundredth of it.
const FILE_MAX: u64 = 1024 * 1024;

/// The largest file with an API key that is read, in bytes: more than a request's headers could carry.
const KEY_FILE_MAX: u64 = 64 * 1024;

/// Settings, with their values as text and the origin of each.
#[derive(Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// The values as text, for [`super::show::to_toml`].
    pub values: Layers,
}

/// Reads the settings for a daemon, which requires an API key unless it listens on a loopback address.
///
/// `config` is the file of the command line. Without it the file of the environment is used, and without both there is
/// no file.
///
/// # Errors
/// Every problem, not only the first.
pub fn for_serving(
    config: Option<&Path>,
    environment: &Environment,
    flags: &FlagValues,
) -> Result<Loaded, Problems> {
    load(config, environment, flags, Purpose::Serve)
}

/// Reads the settings for a command that does not listen; otherwise as [`for_serving`].
///
/// # Errors
/// Every problem, not only the first.
pub fn for_looking(
    config: Option<&Path>,
    environment: &Environment,
    flags: &FlagValues,
) -> Result<Loaded, Problems> {
    load(config, environment, flags, Purpose::Inspect)
}

/// Reads the log settings from the environment and the flags, for a command that needs no other setting.
///
/// # Errors
/// An invalid log format or level.
pub fn log_only(environment: &Environment, flags: &FlagValues) -> Result<Log, Problems> {
    let (layers, _) = Layers::new(Vec::new(), environment, flags);
    let mut problems = Vec::new();
    resolve::log_only(&layers, &mut problems).ok_or(Problems(problems))
}

fn load(
    config: Option<&Path>,
    environment: &Environment,
    flags: &FlagValues,
    purpose: Purpose,
) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut in_file = Vec::new();
    if let Some((path, named_by)) = named(config, environment) {
        // Without the file the other settings would be checked against wrong values.
        let text = read(&path, FILE_MAX).map_err(|error| {
            Problems(vec![Problem::Unreadable { path: path.clone(), named_by, reason: error.to_string() }])
        })?;
        in_file = file::parse(&path, &text, &mut problems).map_err(Problems)?;
    }
    let (values, mut wrong) = Layers::new(in_file, environment, flags);
    problems.append(&mut wrong);
    let key_file = key_file(&values, &mut problems);
    let in_cluster = environment.is_in_cluster();
    match resolve::resolve(&values, key_file.as_deref(), in_cluster, purpose, &mut problems) {
        Some(settings) => Ok(Loaded { settings, values }),
        None => Err(Problems(problems)),
    }
}

fn named(config: Option<&Path>, environment: &Environment) -> Option<(PathBuf, &'static str)> {
    if let Some(path) = config {
        return Some((path.to_owned(), "named by --config"));
    }
    let path = environment.get(CONFIG_VARIABLE).filter(|path| !path.is_empty())?;
    Some((path.into(), "named by the environment variable SANDBOX_PROVISIONER_CONFIG"))
}

/// The content of the API key file, without the line end that editors and `echo` add.
fn key_file(values: &Layers, problems: &mut Vec<Problem>) -> Option<String> {
    let raw = values.get(Key::ApiKeyFile)?;
    match read(Path::new(&raw.text), KEY_FILE_MAX) {
        Ok(content) => {
            let key = content.strip_suffix('\n').unwrap_or(&content);
            Some(key.strip_suffix('\r').unwrap_or(key).to_owned())
        }
        Err(error) => {
            problems.push(Problem::KeyFileUnreadable {
                path: raw.text.clone(),
                origin: raw.origin.clone(),
                reason: error.to_string(),
            });
            None
        }
    }
}

/// The text of a file, or an error if it has more than `most` bytes: a device may be endless.
fn read(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {most} bytes")));
    }
    Ok(text)
}
