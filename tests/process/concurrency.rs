//! Many clients at once: no 5xx, and one copy of each blob.

use std::collections::HashSet;
use std::sync::Barrier;

use crate::support::Data;
use crate::support::content::{Noise, digest, manifest, push_blob, push_blob_by_patch, push_manifest};

const CLIENTS: u64 = 32;

#[test]
fn thirty_two_clients_push_the_same_image_and_different_ones() {
    let data = Data::new();
    let server = data.start(&[]);
    let shared: Vec<Vec<u8>> = (0..4).map(|index| Noise::new(index).bytes(100_000)).collect();
    let all_at_once = Barrier::new(usize::try_from(CLIENTS).unwrap());
    let digests: Vec<HashSet<String>> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (mut client, shared, all_at_once) = (server.client(), &shared, &all_at_once);
                scope.spawn(move || {
                    let own: Vec<Vec<u8>> =
                        (0..4).map(|index| Noise::new(1000 + number * 10 + index).bytes(50_000)).collect();
                    all_at_once.wait();
                    let mut digests = HashSet::new();
                    for (repository, blobs) in [("same", shared), (&*format!("own/{number}"), &own)] {
                        for (index, blob) in blobs.iter().enumerate() {
                            let pushed = match (number + index as u64) % 2 {
                                0 => push_blob(&mut client, repository, blob).unwrap(),
                                _ => push_blob_by_patch(&mut client, repository, blob).unwrap(),
                            };
                            assert_eq!(pushed.status, 201, "{}", pushed.text());
                            let head = format!("/v2/{repository}/blobs/{}", digest(blob));
                            assert_eq!(client.request("HEAD", &head, &[], b"").status, 200);
                            digests.insert(digest(blob));
                        }
                        let pushed = push_manifest(&mut client, repository, "v1", &manifest(blobs)).unwrap();
                        assert_eq!(pushed.status, 201, "{}", pushed.text());
                    }
                    digests
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let expected: HashSet<String> = digests.into_iter().flatten().collect();
    let files = server.files("layers");
    let found: HashSet<String> =
        files.iter().map(|path| format!("sha256:{}", path.file_name().unwrap().to_str().unwrap())).collect();
    assert_eq!((files.len(), &found), (expected.len(), &expected));
    assert!(server.files("uploads").is_empty(), "{:?}", server.files("uploads"));
}
