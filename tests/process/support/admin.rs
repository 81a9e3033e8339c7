//! The admin API as the tests speak it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Server;
use super::http::{Client, Response};

pub(crate) fn value(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_default()
}

pub(crate) fn send(client: &mut Client, method: &str, path: &str, body: &Value) -> Response {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    client.request(method, path, &[("Content-Type", "application/json")], &body)
}

/// Sends, expects this status, and answers the body.
pub(crate) fn expect(client: &mut Client, status: u16, method: &str, path: &str, body: Value) -> Value {
    let response = send(client, method, path, &body);
    assert_eq!(response.status, status, "{method} {path}: {}", response.text());
    value(&response)
}

pub(crate) fn token_of(server: &Server, name: &str, password: &str) -> Client {
    let body = json!({"username": name, "password": password});
    let given = expect(&mut server.stranger(), 200, "POST", "/v1/auth/login", body);
    server.stranger().authorized(&format!("Bearer {}", given["token"].as_str().unwrap()))
}

pub(crate) fn password(server: &Server) -> String {
    std::fs::read_to_string(server.data.join("admin-password")).unwrap().trim().to_owned()
}

/// A whole sweep, which takes files without a row however many they are; answers its report.
pub(crate) fn sweep_to_the_end(server: &Server) -> Value {
    let mut client = server.client();
    expect(&mut client, 202, "POST", "/v1/gc", json!({"take_strays": true}));
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let status = expect(&mut client, 200, "GET", "/v1/gc/status", Value::Null);
        if status["state"] == "idle" {
            return status["last"].clone();
        }
        assert!(Instant::now() < deadline, "a sweep does not end: {status}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
