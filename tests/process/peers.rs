//! What clients send because other registries take it, and what only this one does.

use serde_json::json;

use crate::support::content::{MANIFEST, Noise, digest, manifest, push_blob, push_manifest};
use crate::support::http::{Client, Response};
use crate::support::{Data, Server};

/// A registry with the repository `a`, which has a blob of a thousand bytes.
fn start(settings: &[(&str, &str)]) -> (Data, Server, Vec<u8>) {
    let data = Data::new();
    let server = data.start(settings);
    let blob = Noise::new(1).bytes(1000);
    assert_eq!(push_blob(&mut server.client(), "a", &blob).unwrap().status, 201);
    (data, server, blob)
}

/// The first byte, the last byte, the size and the content of each part of an answer.
fn parts(response: &Response) -> Vec<(usize, usize, usize, Vec<u8>)> {
    let content_type = response.header("content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect(content_type);
    let (mut rest, line) = (response.body.as_slice(), format!("--{boundary}"));
    let mut parts = Vec::new();
    loop {
        rest = rest.strip_prefix(line.as_bytes()).expect("a boundary");
        if rest == b"--\r\n" {
            return parts;
        }
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of a part's head");
        let head = String::from_utf8(rest[..end].to_vec()).unwrap();
        let range = head.strip_prefix("\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes ");
        let numbers: Vec<usize> =
            range.expect(&head).split(['-', '/']).map(|number| number.parse().unwrap()).collect();
        let (first, last, size) = (numbers[0], numbers[1], numbers[2]);
        let (content, after) = rest[end + 4..].split_at(last - first + 1);
        parts.push((first, last, size, content.to_vec()));
        rest = after.strip_prefix(b"\r\n").expect("the end of a part");
    }
}

#[test]
fn several_ranges_come_in_one_answer_as_they_were_asked_for() {
    let (_data, server, blob) = start(&[]);
    let (mut client, mut noise) = (server.client(), Noise::new(2));
    let path = format!("/v2/a/blobs/{}", digest(&blob));
    for count in 2..=32 {
        // Ranges that share no byte, out of order, so that none of them is joined with another.
        let width = blob.len() / count;
        let mut asked: Vec<(usize, usize)> =
            (0..count).map(|at| (at * width, at * width + width / 2)).collect();
        asked.sort_by_cached_key(|_| noise.next());
        let ranges: Vec<String> = asked.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        let header = format!("bytes={}", ranges.join(", "));
        let response = client.request("GET", &path, &[("Range", &header)], b"");
        assert_eq!((response.status, response.header("content-range")), (206, None), "{header}");
        let expected: Vec<_> = asked
            .iter()
            .map(|&(first, last)| (first, last, blob.len(), blob[first..=last].to_vec()))
            .collect();
        assert_eq!(parts(&response), expected, "{header}");
    }
    let joined = client.request("GET", &path, &[("Range", "BYTES=0-99,50-199,")], b"");
    assert_eq!((joined.status, joined.header("content-range")), (206, Some("bytes 0-199/1000")));
    assert_eq!(joined.body, blob[..200]);
    let outside = client.request("GET", &path, &[("Range", "bytes=1000-,2000-2001")], b"");
    assert_eq!((outside.status, outside.header("content-range")), (416, Some("bytes */1000")));
    let head = client.request("HEAD", &path, &[("Range", "bytes=0-1,5-6")], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("1000")));
}

/// Pushes by eight clients at once, each under this condition; answers what they heard.
fn race(server: &Server, tag: &str, manifests: &[Vec<u8>], condition: (&str, &str)) -> Vec<Response> {
    std::thread::scope(|scope| {
        let pushes: Vec<_> = manifests
            .iter()
            .map(|manifest| {
                let mut client = server.client();
                let path = format!("/v2/a/manifests/{tag}");
                scope.spawn(move || {
                    client.request("PUT", &path, &[("Content-Type", MANIFEST), condition], manifest)
                })
            })
            .collect();
        pushes.into_iter().map(|push| push.join().unwrap()).collect()
    })
}

#[test]
fn of_all_who_move_a_tag_from_the_same_state_one_succeeds() {
    let (_data, server, blob) = start(&[]);
    let mut client = server.client();
    let manifests: Vec<Vec<u8>> = (0..8)
        .map(|number| {
            let mut document: serde_json::Value =
                serde_json::from_slice(&manifest(std::slice::from_ref(&blob))).unwrap();
            document["annotations"] = json!({"number": number.to_string()});
            document.to_string().into_bytes()
        })
        .collect();
    let mut condition = ("If-None-Match", "*".to_owned());
    let mut now = String::new();
    for round in 0..6 {
        let tag = format!("v{}", round / 3);
        if round % 3 == 0 {
            condition = ("If-None-Match", "*".to_owned());
        }
        // A push of what the tag has already moves nothing, and would leave room for another.
        let racing: Vec<Vec<u8>> =
            manifests.iter().filter(|manifest| digest(manifest) != now).cloned().collect();
        let heard = race(&server, &tag, &racing, (condition.0, &condition.1));
        let (won, lost): (Vec<_>, Vec<_>) = heard.iter().partition(|answer| answer.status == 201);
        assert_eq!(won.len(), 1, "round {round}");
        now =
            client.get(&format!("/v2/a/manifests/{tag}")).header("docker-content-digest").unwrap().to_owned();
        assert_eq!(won[0].header("docker-content-digest"), Some(now.as_str()));
        for refused in lost {
            assert_eq!((refused.status, refused.code().as_str()), (412, "PRECONDITION_FAILED"));
            assert!(refused.text().contains(&now), "{}", refused.text());
        }
        condition = ("If-Match", format!("\"{now}\""));
    }
    let nowhere = [("Content-Type", MANIFEST), ("If-Match", "*")];
    assert_eq!(client.request("PUT", "/v2/a/manifests/none", &nowhere, &manifests[0]).status, 412);
    assert_eq!(client.get("/v2/a/manifests/none").status, 404);
    assert_eq!(client.request("PUT", "/v2/a/manifests/v0", &nowhere, &manifests[0]).status, 201);
}

#[test]
fn a_tag_that_is_not_there_is_not_found_also_where_no_tag_can_be_deleted() {
    let (_data, server, blob) = start(&[]);
    let mut client = server.client();
    assert_eq!(push_manifest(&mut client, "a", "v1", &manifest(&[blob])).unwrap().status, 201);
    let missing = client.request("DELETE", "/v2/a/manifests/v2", &[], b"");
    assert_eq!((missing.status, missing.code().as_str()), (404, "MANIFEST_UNKNOWN"));
    let nowhere = client.request("DELETE", "/v2/b/manifests/v2", &[], b"");
    assert_eq!((nowhere.status, nowhere.code().as_str()), (404, "NAME_UNKNOWN"));
    let there = client.request("DELETE", "/v2/a/manifests/v1", &[], b"");
    assert_eq!((there.status, there.code().as_str()), (405, "UNSUPPORTED"));
}

#[test]
fn an_upload_answers_head_as_it_answers_get() {
    let (_data, server, _blob) = start(&[]);
    let mut client = server.client();
    let begun = client.request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    for bytes in [0, 10, 300] {
        if bytes > 0 {
            assert_eq!(client.request("PATCH", &begun, &[], &vec![7; bytes]).status, 202);
        }
        let (head, get) = (client.request("HEAD", &begun, &[], b""), client.get(&begun));
        for name in ["range", "location", "docker-upload-uuid"] {
            assert_eq!(head.header(name), get.header(name), "{name}");
        }
        assert_eq!((head.status, get.status), (204, 204));
    }
}

#[test]
fn a_mount_of_what_is_no_digest_is_a_push() {
    let (_data, server, _blob) = start(&[]);
    let mut client = server.client();
    for garbage in
        ["garbage", "sha256:short", "md5:00", "%00", "sha256:", "a:b&from=a", "garbage&from=NOT%20VALID"]
    {
        let begun = client.request("POST", &format!("/v2/a/blobs/uploads/?mount={garbage}"), &[], b"");
        assert_eq!(begun.status, 202, "{garbage}: {}", begun.text());
        assert_eq!(client.request("DELETE", &begun.location(), &[], b"").status, 204);
    }
}

#[test]
fn a_slash_too_many_is_told_the_right_path_whatever_the_method() {
    let (_data, server, blob) = start(&[]);
    let mut client = server.client();
    let of_blob = format!("/v2/a/blobs/{}", digest(&blob));
    let paths =
        ["/v2/_catalog", "/v2/a/tags/list", "/v2/a/manifests/v1", &of_blob, "/v1/users", "/v1/gc/status"];
    for right in paths {
        for wrong in [format!("{right}/"), format!("/{right}"), right.replacen('/', "//", 2)] {
            for method in ["GET", "PUT", "DELETE"] {
                let refused = client.request(method, &wrong, &[], b"");
                assert_eq!(refused.status, 404, "{method} {wrong}");
                assert!(
                    refused.text().contains(&format!("the right one is {right}\"")),
                    "{}",
                    refused.text()
                );
            }
        }
    }
    assert_eq!(server.stranger().get("/v2/a/tags/list/").status, 401);
}

#[test]
fn a_media_type_is_the_same_in_any_letter_case_and_a_forms_is_none() {
    let (_data, server, blob) = start(&[]);
    let mut client = server.client();
    let manifest = manifest(&[blob]);
    let push = |client: &mut Client, media_type: &str| {
        client.request("PUT", "/v2/a/manifests/v1", &[("Content-Type", media_type)], &manifest)
    };
    for media_type in
        [MANIFEST.to_ascii_uppercase(), format!("{}; charset=utf-8", MANIFEST.replace("oci", "OCI"))]
    {
        assert_eq!(push(&mut client, &media_type).status, 201, "{media_type}");
        assert_eq!(client.get("/v2/a/manifests/v1").header("content-type"), Some(MANIFEST));
    }
    for form in ["application/x-www-form-urlencoded", "Multipart/Form-Data; boundary=x"] {
        let refused = push(&mut client, form);
        assert_eq!((refused.status, refused.code().as_str()), (400, "MANIFEST_INVALID"), "{form}");
    }
}

#[test]
fn referrers_are_filtered_by_a_type_with_a_plus_however_it_is_sent() {
    let (_data, server, blob) = start(&[]);
    let mut client = server.client();
    let subject = manifest(std::slice::from_ref(&blob));
    for artifact_type in ["application/spdx+json", "application/spdx"] {
        let mut referrer: serde_json::Value = serde_json::from_slice(&subject).unwrap();
        referrer["artifactType"] = json!(artifact_type);
        referrer["subject"] =
            json!({"mediaType": MANIFEST, "digest": digest(&subject), "size": subject.len()});
        let referrer = referrer.to_string().into_bytes();
        assert_eq!(push_manifest(&mut client, "a", &digest(&referrer), &referrer).unwrap().status, 201);
    }
    for sent in ["application/spdx+json", "application/spdx%2Bjson"] {
        let found = client.get(&format!("/v2/a/referrers/{}?artifactType={sent}", digest(&subject)));
        let found: serde_json::Value = serde_json::from_slice(&found.body).unwrap();
        let types: Vec<_> =
            found["manifests"].as_array().unwrap().iter().map(|found| &found["artifactType"]).collect();
        assert_eq!(types, ["application/spdx+json"], "{sent}");
    }
}
