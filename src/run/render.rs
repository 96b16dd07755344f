//! `render`: prints the manifests of a request, without a cluster.

use std::{io::Read as _, path::Path, process::ExitCode};

use kubernetes::{
    manifest::{self, Template},
    network,
};
use lifecycle::{
    ids::{ClusterName, ProfileName},
    request::CreateRequest,
};
use serde_json::{Value, json};

use super::profiles;
use crate::{
    http::{body, errors::ApiError, request},
    settings::Settings,
    stdout,
};

/// The exit status for invalid arguments, the same as clap's.
const BAD_USAGE: u8 = 2;

/// Prints the Pod, the Service and the claim that the request would create, or the error that the API would return.
///
/// Exit status: 0 with the manifests on standard output, 1 with the error on standard error. 2 if it is not clear which cluster
/// is meant.
#[must_use]
pub fn render(
    settings: &Settings,
    request: &Path,
    profile: Option<ProfileName>,
    cluster: Option<&ClusterName>,
) -> ExitCode {
    let Some(template) = template_of(settings, cluster) else { return ExitCode::from(BAD_USAGE) };
    let bytes = match read(request) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("error: cannot read the request from {}: {error}", request.display());
            return ExitCode::FAILURE;
        }
    };
    match rendered(template, &bytes, profile) {
        Ok(manifests) if stdout::deliver(&format!("{manifests:#}\n")) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(detail) => {
            eprintln!("{:#}", json!({ "detail": detail }));
            ExitCode::FAILURE
        }
    }
}

/// Prints the network policies of the settings.
///
/// Exit status: 0 with the policies on standard output, 2 if it is not clear which cluster is meant.
#[must_use]
pub fn render_network_policies(settings: &Settings, cluster: Option<&ClusterName>) -> ExitCode {
    let Some(template) = template_of(settings, cluster) else { return ExitCode::from(BAD_USAGE) };
    let Template { network, namespace, container_port, .. } = template;
    let policies = network::policies(network, namespace, *container_port);
    match network::to_yaml(&policies, network::name_policy(network, namespace).as_ref()) {
        Ok(text) => {
            if stdout::deliver(&text) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the template of a cluster, or prints why there is none.
fn template_of<'a>(settings: &'a Settings, named: Option<&ClusterName>) -> Option<&'a Template> {
    let clusters = &settings.clusters;
    let cluster = match named {
        Some(name) => clusters.get(name),
        None => Some(&clusters.first).filter(|_| !clusters.are_several()),
    };
    if cluster.is_none() {
        let all = clusters.names();
        match named {
            Some(name) => {
                eprintln!("error: --cluster: there is no cluster {name}; the settings have {all}");
            }
            None => {
                eprintln!("error: the settings have several clusters; choose one of {all} with --cluster");
            }
        }
    }
    cluster.map(|cluster| &cluster.template)
}

/// Reads at most one byte more than the API accepts, which shows that the body is too large.
fn read(request: &Path) -> std::io::Result<Vec<u8>> {
    let limit = body::Limits::default().bytes as u64 + 1;
    let mut bytes = Vec::new();
    if request == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(request)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// The manifests, or the error.
fn rendered(template: &Template, bytes: &[u8], profile: Option<ProfileName>) -> Result<Value, Value> {
    let request = parsed(bytes).map_err(|error| error.detail())?;
    let request = CreateRequest { profile: profile.or(request.profile), ..request };
    let request = profiles::of(template).apply(request);
    let manifests = manifest::build(template, &request).map_err(|error| Value::from(error.to_string()))?;
    Ok(json!(manifests))
}

/// Reads the request as the API does, with the same errors.
fn parsed(bytes: &[u8]) -> Result<CreateRequest, ApiError> {
    let limit = body::Limits::default().bytes;
    if bytes.len() > limit {
        return Err(ApiError::body_too_large(limit));
    }
    request::create(Some("application/json"), bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kubernetes::{
        manifest::default_resources,
        profile::{HostPaths, Profile, Profiles},
    };

    use super::*;

    /// Guards that `render` shows what a request sets in place of its profile, and refuses what the profile does not allow.
    #[test]
    fn overrides_are_rendered() {
        let mut profile = Profile::default();
        profile.set("overrides", &json!({"cpu": {"max": "4"}, "env": ["LANG"]})).unwrap();
        let written = BTreeMap::from([(ProfileName::default_profile(), profile)]);
        let profiles =
            Profiles::new(&written, &default_resources(), HostPaths { user_data: true, skills: true })
                .unwrap();
        let template = Template { profiles, ..Template::default() };
        let request = |cpu: &str| {
            json!({"sandbox_id": "a", "resources": {"cpu": cpu}, "env": {"LANG": "de"}})
                .to_string()
                .into_bytes()
        };
        let of = |cpu| rendered(&template, &request(cpu), None);
        let sandbox = of("2").unwrap()["pod"]["spec"]["containers"][0].clone();
        assert_eq!(sandbox["resources"]["limits"]["cpu"], "2");
        assert_eq!(sandbox["env"], json!([{"name": "LANG", "value": "de"}]));
        assert_eq!(of("8").unwrap_err(), "resources.cpu: 8 is above 4, the maximum of the profile default");
    }
}
