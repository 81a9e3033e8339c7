//! What `login` writes: needed only by who comes without server and token, and mended by the next login.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::stand_in::{Answer, PASSWORD, Person, StandIn, finish, printed, said};

fn registry() -> StandIn {
    StandIn::start(|_| Answer::json(&json!({"token": "mcr_new", "items": [], "total": 0})))
}

#[test]
fn nobody_needs_a_home_who_comes_with_server_and_token() {
    let (server, person) = (registry(), Person::new());
    let url = server.url();
    let run = |line: &[&str], with: &[(&str, &str)]| {
        let mut command = person.command(line);
        command.env_remove("HOME").envs(with.iter().copied());
        finish(command.spawn().unwrap(), PASSWORD)
    };
    let variables = [("MCRCTL_SERVER", url.as_str()), ("MCRCTL_TOKEN", "mcr_x")];
    for line in [&["repo", "list"][..], &["logout"], &["completions", "bash"], &["--help"]] {
        let output = run(line, &variables);
        assert!(output.status.success(), "{line:?}: {}", said(&output));
    }
    assert!(run(&["repo", "list", "--server", &url, "--token", "x"], &[]).status.success());
    for home in ["", "/dev/null/x"] {
        let output = run(&["repo", "list"], &[&variables[..], &[("HOME", home)]].concat());
        assert!(output.status.success(), "{home:?}: {}", said(&output));
    }
    assert!(said(&run(&["repo", "list"], &[])).contains("which registry?"));
    // A login whose token nobody could keep is refused before the password goes out.
    let before = server.asked().len();
    let output = run(&["login", "--password-stdin", "--server", &url], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("HOME"), "{}", said(&output));
    assert_eq!(server.asked().len(), before);
}

#[test]
fn a_damaged_file_says_what_is_wrong_and_login_mends_it() {
    let damages: [(&[u8], &str); 6] = [
        (b"server = \"http://127.0.0.1:9\"\ntoken = \"mcr_secret", "line 2"),
        (b"token = 5\n", "line 1"),
        (b"\n\nserver = \"nothing\"\n", "line 3"),
        (b"<html>mcr_secret</html>", "line 1"),
        (b"token = \"\xff\"\n", "it is no text"),
        (b"token = \"mcr_secret\"\nserver == 1\n", "line 2"),
    ];
    let server = registry();
    let url = server.url();
    for (content, what) in damages {
        let person = Person::new();
        fs::create_dir_all(person.file().parent().unwrap()).unwrap();
        fs::write(person.file(), content).unwrap();
        fs::set_permissions(person.file(), fs::Permissions::from_mode(0o600)).unwrap();
        let output = person.run(&["repo", "list"], &[]);
        let told = said(&output);
        assert_eq!(output.status.code(), Some(1));
        assert!(told.contains("config.toml is damaged") && told.contains(what), "{told}");
        assert!(told.contains("mcrctl login --server") && !told.contains("mcr_secret"), "{told}");
        let output = person.run(&["repo", "list", "--server", &url, "--token", "x"], &[]);
        assert!(output.status.success() && said(&output).contains("it was passed over"), "{}", said(&output));
        assert_eq!(fs::read(person.file()).unwrap(), content, "somebody who only looked changed it");
        let output = person.login(&["--server", &url]);
        assert!(output.status.success(), "{}", said(&output));
        let kept = person.path(".config/mcrctl/config.toml.damaged");
        assert!(said(&output).contains(&kept.display().to_string()), "{}", said(&output));
        assert_eq!(fs::read(&kept).unwrap(), content);
        assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
        let output = person.run(&["repo", "list"], &[]);
        assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
    }
}

#[test]
fn no_copy_replaces_another_and_a_failed_login_changes_nothing() {
    let person = Person::new();
    let refusing = StandIn::start(|_| Answer(401, String::new(), json!({"error": "wrong"}).to_string()));
    let server = registry();
    fs::create_dir_all(person.file().parent().unwrap()).unwrap();
    for (number, name) in
        [(1, "config.toml.damaged"), (2, "config.toml.damaged-2"), (3, "config.toml.damaged-3")]
    {
        let content = format!("damage {number}");
        fs::write(person.file(), &content).unwrap();
        // One that others can read is no better, and neither is its copy.
        fs::set_permissions(person.file(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(said(&person.run(&["status"], &[])).contains("chmod 600"));
        assert_eq!(person.login(&["--server", &refusing.url()]).status.code(), Some(1));
        assert_eq!(fs::read_to_string(person.file()).unwrap(), content);
        let output = person.login(&["--server", &server.url()]);
        assert!(output.status.success(), "{}", said(&output));
        let kept = person.path(".config/mcrctl").join(name);
        assert_eq!(fs::read_to_string(&kept).unwrap(), content);
        assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(person.file()).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn logout_forgets_the_remembered_token_and_no_other() {
    let (server, person) = (registry(), Person::new());
    assert!(person.login(&["--server", &server.url()]).status.success());
    let remembered = || fs::read_to_string(person.file()).unwrap().contains("mcr_new");
    assert!(person.run(&["logout"], &[("MCRCTL_TOKEN", "mcr_other")]).status.success());
    assert!(remembered());
    let output = person.run(&["logout"], &[]);
    assert!(output.status.success() && !remembered(), "{}", printed(&output));
}

#[test]
fn every_help_has_the_global_options_under_a_heading_of_their_own() {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mcrctl.md")).unwrap();
    let helps: Vec<&str> = document.split("\n## ").skip(1).collect();
    assert!(helps.len() > 40);
    for help in helps {
        let name = help.lines().next().unwrap();
        let (own, global) =
            help.split_once("\nGlobal options:\n").unwrap_or_else(|| panic!("{name} has no heading"));
        for option in [
            "--server <URL>",
            "--ca-cert <FILE>",
            "--token <TOKEN>",
            "--insecure-http",
            "--json",
            "-y, --yes",
        ] {
            assert!(
                global.contains(&format!("  {option}\n")) && !own.contains(&format!("  {option}\n")),
                "{name}: {option}"
            );
        }
        let others = global.matches("\n      --").count() + global.matches("\n  -").count() + 1;
        assert_eq!(others, 6, "{name}: an option of its own stands among the global ones");
    }
}
