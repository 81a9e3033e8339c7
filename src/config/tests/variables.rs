//! Variables that are none of ours, and paths that a shell should have written out.

use super::*;

/// What Kubernetes and docker's links set for a service of this name.
fn of_a_service(name: &str, port: u16) -> Vec<(String, String)> {
    let (alias, name) = (name, name.to_uppercase().replace('-', "_"));
    let mut all = vec![
        (format!("{name}_SERVICE_HOST"), "10.96.0.12".to_owned()),
        (format!("{name}_SERVICE_PORT"), port.to_string()),
        (format!("{name}_SERVICE_PORT_HTTPS"), port.to_string()),
        (format!("{name}_SERVICE_PORT_METRICS_ADDR"), port.to_string()),
        (format!("{name}_NAME"), format!("/web_1/{alias}")),
        (format!("{name}_ENV_LANG"), "C.UTF-8".to_owned()),
        (format!("{name}_ENV_no_proxy"), "localhost,10.0.0.0/8".to_owned()),
        (format!("{name}_ENV_MCR_DATABASE_PATH"), "/data/mcr.db".to_owned()),
    ];
    for protocol in ["tcp", "udp", "sctp"] {
        let url = format!("{protocol}://10.96.0.12:{port}");
        let one = format!("{name}_PORT_{port}_{}", protocol.to_uppercase());
        all.extend([
            (format!("{name}_PORT"), url.clone()),
            (one.clone(), url),
            (format!("{one}_PROTO"), protocol.to_owned()),
            (format!("{one}_PORT"), port.to_string()),
            (format!("{one}_ADDR"), "fd00::12".to_owned()),
        ]);
    }
    all
}

#[test]
fn services_of_any_name_like_ours_stop_no_start() {
    let place = Place::new();
    let sections = SECTIONS.into_iter().chain(["web"]);
    let names: Vec<String> = sections
        .flat_map(|section| ["", "-blue", "-path", "-port"].map(|more| format!("mcr-{section}{more}")))
        .collect();
    for name in names.iter().map(String::as_str).chain(["mcr", "mcr-registry-port-5000"]) {
        for port in [1, 5000, 65535] {
            for (variable, value) in of_a_service(name, port) {
                let config = place.variables(&[(&variable, &value)]);
                let config = config.unwrap_or_else(|error| panic!("{variable}={value}: {error}"));
                let looks_ours = SECTIONS.iter().any(|section| name.starts_with(&format!("mcr-{section}")));
                assert_eq!(config.passed_over.len(), usize::from(looks_ours), "{variable}={value}");
                let plain = Config { passed_over: Vec::new(), ..config };
                assert_eq!(plain, place.load("").unwrap(), "{variable}={value} changed a setting");
            }
        }
    }
}

#[test]
fn what_only_looks_like_a_services_is_still_a_mistake() {
    let place = Place::new();
    for (name, value) in [
        ("MCR_SERVER_PORT", "5000"),
        ("MCR_SERVER_PORT", "http://10.0.0.1:5000"),
        ("MCR_SERVER_PORT", "tcp://"),
        ("MCR_SERVER_SERVICE_HOST", "registry"),
        ("MCR_SERVER_SERVICE_PORT", "https"),
        ("MCR_SERVER_PORT_5000", "tcp://10.0.0.1:5000"),
        ("MCR_SERVER_PORT_5000_TCP_PROTO", "udp"),
        ("MCR_SERVER_PORT_5000_TCP_NAME", "10.0.0.1"),
        ("MCR_SERVER_PORT_70000_TCP", "tcp://10.0.0.1:70000"),
        ("MCR_SERVER_WORKER", "tcp://10.0.0.1:5000"),
        ("MCR_SERVER_NAME", "registry.example.com"),
        ("MCR_SERVER_NAME", "/web/"),
        ("MCR_SERVER_NAME", "//mcr-server"),
        ("MCR_SERVER_NAME", "/web/other"),
        ("MCR_SERVER_NAMES", "/web/mcr-server"),
        ("MCR_DATABASE_NAME", "/var/mcr.db"),
        ("MCR_STORAGE_LAYERS_NAME", "/data/layers"),
        ("MCR_SERVER_ENV", "production"),
        ("MCR_SERVER_ENV_", "production"),
        ("MCR_SERVER_ENVIRONMENT_LANG", "C"),
    ] {
        let error = place.variables(&[(name, value)]).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{name}: ")) && error.contains("unknown key"),
            "{name}={value}: {error}"
        );
    }
    // And no key of ours has a name that would be passed over with a value that it accepts.
    let mut reader = Reader::new(Sources::default());
    let _incomplete = Config::read(&mut reader);
    for key in reader.asked() {
        let name = format!("MCR_{}", key.replace('.', "_").to_uppercase());
        for value in ["10.0.0.1", "5000", "tcp", "tcp://10.0.0.1:5000", "/web/mcr-server"] {
            assert!(!orchestrator::is_of_a_service(&name, value), "{name}");
        }
    }
}

#[test]
fn a_home_directory_is_written_out_in_every_path() {
    let place = Place::new();
    let mut tried = 0;
    let mut reader = Reader::new(Sources::default());
    let _incomplete = Config::read(&mut reader);
    for key in reader.asked() {
        let name = format!("MCR_{}", key.replace('.', "_").to_uppercase());
        // Whatever takes a path takes this one, and whatever takes no path refuses it for what it is.
        let is_path = match place.variables(&[(&name, "./a~b/c")]) {
            Ok(_) => true,
            Err(error) => !error.to_string().contains(&format!("{name}: {key}: accepts")),
        };
        for path in ["~", "~/mcr.db", "~mcr/data"] {
            match place.variables(&[(&name, path)]) {
                Ok(config) => assert!(!format!("{config:?}").contains(path), "{key} takes {path}"),
                Err(error) => {
                    let expected = format!("{key}: accepts a path, written out");
                    tried += usize::from(error.to_string().contains(&expected));
                    assert!(!is_path || error.to_string().contains(&expected), "{key}: {error}");
                }
            }
        }
    }
    assert!(tried >= 5 * 3, "only {tried} were tried");
    assert!(path_argument("~/x").unwrap_err().contains("$HOME"));
    assert_eq!(path_argument("a/~x").unwrap(), PathBuf::from("a/~x"));
}
