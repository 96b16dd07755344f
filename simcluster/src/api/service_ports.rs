//! Cluster addresses and node ports of Services: allocated at creation and update, released at deletion.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::defaults::uses_node_ports;
use crate::ports::{PortError, node_ports};
use crate::resource::SERVICES;
use crate::shared::State;
use crate::status::{ApiError, ApiResult, Cause};
use crate::store::text_at;

/// Allocates the address and the ports of a new Service. After an error nothing is allocated.
pub(super) fn allocate(state: &mut State, service: &mut Value) -> ApiResult<()> {
    allocate_address(state, service)?;
    if let Err(error) = allocate_ports(state, service, &[]) {
        state.free_address(service);
        return Err(error);
    }
    Ok(())
}

/// Allocates the missing ports of a changed Service and releases the unused ones. After an error nothing has changed.
pub(super) fn reallocate(state: &mut State, old: &Value, new: &mut Value) -> ApiResult<()> {
    let (before, stays) = (node_ports(old), text_at(new, &["spec", "type"]) != "ExternalName");
    if text_at(new, &["spec", "clusterIP"]).is_empty() && stays {
        let address = old["spec"]["clusterIP"].clone();
        if address.is_null() {
            allocate_address(state, new)?;
        } else {
            new["spec"]["clusterIPs"] = json!([address.clone()]);
            new["spec"]["clusterIP"] = address;
        }
    }
    // A port with the same number keeps its node port.
    for place in 0..new["spec"]["ports"].as_array().map_or(0, Vec::len) {
        let port = &new["spec"]["ports"][place];
        let twin = old["spec"]["ports"].as_array().and_then(|l| l.iter().find(|o| o["port"] == port["port"]));
        let inherited = twin.and_then(|twin| twin.get("nodePort")).cloned();
        if port.get("nodePort").and_then(Value::as_u64).unwrap_or(0) == 0
            && let Some(number) = inherited
        {
            new["spec"]["ports"][place]["nodePort"] = number;
        }
    }
    allocate_ports(state, new, &before)?;
    let after = node_ports(new);
    for port in before.into_iter().filter(|port| !after.contains(port)) {
        state.ports.release(port);
    }
    Ok(())
}

fn allocate_address(state: &mut State, service: &mut Value) -> ApiResult<()> {
    let spec = &service["spec"];
    if text_at(spec, &["type"]) == "ExternalName" {
        return Ok(());
    }
    let asked = text_at(spec, &["clusterIP"]).to_owned();
    let address = match asked.as_str() {
        "None" => asked,
        "" => state.addresses.allocate_any(&mut state.random).to_string(),
        _ => match asked.parse::<Ipv4Addr>() {
            Ok(address) if state.addresses.allocate(address) => asked,
            _ => {
                let why = "failed to allocate IP: provided IP is already allocated";
                let cause = Cause::invalid("spec.clusterIPs", &format!("[{asked:?}]"), why);
                return Err(ApiError::invalid(SERVICES, text_at(service, &["metadata", "name"]), &[cause]));
            }
        },
    };
    service["spec"]["clusterIPs"] = json!([address]);
    service["spec"]["clusterIP"] = address.into();
    Ok(())
}

/// `owned` are the node ports that the Service already has.
fn allocate_ports(state: &mut State, service: &mut Value, owned: &[u16]) -> ApiResult<()> {
    let wanted = uses_node_ports(text_at(service, &["spec", "type"]));
    let name = text_at(service, &["metadata", "name"]).to_owned();
    let mut allocated = Vec::new();
    for (place, port) in service["spec"]["ports"].as_array_mut().into_iter().flatten().enumerate() {
        if !wanted {
            if let Some(fields) = port.as_object_mut() {
                fields.remove("nodePort");
            }
            continue;
        }
        let asked = port.get("nodePort").and_then(Value::as_i64).unwrap_or(0);
        if u16::try_from(asked).is_ok_and(|asked| owned.contains(&asked)) {
            continue;
        }
        match one_port(state, asked) {
            Ok(number) => {
                allocated.push(number);
                port["nodePort"] = number.into();
            }
            Err(error) => {
                for port in allocated {
                    state.ports.release(port);
                }
                return Err(refuse(state, &name, place, asked, error));
            }
        }
    }
    Ok(())
}

fn one_port(state: &mut State, asked: i64) -> Result<u16, PortError> {
    if asked == 0 {
        return state.ports.allocate_any(&mut state.random);
    }
    let port = u16::try_from(asked).map_err(|_| PortError::OutOfRange)?;
    state.ports.allocate(port).map(|()| port)
}

fn refuse(state: &State, name: &str, place: usize, asked: i64, error: PortError) -> ApiError {
    let why = match error {
        PortError::Full => return ApiError::internal("failed to allocate a nodePort: range is full"),
        PortError::Allocated => error.to_string(),
        PortError::OutOfRange => {
            format!("{error}. The range of valid ports is {}", state.ports.range_text())
        }
    };
    let cause = Cause::invalid(format!("spec.ports[{place}].nodePort"), &asked.to_string(), &why);
    ApiError::invalid(SERVICES, name, &[cause])
}
