//! Prints policies for an administrator.

use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::host_names::NamePolicy;

/// Prints policies for `kubectl apply`, with the one for host names, if there is one.
///
/// # Errors
/// The text of the serializer's error.
pub fn to_yaml(policies: &[NetworkPolicy], names: Option<&NamePolicy>) -> Result<String, String> {
    let mut text = serde_saphyr::to_string_multiple(policies).map_err(|error| error.to_string())?;
    if let Some(names) = names {
        text += "---\n";
        text += &serde_saphyr::to_string(names).map_err(|error| error.to_string())?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::network::{Allowed, Network, name_policy, policies};

    /// Guards that the printed policies read as the same ones.
    #[test]
    fn printed_policies_read_as_the_same() {
        let network = Network { sources: vec!["10.0.0.0/24".parse().unwrap()], ..Network::default() };
        let built = policies(&network, "deer-flow", 8080);
        let printed = to_yaml(&built, None).unwrap();
        assert_eq!(serde_saphyr::from_multiple::<NetworkPolicy>(&printed).unwrap(), built, "{printed}");
        let Ok(Allowed::Name(name)) = "db.example.com:5432".parse() else { panic!() };
        let names = name_policy(&Network { allow_names: vec![name], ..network }, "deer-flow");
        let printed = to_yaml(&built, names.as_ref()).unwrap();
        let all: Vec<Value> = serde_saphyr::from_multiple(&printed).unwrap();
        assert_eq!((all.len(), &all[2]), (3, &json!(names)), "{printed}");
    }
}
