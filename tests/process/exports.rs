//! The audit log as a file: all of it, in small pieces, and nothing is held for whoever does not read.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::support::admin::{expect, token_of};
use crate::support::http::{Chunks, Client, Response, read_head};
use crate::support::mcrctl::Mcrctl;
use crate::support::{Data, Server};

/// Entries in the log.
const ENTRIES: i64 = 30_000;
/// Whose names begin so.
const FORMULA: &str = "=HYPERLINK(\"http://x\")";

/// Fills the log. A hundredth of it is by somebody whose name is a formula, and no tag is `none`.
fn fill(server: &Server) {
    let mut database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    let all = database.transaction().unwrap();
    all.execute(
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1)
         INSERT INTO audit_log (time, event, actor_id, actor_name, repository, tag, details)
         SELECT n * 1000, 'tag_moved', 'id', CASE WHEN n % 100 = 0 THEN ?2 ELSE 'ci' END, 'team/app', 'v' || n,
                '{\"from\":\"' || hex(zeroblob(200)) || '\"}'
           FROM number",
        (ENTRIES, FORMULA),
    )
    .unwrap();
    all.commit().unwrap();
}

/// Asks for the log in a form, and reads the head of the answer.
fn ask(client: &mut Client, path: &str, form: &str) -> (Response, BufReader<TcpStream>) {
    let mut stream = client.connect().unwrap();
    let head = client.head("GET", path, &[("Accept", form)]);
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    (read_head(&mut stream).unwrap(), stream)
}

fn lines(client: &mut Client, path: &str, form: &str) -> (Response, Vec<String>) {
    let (head, stream) = ask(client, path, form);
    assert_eq!(head.status, 200);
    let lines = BufReader::new(Chunks::new(stream)).lines().map(Result::unwrap).collect();
    (head, lines)
}

#[test]
fn the_audit_log_is_a_file_that_a_spreadsheet_and_a_program_read() {
    let data = Data::new();
    let server = data.start(&[]);
    fill(&server);
    let mut admin = server.client();
    let (head, table) = lines(&mut admin, "/v1/audit?repository=team/app", "text/csv");
    assert_eq!(head.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    let disposition = head.header("content-disposition").unwrap();
    assert!(
        disposition.starts_with("attachment; filename=\"audit-2") && disposition.ends_with("Z.csv\""),
        "{disposition}"
    );
    assert_eq!(
        (head.header("vary"), head.header("x-content-type-options")),
        (Some("Accept"), Some("nosniff"))
    );
    assert_eq!(table.len() as i64, ENTRIES + 1);
    assert_eq!(
        table[0],
        "id,time,event,actor_id,actor,repository,digest,tag,address,request_id,details,count"
    );
    let formulas: Vec<&String> = table.iter().filter(|line| line.contains("HYPERLINK")).collect();
    assert_eq!(formulas.len() as i64, ENTRIES / 100);
    assert!(
        formulas.iter().all(|line| line.contains(",\"'=HYPERLINK(\"\"http://x\"\")\",")),
        "{}",
        formulas[0]
    );
    let (head, entries) = lines(&mut admin, "/v1/audit?tag=v7&event_type=tag_moved", "application/x-ndjson");
    assert_eq!((head.header("content-type"), entries.len()), (Some("application/x-ndjson"), 1));
    let entry: Value = serde_json::from_str(&entries[0]).unwrap();
    let listed = expect(&mut admin, 200, "GET", "/v1/audit?tag=v7", Value::Null);
    assert_eq!(entry, listed["items"][0]);
    // A part of it, in both directions; and what matches nothing, by two filters that match all.
    let ids = |entries: Vec<String>| -> Vec<i64> {
        let entries = entries.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        entries.map(|entry| entry["id"].as_i64().unwrap()).collect()
    };
    let of = |admin: &mut Client, query: &str| {
        ids(lines(admin, &format!("/v1/audit?{query}"), "application/x-ndjson").1)
    };
    let newest = of(&mut admin, "repository=team/app&n=250");
    assert!(newest.len() == 250 && newest.windows(2).all(|pair| pair[0] == pair[1] + 1), "{newest:?}");
    let came = of(&mut admin, &format!("repository=team/app&after={}", newest[249]));
    assert!(came.iter().eq(newest[..249].iter().rev()), "{came:?}");
    assert_eq!(of(&mut admin, "repository=team/app&actor=ci&tag=none"), [0_i64; 0]);
    // Whoever may not read it gets no file.
    let mut ada = server.client();
    let account = serde_json::json!({"name": "ada", "account_type": "human", "password": "long enough"});
    expect(&mut ada, 201, "POST", "/v1/users", account);
    let refused = ask(&mut token_of(&server, "ada", "long enough"), "/v1/audit", "text/csv").0;
    assert_eq!((refused.status, refused.header("content-type")), (403, Some("application/json")));
    let bad = admin.request("GET", "/v1/audit?event_type=x", &[("Accept", "text/csv")], b"");
    assert_eq!(bad.status, 400, "{}", bad.text());
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    let printed =
        mcrctl.run(&["audit", "list", "--csv", "--event", "tag_moved", "--event", "gc_started"], "");
    assert!(printed.status.success());
    assert_eq!(String::from_utf8(printed.stdout).unwrap().lines().collect::<Vec<_>>(), table);
}

#[test]
fn exports_that_nobody_reads_hold_little_and_keep_nobody_waiting() {
    let data = Data::new();
    let server = data.start(&[]);
    fill(&server);
    let mut admin = server.client();
    lines(&mut admin, "/v1/audit", "application/x-ndjson");
    let (idle, files) = (server.resident(), server.open_files("mcr.db"));
    let crowd: Vec<_> = (0..200).map(|_| ask(&mut server.client(), "/v1/audit", "text/csv").1).collect();
    std::thread::sleep(Duration::from_millis(500));
    let grown = server.resident().saturating_sub(idle);
    println!("{} exports: {} MiB more", crowd.len(), grown >> 20);
    assert!(grown <= 48 << 20, "memory grew by {} MiB", grown >> 20);
    assert_eq!(server.open_files("mcr.db"), files, "no connection to the database is held");
    // The log goes on, and so does everybody else; what was asked for before is still what it was then.
    let account = serde_json::json!({"name": "ada", "account_type": "human", "password": "long enough"});
    expect(&mut admin, 201, "POST", "/v1/users", account);
    let first = crowd.into_iter().next().unwrap();
    let read = BufReader::new(Chunks::new(first)).lines().map(Result::unwrap).collect::<Vec<_>>();
    assert!(read.len() as i64 > ENTRIES && !read.iter().any(|line| line.contains("user_created")));
}
