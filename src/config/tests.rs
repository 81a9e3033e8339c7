use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use ::log::LevelFilter;

use super::*;

mod variables;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/mcr.toml");

/// A directory with a configuration file in it, which begins with what is required.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What is required, on six lines.
    fn required(&self) -> String {
        let at = |name| self.path(name).display().to_string();
        format!(
            "database.path = {:?}\nstorage.layers_path = {:?}\nauth.provider = \"local\"\n\
             [server]\ninsecure_http = true\nlisten_addr = \"127.0.0.1:0\"\n",
            at("mcr.db"),
            at("layers")
        )
    }

    fn load_with(&self, text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let file = self.path("mcr.toml");
        fs::write(&file, text).unwrap();
        let environment =
            environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Config::load(&file, environment)
    }

    fn load(&self, more: &str) -> Result<Config, ConfigError> {
        self.load_with(&(self.required() + more), &[])
    }

    fn variables(&self, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        self.load_with(&self.required(), environment)
    }

    /// What is said about a file, with the directory's name cut out.
    fn complaint(&self, more: &str) -> String {
        let error = self.load(more).unwrap_err().to_string();
        error.replace(&format!("{}/", self.0.path().display()), "")
    }
}

#[test]
fn plain_http_that_others_reach_is_told_at_start_unless_a_proxy_is_known() {
    let place = Place::new();
    let warns = |more: &str, listen: &str| {
        let text = place.required().replace("127.0.0.1:0", listen) + more;
        place.load_with(&text, &[]).unwrap().server.warning().is_some()
    };
    assert!(warns("", "0.0.0.0:5000") && warns("", "[::]:5000") && warns("", "192.0.2.1:5000"));
    assert!(!warns("", "127.0.0.1:5000") && !warns("", "[::1]:5000"));
    assert!(!warns("trusted_proxies = [\"10.0.0.1/32\"]\n", "0.0.0.0:5000"));
    assert!(!warns("public_url = \"https://registry.example.com\"\n", "0.0.0.0:5000"));
}

#[test]
fn what_is_required_is_enough() {
    let place = Place::new();
    let config = place.load("").unwrap();
    assert_eq!(config.server.tls, None);
    assert_eq!(config.storage.uploads_path, place.path("layers-uploads"), "beside the blobs");
    assert_eq!(config.storage.snapshots_path, place.path("layers-snapshots"), "beside the blobs");
    assert_eq!(config.storage.uploads_before, Some(place.path("uploads")));
    assert_eq!(config.server.idle_timeout, Duration::from_secs(120));
    assert_eq!(config.registry.max_blob_size, None);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_what_there_is() {
    let complaint = Place::new().complaint("worker = 3\n");
    assert!(
        complaint.contains("mcr.toml:7: server.worker: unknown key; [server] accepts listen_addr, "),
        "{complaint}"
    );
    let complaint = Place::new().complaint("[ldap]\nserver_url = \"https://x\"\n");
    assert!(
        complaint.contains("mcr.toml:7: ldap: unknown section; the sections are server, "),
        "{complaint}"
    );
}

#[test]
fn a_wrong_kind_is_told_what_is_accepted() {
    for (line, expected) in [
        ("workers = \"3\"", r#"server.workers: accepts a whole number, not "3""#),
        ("http2 = \"true\"", r#"server.http2: accepts true or false, not "true""#),
        ("http2 = 1.5", "server.http2: accepts true or false, not a float"),
        ("read_timeout = 30", r#"accepts a duration such as "30s", "5m" or "24h", not the integer 30"#),
        ("read_timeout = \"0s\"", "from 1s to 1h, not 0s"),
        ("workers = 513", "accepts a whole number from 1 to 512, not 513"),
        ("workers = -1", "not the integer -1"),
        ("trusted_proxies = [\"here\"]", r#"not ["here"]"#),
        ("public_url = \"https://x/path\"", "a URL without a path"),
        (
            "[registry]\nmax_blob_size = 5",
            r#"accepts a size such as "64KiB", "4MiB" or "1GiB", not the integer 5"#,
        ),
        ("[registry]\nmax_manifest_size = \"1GiB\"", "from 1KiB to 64MiB, not 1GiB"),
        ("[log]\nlevel = \"loud\"", r#""debug" or "trace", not "loud""#),
        ("[log]\nformat = \"xml\"", r#"accepts "text" or "json", not "xml""#),
    ] {
        let complaint = Place::new().complaint(line);
        assert!(complaint.contains(expected), "{complaint}");
    }
}

#[test]
fn what_is_missing_is_told_with_the_variable_that_would_do() {
    let error = Place::new().load_with("", &[]).unwrap_err().to_string();
    for expected in [
        "server.listen_addr: is required: an IP address with a port",
        "set it in [server] or by MCR_SERVER_LISTEN_ADDR",
        "server.tls_cert: is required",
        "server.tls_key: is required",
        "database.path: is required",
        "storage.layers_path: is required",
        "mcias.server_url: is required: a URL with https",
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let complaint = Place::new().complaint("workers = 0\nhttp3 = true\n[gc]\ngrace = 1\n");
    let lines: Vec<&str> = complaint.lines().skip(1).map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["  mcr.toml:7", "  mcr.toml:8", "  mcr.toml:10"]);
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    let complaint = Place::new().complaint("\nworkers = = 3\n");
    assert!(complaint.contains("mcr.toml:8: not TOML: "), "{complaint}");
    assert!(!complaint.contains("is required"), "{complaint}");
    let missing = Config::load(Path::new("/nowhere/mcr.toml"), []).unwrap_err().to_string();
    assert!(missing.contains("/nowhere/mcr.toml: the configuration cannot be read: "), "{missing}");
}

#[test]
fn keys_outside_of_sections_are_told() {
    let error = Place::new().load_with("level = 1\nlog = 2\n", &[]).unwrap_err().to_string();
    assert!(error.contains("level: unknown key outside of all sections"), "{error}");
    assert!(error.contains("log: is a section: write [log]"), "{error}");
}

#[test]
fn a_variable_wins_whatever_the_kind() {
    let place = Place::new();
    let config = place
        .load_with(
            &(place.required() + "workers = 3\n"),
            &[
                ("MCR_SERVER_WORKERS", "5"),
                ("MCR_SERVER_HTTP2", "false"),
                ("MCR_SERVER_READ_TIMEOUT", "7s"),
                ("MCR_SERVER_TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
                ("MCR_SERVER_PUBLIC_URL", "https://r.example:8443/"),
                ("MCR_REGISTRY_MAX_BLOB_SIZE", "2GiB"),
                ("MCR_LOG_LEVEL", "debug"),
                ("MCR_LOG_FORMAT", ""),
            ],
        )
        .unwrap();
    assert_eq!(config.server.workers, 5);
    assert!(!config.server.http2);
    assert_eq!(config.server.read_timeout, Duration::from_secs(7));
    assert_eq!(config.server.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    assert_eq!(config.server.public_url.unwrap().as_str(), "https://r.example:8443");
    assert_eq!(config.registry.max_blob_size, Some(Size::from_bytes(2 << 30)));
    assert_eq!(config.log, Log { level: LevelFilter::Debug, format: LogFormat::Text });
    let list = place.variables(&[("MCR_SERVER_TRUSTED_PROXIES", r#"["10.1.2.3"]"#)]).unwrap();
    assert_eq!(list.server.trusted_proxies, ["10.1.2.3/32".parse().unwrap()]);
}

#[test]
fn a_variable_for_no_key_is_refused_and_one_for_no_section_is_not_ours() {
    let place = Place::new();
    let error = place.variables(&[("MCR_SERVER_WORKER", "5")]).unwrap_err().to_string();
    assert!(error.contains("MCR_SERVER_WORKER: server.worker: unknown key"), "{error}");
    let error = place.variables(&[("MCR_SERVER_WORKERS", "many")]).unwrap_err().to_string();
    assert!(
        error.contains(r#"MCR_SERVER_WORKERS: server.workers: accepts a whole number, not "many""#),
        "{error}"
    );
    place
        .variables(&[("MCRCTL_SERVER_WORKER", "5"), ("MCR_PORT_443_TCP", "x"), ("MCR_WEB_SERVER_URL", "x")])
        .unwrap();
}

#[test]
fn plain_http_and_a_certificate_contradict_each_other() {
    let complaint = Place::new().complaint("tls_cert = \"server.crt\"\n");
    assert!(complaint.contains("mcr.toml:7: server.tls_cert: contradicts insecure_http"), "{complaint}");
}

#[test]
fn another_provider_is_refused_clearly() {
    let error = Place::new().variables(&[("MCR_AUTH_PROVIDER", "ldap")]).unwrap_err().to_string();
    assert!(error.contains(r#"auth.provider: accepts "mcias" or "local", not "ldap""#), "{error}");
}

#[test]
fn mcias_is_spoken_to_over_https_only() {
    let place = Place::new();
    assert_eq!(
        place.variables(&[("MCR_MCIAS_SERVER_URL", "https://x")]).unwrap().mcias,
        None,
        "not the provider"
    );
    let load =
        |url, more| place.variables(&[("MCR_AUTH_PROVIDER", "mcias"), ("MCR_MCIAS_SERVER_URL", url), more]);
    let mcias =
        load("https://id.example:8443/mcias/", ("MCR_MCIAS_TAGS", "one, two")).unwrap().mcias.unwrap();
    assert_eq!(mcias.server_url.as_str(), "https://id.example:8443/mcias");
    assert_eq!(mcias.tags, ["one", "two"]);
    assert_eq!((mcias.service_name.as_str(), mcias.timeout), ("mcr", Duration::from_secs(10)));
    for url in
        ["http://id.example", "id.example", "https://", "https://a:b@id.example", "https://id.example?x"]
    {
        let error = load(url, ("MCR_MCIAS_TIMEOUT", "1h")).unwrap_err().to_string();
        assert!(error.contains("mcias.server_url: accepts a URL with https"), "{error}");
        assert!(error.contains("mcias.timeout: accepts a duration"), "{error}");
    }
    let dev = Dev { data: place.path("dev"), listen: None, http: true };
    let environment = [("MCR_AUTH_PROVIDER", "mcias"), ("MCR_MCIAS_SERVER_URL", "https://x")];
    let error = Config::dev(&dev, environment.map(|(name, value)| (name.into(), value.into()))).unwrap_err();
    assert!(error.to_string().contains("auth.provider: mcrsrv dev makes"), "{error}");
}

#[test]
fn storage_must_be_two_directories_on_one_file_system() {
    let place = Place::new();
    let of = |uploads: &Path| place.variables(&[("MCR_STORAGE_UPLOADS_PATH", uploads.to_str().unwrap())]);
    of(&place.path("not/yet/there")).unwrap();
    for nested in ["layers", "layers/uploads", ""] {
        let error = of(&place.path(nested)).unwrap_err().to_string();
        assert!(error.contains("neither in the other"), "{error}");
    }
    for nested in ["layers/snapshots", "layers-uploads", ""] {
        let path = place.path(nested);
        let error = place.variables(&[("MCR_STORAGE_SNAPSHOTS_PATH", path.to_str().unwrap())]);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("storage.snapshots_path: ") && error.contains("neither in the other"),
            "{error}"
        );
    }
    place.variables(&[("MCR_STORAGE_SNAPSHOTS_PATH", "/proc/snapshots")]).unwrap();
    // /proc is a file system of its own wherever there is one.
    let error = of(Path::new("/proc/uploads")).unwrap_err().to_string();
    assert!(error.contains("is on another file system"), "{error}");
    symlink("/proc", place.path("link")).unwrap();
    assert!(of(&place.path("link/uploads")).is_err(), "by the nearest parent that exists, links followed");
    fs::write(place.path("file"), "").unwrap();
    let error = of(&place.path("file")).unwrap_err().to_string();
    assert!(error.contains("is not a directory"), "{error}");
}

/// Everything that has a path, each held against each, at the same place, one in the other, and by way of a link. What a
/// server writes to lies nowhere where another part of it is cleaned or written.
#[test]
fn no_two_places_may_be_one_or_lie_in_one_another() {
    const KEYS: [(&str, &str); 6] = [
        ("database.path", "MCR_DATABASE_PATH"),
        ("storage.layers_path", "MCR_STORAGE_LAYERS_PATH"),
        ("storage.uploads_path", "MCR_STORAGE_UPLOADS_PATH"),
        ("storage.snapshots_path", "MCR_STORAGE_SNAPSHOTS_PATH"),
        ("server.tls_cert", "MCR_SERVER_TLS_CERT"),
        ("server.tls_key", "MCR_SERVER_TLS_KEY"),
    ];
    for (one, (one_key, one_variable)) in KEYS.iter().enumerate() {
        for (other, (other_key, other_variable)) in KEYS.iter().enumerate().filter(|(other, _)| *other != one)
        {
            let mut places =
                vec![("x/same", "x/same"), ("x/in", "x/in/it"), ("x/in", "link/in"), ("x/in", "link/in/it")];
            if one == 0 {
                places.extend([("x/db", "x/db-wal"), ("x/db", "x/db.lock"), ("x/db", "x/db.restoring")]);
            }
            for (at, beside) in places {
                let place = Place::new();
                fs::create_dir_all(place.path("x")).unwrap();
                symlink(place.path("x"), place.path("link")).unwrap();
                let mut paths = KEYS.map(|(_, variable)| (variable, place.path(variable)));
                (paths[one].1, paths[other].1) = (place.path(at), place.path(beside));
                let texts = paths.map(|(variable, path)| (variable, path.display().to_string()));
                let mut environment: Vec<(&str, &str)> =
                    texts.iter().map(|(variable, text)| (*variable, text.as_str())).collect();
                environment.push(("MCR_SERVER_INSECURE_HTTP", "false"));
                let loaded = place.variables(&environment);
                if one >= 4 && other >= 4 {
                    loaded.unwrap();
                    continue;
                }
                let said = loaded.unwrap_err().to_string();
                let named = [(one_variable, one_key, other_key), (other_variable, other_key, one_key)]
                    .iter()
                    .any(|(variable, key, of)| {
                        said.contains(&format!("{variable}: {key}: ")) && said.contains(&format!("{of} /"))
                    });
                assert!(named && said.contains(" must be "), "{one_key} {at}, {other_key} {beside}: {said}");
            }
        }
    }
}

#[test]
fn paths_are_real_ones() {
    let place = Place::new();
    symlink("nowhere/yet", place.path("link")).unwrap();
    let link = place.path("link/mcr.db").display().to_string();
    let config = place.variables(&[("MCR_DATABASE_PATH", &link)]).unwrap();
    assert_eq!(config.database.path, fs::canonicalize(place.path("")).unwrap().join("nowhere/yet/mcr.db"));
}

#[test]
fn dev_needs_nothing_and_the_environment_and_flags_win() {
    let data = tempfile::tempdir().unwrap();
    let dev = |listen: Option<&str>, http, environment: &[(&str, &str)]| {
        let dev = Dev {
            data: data.path().to_owned(),
            listen: listen.map(|address| address.parse().unwrap()),
            http,
        };
        let environment =
            environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Config::dev(&dev, environment)
    };
    let plain = dev(None, false, &[]).unwrap();
    assert_eq!(plain.server.listen_addr.to_string(), "127.0.0.1:5000");
    assert_eq!(plain.server.tls.unwrap().certificate, data.path().join("tls/server.crt"));
    let address = [("MCR_SERVER_LISTEN_ADDR", "127.0.0.1:7")];
    assert_eq!(dev(None, false, &address).unwrap().server.listen_addr.port(), 7);
    assert_eq!(dev(Some("127.0.0.1:8"), false, &address).unwrap().server.listen_addr.port(), 8);
    assert_eq!(dev(None, true, &[]).unwrap().server.tls, None);
    assert_eq!(dev(None, false, &[("MCR_SERVER_INSECURE_HTTP", "true")]).unwrap().server.tls, None);
    dev(Some("0.0.0.0:0"), false, &[]).unwrap();
    let error = dev(Some("0.0.0.0:0"), true, &[]).unwrap_err().to_string();
    assert!(error.contains("is not a loopback address"), "{error}");
    let error = dev(None, true, &[("MCR_SERVER_TLS_CERT", "x")]).unwrap_err().to_string();
    assert!(error.contains("MCR_SERVER_TLS_CERT: server.tls_cert: contradicts"), "{error}");
}

/// The example with every setting in force: a comment that begins without a space is one.
fn example_in_full() -> String {
    let lines = fs::read_to_string(EXAMPLE).unwrap();
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    lines.lines().map(uncommented).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_has_every_key_and_nothing_else() {
    let text = example_in_full();
    let table: toml::Table = text.parse().unwrap();
    let in_example: BTreeSet<String> = table
        .iter()
        .flat_map(|(section, keys)| {
            keys.as_table().unwrap().keys().map(move |key| format!("{section}.{key}"))
        })
        .collect();
    let mut reader = Reader::new(Sources::default());
    Config::read(&mut reader);
    assert_eq!(in_example, reader.asked().into_iter().collect());
}

#[test]
fn the_examples_values_are_the_defaults() {
    let place = Place::new();
    // The paths of the example are not this machine's, and plain HTTP needs no certificate.
    let layers = place.path("layers");
    let database = place.path("mcr.db");
    let environment = [
        ("MCR_STORAGE_LAYERS_PATH", layers.to_str().unwrap()),
        ("MCR_DATABASE_PATH", database.to_str().unwrap()),
    ];
    let load =
        |text: &str, more: &[(&str, &str)]| place.load_with(text, &[&environment, more].concat()).unwrap();
    let as_it_is = load(&fs::read_to_string(EXAMPLE).unwrap(), &[]);
    let uploads = as_it_is.storage.uploads_path.display().to_string();
    let snapshots = as_it_is.storage.snapshots_path.display().to_string();
    let paths = [("MCR_STORAGE_UPLOADS_PATH", &*uploads), ("MCR_STORAGE_SNAPSHOTS_PATH", &snapshots)];
    let mut in_full = load(&example_in_full(), &paths);
    // Those without a default that could be written down.
    assert!(in_full.server.public_url.take().is_some());
    assert!(in_full.server.metrics_addr.take().is_some());
    assert!(in_full.mcias.as_mut().unwrap().ca_cert.take().is_some());
    in_full.server.workers = as_it_is.server.workers;
    in_full.storage.uploads_before = as_it_is.storage.uploads_before.clone();
    assert_eq!(in_full, as_it_is);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_is_a_configuration_or_a_complaint(more in "[a-z_.=\"\\[\\]{}0-9 \n#-]{0,120}|\\PC{0,120}") {
        let _ = Place::new().load(&more).map_err(|error| assert!(!error.to_string().is_empty()));
    }

    #[test]
    fn any_variable_is_a_value_or_a_complaint_that_names_it(
        name in proptest::sample::select(vec![
            "MCR_SERVER_LISTEN_ADDR", "MCR_SERVER_PUBLIC_URL", "MCR_SERVER_TRUSTED_PROXIES", "MCR_SERVER_WORKERS",
            "MCR_SERVER_READ_TIMEOUT", "MCR_REGISTRY_MAX_BLOB_SIZE", "MCR_GC_UNTAGGED_AFTER", "MCR_AUDIT_KEEP",
            "MCR_AUTH_PROVIDER", "MCR_AUTH_ANONYMOUS", "MCR_LOG_LEVEL", "MCR_LOG_FORMAT",
        ]),
        value in "[0-9a-zA-Z.:/,-]{0,24}|\\PC{0,24}",
    ) {
        if let Err(error) = Place::new().variables(&[(name, &value)]) {
            let said = error.to_string();
            proptest::prop_assert!(said.contains(name) || said.contains("mcias"), "{}", said);
        }
    }
}
