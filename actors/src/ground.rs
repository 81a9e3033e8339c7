//! Tries at a start, in the real directories, what everything else rests on, so that it is said then and not with every push.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;

use crate::blob_store::durable::{cannot_link, spare_name};
use crate::db::failure::is_no_room;
use crate::fs::Fs;
use crate::mend::{self, Use};

/// What the file is called that is tried with, among the blobs.
const PROBE: &str = ".mcr-probe";

/// The ground does not bear a registry.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}: {source}{}", directory.display(), mend::of_file(directory, Use::Directory(directory), source))]
pub struct GroundError {
    /// Where it was tried.
    pub directory: PathBuf,
    /// What cannot be done there, and what to do about it.
    pub what: &'static str,
    /// What the system said.
    pub source: io::Error,
}

fn cannot(directory: &Path, what: &'static str) -> impl FnOnce(io::Error) -> GroundError + use<> {
    let directory = directory.to_owned();
    move |source| GroundError { directory, what, source }
}

/// Makes a file, syncs it, its name and its directory, gives it a second name, and moves it from the uploads to the blobs. Where
/// files can have no second name, it says so: what needs one is copied then. On a full disk nothing is tried.
///
/// # Errors
/// When something cannot be done that there is no other way for.
pub fn test(uploads: &Path, layers: &Path, min_free: u64, fs: &dyn Fs) -> Result<(), GroundError> {
    let free = fs.free_space(layers).map_err(cannot(layers, "nobody can tell how much is free there"))?;
    if free < min_free {
        log::warn!(
            "{free} bytes are free at {}, less than storage.min_free: what adds is refused",
            layers.display()
        );
    }
    let probe = uploads.join(Uuid::new_v4().to_string());
    let moved = layers.join(PROBE);
    let tried = walk(&probe, &moved, uploads, layers, fs);
    for left in [&probe, &moved] {
        if let Err(error) = fs.remove(left) {
            log::warn!("{} stays: {error}", left.display());
        }
    }
    match tried {
        Err(error) if is_no_room(error.source.kind()) => {
            log::warn!("the ground is not tested, since the disk is full: {error}");
            Ok(())
        }
        tried => tried,
    }
}

fn walk(probe: &Path, moved: &Path, uploads: &Path, layers: &Path, fs: &dyn Fs) -> Result<(), GroundError> {
    let write = || {
        let mut file = fs.create(probe)?;
        file.append(&[Bytes::from_static(b"probe")])?;
        file.sync()
    };
    write().map_err(cannot(
        uploads,
        "no file can be written and synced there: see to its rights and its disk",
    ))?;
    let last = "names cannot be made to last there (fsync of a directory): use another file system";
    fs.sync_dir(uploads).map_err(cannot(uploads, last))?;
    try_link(probe, uploads, fs)?;
    let apart =
        "a file of storage.uploads_path cannot be moved there: both must be writable and on one file system";
    fs.rename(probe, moved).map_err(cannot(layers, apart))?;
    fs.sync_dir(layers).map_err(cannot(layers, last))
}

fn try_link(probe: &Path, uploads: &Path, fs: &dyn Fs) -> Result<(), GroundError> {
    let second = spare_name(probe);
    match fs.link(probe, &second) {
        Ok(()) => fs.remove(&second).map_err(cannot(uploads, "a file cannot be removed there")),
        Err(error) if cannot_link(&error) => {
            log::warn!(
                "{}: files cannot have second names there (hard links): each blob that is pushed in parts is copied once, and so \
                 is each blob of a snapshot: {error}",
                uploads.display()
            );
            Ok(())
        }
        Err(error) => Err(cannot(uploads, "a file cannot be given a second name there")(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::fake::FakeFs;

    fn places(fs: &FakeFs) -> (PathBuf, PathBuf) {
        let places = ["/uploads", "/layers"].map(PathBuf::from);
        for place in &places {
            fs.create_dir(place).unwrap();
        }
        let [uploads, layers] = places;
        (uploads, layers)
    }

    #[test]
    fn whatever_fails_it_is_refused_with_a_sentence_or_done_without_and_nothing_is_left() {
        for kind in [io::ErrorKind::Other, io::ErrorKind::Unsupported, io::ErrorKind::StorageFull] {
            let (mut refused, mut call) = (0, 0);
            loop {
                let fs = FakeFs::default();
                let (uploads, layers) = places(&fs);
                let before = fs.calls();
                fs.fail_after(call, kind);
                let tried = test(&uploads, &layers, 0, &fs);
                let reached = fs.calls() - before > call;
                fs.heal();
                if let Err(error) = &tried {
                    assert!(error.what.len() > 20, "{error}");
                    refused += 1;
                }
                if !reached {
                    assert!(tried.is_ok());
                    break;
                }
                // A removal that failed once is a stray.
                assert!(fs.tree().len() <= 1, "{call} {kind}: {:?}", fs.tree());
                call += 1;
            }
            assert!(call > 8, "{call} calls only");
            let all_but = match kind {
                // Made and written half, or not at all: it goes on.
                io::ErrorKind::StorageFull => refused <= 1,
                _ => refused >= 6,
            };
            assert!(all_but, "{refused} refusals of {call} for {kind}");
        }
    }
}
