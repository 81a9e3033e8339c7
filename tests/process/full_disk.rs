//! A full disk refuses what needs space, keeps what was there, and is over when there is space again.

use std::path::Path;
use std::process::Command;

use crate::support::Data;
use crate::support::content::{Noise, digest, manifest, push_blob, push_blob_by_patch, push_manifest};

/// A small file system; unmounted when it goes out of scope.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None` where this user may not mount.
    fn mount(at: &'a Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .output()
            .ok()?;
        mount.status.success().then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} is still mounted", self.0.display());
    }
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let data = Data::new();
    let at = data.path().join("data");
    let Some(_disk) = SmallDisk::mount(&at, "24m") else {
        println!("SKIPPED: mounting a small file system needs root");
        return;
    };
    let server = data.start(&[("MCR_STORAGE_MIN_FREE", "0")]);
    let mut client = server.client();
    let kept = Noise::new(1).bytes(1 << 20);
    assert_eq!(push_blob(&mut client, "a", &kept).unwrap().status, 201);
    assert_eq!(
        push_manifest(&mut client, "a", "v1", &manifest(std::slice::from_ref(&kept))).unwrap().status,
        201
    );
    let begun = client.request("POST", "/v2/a/blobs/uploads/", &[], b"");
    let part = Noise::new(2).bytes(1 << 20);
    assert_eq!(client.request("PATCH", &begun.location(), &[], &part).status, 202);

    let large = Noise::new(3).bytes(32 << 20);
    for refused in [push_blob(&mut client, "a", &large), push_blob_by_patch(&mut client, "a", &large)] {
        let refused = refused.unwrap();
        assert_eq!(refused.status, 507, "{}", refused.text());
        assert!(refused.text().contains("\"errors\""), "{}", refused.text());
    }
    fill(&at);
    let refused = push_blob(&mut client, "a", &part).unwrap();
    assert_eq!(refused.status, 507, "{}", refused.text());
    // The bytes are there, only the row finds no room: docker sends this request again.
    let put = format!("{}?digest={}", begun.location(), digest(&part));
    let refused = client.request("PUT", &put, &[], b"");
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert_eq!(client.get("/v2/a/manifests/v1").body, manifest(std::slice::from_ref(&kept)));
    assert_eq!(client.get(&format!("/v2/a/blobs/{}", digest(&kept))).body, kept);

    std::fs::remove_file(at.join("filler")).unwrap();
    let status = client.get(&begun.location());
    assert_eq!(status.header("range"), Some("0-1048575"));
    let finished = client.request("PUT", &put, &[], b"");
    assert_eq!(finished.status, 201, "{}", finished.text());
    assert_eq!(client.get(&format!("/v2/a/blobs/{}", digest(&part))).body, part);
}

/// Leaves no byte free.
fn fill(at: &Path) {
    use std::io::Write;
    let mut filler = std::fs::File::create(at.join("filler")).unwrap();
    for size in [1 << 20, 4096] {
        while filler.write_all(&vec![1; size]).is_ok() {}
    }
}

#[test]
fn a_body_that_does_not_say_its_length_leaves_what_must_stay_free() {
    let data = Data::new();
    let at = data.path().join("data");
    let Some(_disk) = SmallDisk::mount(&at, "24m") else {
        println!("SKIPPED: mounting a small file system needs root");
        return;
    };
    let server = data.start(&[("MCR_STORAGE_MIN_FREE", "12MiB")]);
    let mut client = server.client();
    let location = client.request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    // It would fit onto the disk.
    let mut body = b"1000000\r\n".to_vec();
    body.extend(Noise::new(1).bytes(16 << 20));
    body.extend_from_slice(b"\r\n0\r\n\r\n");
    let refused = client.request("PATCH", &location, &[("Transfer-Encoding", "chunked")], &body);
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert_eq!(client.get(&location).header("range"), Some("0-0"));
    assert_eq!(client.request("PATCH", &location, &[], b"abc").status, 202);
    let done = client.request("PUT", &format!("{location}?digest={}", digest(b"abc")), &[], b"");
    assert_eq!(done.status, 201, "{}", done.text());
}

#[test]
fn below_min_free_uploads_are_refused_before_a_byte_is_read_and_deletes_go_on() {
    let data = Data::new();
    let server = data.start(&[]);
    let blob = Noise::new(1).bytes(1000);
    assert_eq!(push_blob(&mut server.client(), "a", &blob).unwrap().status, 201);
    drop(server);
    let server = data.start(&[("MCR_STORAGE_MIN_FREE", "1000TiB")]);
    let mut client = server.client();
    let refused = client.request("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(refused.status, 507, "{}", refused.text());
    let path = format!("/v2/a/blobs/{}", digest(&blob));
    assert_eq!(client.get(&path).status, 200);
    assert_eq!(client.request("DELETE", &path, &[], b"").status, 202);
}
