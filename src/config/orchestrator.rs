//! Variables that an orchestrator puts into the environment for its own services: Kubernetes and docker's links name them after
//! the service, so one called `mcr-server` looks like a section of ours. Pure.

use std::net::IpAddr;

/// Protocols of a service's port.
const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// Whether name and value have the form of such a variable, as of
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables> and
/// <https://docs.docker.com/engine/network/links/#environment-variables>. A variable that only looks like one, such as
/// `MCR_SERVER_PORT=5000`, is somebody's mistake and no service's.
pub(super) fn is_of_a_service(name: &str, value: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.parse::<u16>().is_ok();
    let url = |text: &str| {
        text.split_once("://")
            .is_some_and(|(protocol, rest)| PROTOCOLS.contains(&protocol) && !rest.is_empty())
    };
    if is_of_a_link(name, value) {
        return true;
    }
    if name.ends_with("_SERVICE_HOST") {
        return value.parse::<IpAddr>().is_ok();
    }
    if name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return number(value);
    }
    if name.ends_with("_PORT") && url(value) {
        return true;
    }
    // The service's own name may have the word, too.
    let mut ports = (0..name.len()).filter_map(|at| name.get(at..)?.strip_prefix("_PORT_"));
    ports.any(|port| is_of_a_port(port, value, url, number))
}

/// `MCR_SERVER_NAME=/web/mcr-server`: who is linked, and under which name, which is that of the variable; and
/// `MCR_SERVER_ENV_LANG`: a variable of the other container, with whatever value. No key of ours has `env` in its name.
fn is_of_a_link(name: &str, value: &str) -> bool {
    if name.split_once("_ENV_").is_some_and(|(alias, variable)| !alias.is_empty() && !variable.is_empty()) {
        return true;
    }
    let names = value.strip_prefix('/').and_then(|names| names.split_once('/'));
    let (Some(alias), Some((container, linked))) = (name.strip_suffix("_NAME"), names) else { return false };
    !container.is_empty() && linked.to_uppercase().replace('-', "_") == alias
}

/// `5000_TCP`, `5000_TCP_PROTO`, `5000_TCP_PORT`, `5000_TCP_ADDR`.
fn is_of_a_port(port: &str, value: &str, url: impl Fn(&str) -> bool, number: impl Fn(&str) -> bool) -> bool {
    let mut words = port.splitn(3, '_');
    let (Some(port), Some(protocol), what) = (words.next(), words.next(), words.next()) else { return false };
    let protocol = protocol.to_ascii_lowercase();
    if !number(port) || !PROTOCOLS.contains(&protocol.as_str()) {
        return false;
    }
    match what {
        None => url(value),
        Some("PROTO") => value == protocol,
        Some("PORT") => number(value),
        Some("ADDR") => value.parse::<IpAddr>().is_ok(),
        Some(_) => false,
    }
}
