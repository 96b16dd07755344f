//! Reading the settings. Only this module reads files; everything else is a function of values.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use kubernetes::{connect::ServiceAddress, manifest::Template};

use super::{
    Log, Settings, embedded,
    environment::{CONFIG_VARIABLE, Environment},
    file,
    format::Invalid,
    http::{self, API_KEY, API_KEY_FILE},
    kubernetes as connection, lark, lifetimes, log, network, probing,
    problem::{Origin, Problem, Problems},
    profiles::{self, WrittenProfiles},
    reader::{Reader, Reported},
    reaping, sandbox,
    sections::SETTINGS,
    setting::Declaration as _,
    sources::{FlagValues, RawValue, Sources},
    volumes,
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
    pub values: Sources,
    /// The profiles as they were written.
    pub profiles: WrittenProfiles,
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
    load(config, environment, flags, true)
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
    load(config, environment, flags, false)
}

/// Reads the log settings from the environment and the flags, for a command that needs no other setting.
///
/// # Errors
/// An invalid log format or level.
pub fn log_only(environment: &Environment, flags: &FlagValues) -> Result<Log, Problems> {
    let sources = Sources::new(&SETTINGS, Vec::new(), |name| environment.get(name), flags, &mut Vec::new());
    let of_log = SETTINGS.iter().filter(|spec| log::is_log(spec));
    let reader = Reader::new(&sources, of_log, false);
    log::read(&reader).map_err(|Reported| Problems(reader.into_problems()))
}

fn load(
    config: Option<&Path>,
    environment: &Environment,
    flags: &FlagValues,
    serving: bool,
) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut in_file = file::File::default();
    if let Some((path, named_by)) = named(config, environment) {
        // Without the file the other settings would be checked against wrong values.
        let text = read(&path, FILE_MAX).map_err(|error| {
            let path = path.display().to_string();
            Problems(vec![Problem::new(format!(
                "the settings file {path:?} ({named_by}) cannot be read: {error}"
            ))])
        })?;
        in_file = file::parse(&path, &text, &mut problems).map_err(Problems)?;
    }
    let mut sources =
        Sources::new(&SETTINGS, in_file.values, |name| environment.get(name), flags, &mut problems);
    problems.extend(http::choose_key(&mut sources).err());
    embedded::set_node_host_default(&mut sources);
    embedded::set_network_sources_default(&mut sources);
    problems.extend(read_key_file(&mut sources).err());

    let mut reader = Reader::new(&sources, SETTINGS.iter(), serving);
    let mut settings = sections(&mut reader, environment.in_cluster());
    problems.extend(reader.into_problems());
    profiles::read(&in_file.profiles, settings.as_mut().ok(), &mut problems);
    match settings {
        Ok(settings) if problems.is_empty() => {
            Ok(Loaded { settings, values: sources, profiles: in_file.profiles })
        }
        _ => Err(Problems(problems)),
    }
}

/// Reads all sections, so that the problems of each are reported.
fn sections(reader: &mut Reader<'_>, in_cluster: Option<ServiceAddress>) -> Result<Settings, Reported> {
    let mut template = Template::default();
    let http = http::read(reader);
    let policy = lifetimes::read(reader);
    let kubernetes = connection::read(reader, in_cluster, &mut template)?;
    sandbox::read(reader, &mut template)?;
    volumes::read(reader, &mut template)?;
    lark::read(reader, &mut template)?;
    network::read(reader, &mut template)?;
    let mut policy = policy?;
    Ok(Settings {
        http: http?,
        kubernetes,
        template,
        probes: probing::read(reader, &mut policy)?,
        policy,
        reap_limits: reaping::read(reader)?,
        embedded: embedded::read(reader)?,
        log: log::read(reader)?,
    })
}

fn named(config: Option<&Path>, environment: &Environment) -> Option<(PathBuf, &'static str)> {
    if let Some(path) = config {
        return Some((path.to_owned(), "named by --config"));
    }
    let path = environment.get(CONFIG_VARIABLE).filter(|path| !path.is_empty())?;
    Some((path.into(), "named by the environment variable SANDBOX_PROVISIONER_CONFIG"))
}

/// Sets the API key from the file with the API key, without the line end that editors and `echo` add.
fn read_key_file(sources: &mut Sources) -> Result<(), Problem> {
    let Some(RawValue { text: path, origin }) = sources.get(&API_KEY_FILE) else { return Ok(()) };
    let content = read(Path::new(path), KEY_FILE_MAX).map_err(|error| {
        let what = format!("{path:?} from {origin} cannot be read: {error}");
        Problem::not_allowed(&API_KEY_FILE.spec(""), &what)
    })?;
    let key = content.strip_suffix('\n').unwrap_or(&content);
    let key = key.strip_suffix('\r').unwrap_or(key);
    let origin = Origin::Within(Box::new(origin.clone()));
    // An empty text would mean that there is no key.
    if key.is_empty() {
        return Err(Problem::invalid(&API_KEY.spec(""), key, &origin, &Invalid::default()));
    }
    sources.set(&API_KEY, RawValue { text: key.to_owned(), origin });
    Ok(())
}

/// Returns the text of a file, or an error if it has more than `most` bytes: a device may be endless.
fn read(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {most} bytes")));
    }
    Ok(text)
}
