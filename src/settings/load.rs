//! Reading the settings: the two files are read here, all else is a function of values.

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

/// Longest settings file read, in bytes: the example, with every comment, has a hundredth of it.
const FILE_MAX: u64 = 1024 * 1024;

/// Longest file with an API key read, in bytes: more than a request's headers could carry.
const KEY_FILE_MAX: u64 = 64 * 1024;

/// Settings, with the values that they were made of and where each came from.
#[derive(Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What they were made of, for [`super::show::to_toml`].
    pub values: Layers,
}

/// Reads the settings for a daemon, where an address that strangers reach needs a key.
///
/// `config` is the file that the command line names; the environment's is taken where it names none, and
/// there is no file where neither does.
///
/// # Errors
/// All that is wrong, not only the first of it.
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
/// All that is wrong, not only the first of it.
pub fn for_looking(
    config: Option<&Path>,
    environment: &Environment,
    flags: &FlagValues,
) -> Result<Loaded, Problems> {
    load(config, environment, flags, Purpose::Inspect)
}

/// Reads how to log, from the environment and the flags, for a command that needs no other setting.
///
/// # Errors
/// A bad log format or level.
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
        // Without its file the rest would be judged by the wrong values.
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

/// The API key's file, without the line end that editors and `echo` leave behind.
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

/// A file's text, unless there is more of it than `most` bytes: a device has no end.
fn read(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {most} bytes")));
    }
    Ok(text)
}
