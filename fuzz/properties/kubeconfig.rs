//! A kubeconfig, as an operator writes it or a tool generates it. No plugin is started: the target only reads the file.

use std::{ffi::OsStr, path::Path};

use kubernetes::kubeconfig::{Content, Context, KubeconfigError, Login, Plugin};
use secrecy::ExposeSecret;

/// Secrets that are shorter may occur in any text by chance.
const SECRET_MIN: usize = 8;

/// The maximum length of an escaped byte of a name, such as `\u{7f}`.
const ESCAPED_MAX: usize = 10;

/// Checks that a kubeconfig means the same in every encoding, that an accepted one suffices for a connection, and that
/// errors and `Debug` show no secret.
pub fn check(data: &[u8]) {
    let directory = Path::new("/home/me/.kube");
    let read = Context::read(data, directory, None);
    if let Err(error) = &read {
        is_short(error);
    }
    let Ok(text) = str::from_utf8(data) else { return };
    let shown = format!("{read:?}");
    if !text.starts_with('\u{feff}') {
        let utf16 =
            |unit: fn(u16) -> [u8; 2]| format!("\u{feff}{text}").encode_utf16().flat_map(unit).collect();
        let encodings: [Vec<u8>; 3] =
            [format!("\u{feff}{text}").into_bytes(), utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)];
        for encoded in encodings {
            assert_eq!(format!("{:?}", Context::read(&encoded, directory, None)), shown, "{text:?}");
        }
    }
    if let Ok(context) = read {
        can_connect(&context, directory);
        shows_no_secret(&context);
    }
}

/// Checks that an error is one line of our words, and at most the name of a plugin.
fn is_short(error: &KubeconfigError) {
    let name = match error {
        KubeconfigError::NeedsTerminal(command) | KubeconfigError::PluginVersion(command) => {
            command.as_os_str()
        }
        _ => OsStr::new(""),
    };
    let message = error.to_string();
    assert!(!message.contains(char::is_control), "{message:?}");
    assert!(message.len() <= 200 + ESCAPED_MAX * name.len(), "{message:?}");
}

/// Checks that what a connection needs is there and consistent.
fn can_connect(context: &Context, directory: &Path) {
    assert!(matches!(context.server.scheme_str(), Some("http" | "https")), "{context:?}");
    assert!(context.server.host().is_some_and(|host| !host.is_empty()), "{context:?}");
    let identity = context.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
    for content in context.authority.iter().chain(identity) {
        if let Content::File(path) = content {
            assert!(path.is_absolute(), "{context:?}");
        }
    }
    match &context.login {
        Login::Token(token) => assert!(!token.expose_secret().is_empty()),
        Login::TokenFile { path, .. } => assert!(path.is_absolute() && path != directory, "{context:?}"),
        Login::Basic(name, _) => assert!(!name.is_empty()),
        Login::Plugin(plugin) => {
            let command = plugin.command.to_string_lossy();
            assert!(
                !command.is_empty() && (plugin.command.is_absolute() || !command.contains('/')),
                "{plugin:?}"
            );
        }
        Login::None => {}
    }
}

/// Checks that `Debug` does not show the secrets.
fn shows_no_secret(context: &Context) {
    let shown = format!("{context:?}");
    // A text that the file repeats in a field that is not secret is not a secret.
    let public = format!("{:?}", without_secrets(context.clone()));
    let is_hidden = |secret: &str| {
        let quoted = format!("{secret:?}");
        let quoted = quoted.trim_matches('"');
        assert!(secret.len() < SECRET_MIN || public.contains(quoted) || !shown.contains(quoted), "{shown}");
    };
    match &context.login {
        Login::Token(token) | Login::TokenFile { fallback: Some(token), .. } | Login::Basic(_, token) => {
            is_hidden(token.expose_secret());
        }
        Login::Plugin(plugin) => {
            let Plugin { args, env, .. } = &**plugin;
            for secret in args.iter().chain(env.iter().map(|(_, value)| value)) {
                is_hidden(secret.expose_secret());
            }
        }
        Login::TokenFile { fallback: None, .. } | Login::None => {}
    }
}

fn without_secrets(mut context: Context) -> Context {
    match &mut context.login {
        Login::Token(token) | Login::Basic(_, token) => *token = String::new().into(),
        Login::TokenFile { fallback, .. } => *fallback = None,
        Login::Plugin(plugin) => {
            plugin.args.clear();
            plugin.env.iter_mut().for_each(|(_, value)| *value = String::new().into());
        }
        Login::None => {}
    }
    context
}
