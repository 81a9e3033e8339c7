//! The file of an upload under way.

use std::io;
use std::path::Path;

use bytes::Bytes;

use crate::blob_store::durable::spare_name;
use crate::domain::Hasher;
use crate::fs::{Fs, ReadFile, WriteFile};

/// How much is read at once, in bytes.
const PIECE: usize = 512 * 1024;

/// An empty file to begin with; one that is there holds what a request brought that was never acknowledged.
pub(super) fn new_file(fs: &dyn Fs, path: &Path) -> io::Result<Box<dyn WriteFile>> {
    match fs.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut file = fs.open_to_write(path)?;
            file.truncate(0)?;
            Ok(file)
        }
        created => created,
    }
}

/// The file of an upload that rested, cut to its acknowledged bytes. Its name need not last yet.
pub(super) fn reopen(fs: &dyn Fs, path: &Path, acknowledged: u64) -> io::Result<Box<dyn WriteFile>> {
    // Finishing was cut short and left the file under a blob's name too, and a blob's file is never written to.
    if fs.links(path)? > 1 {
        replace_by_copy(fs, path, acknowledged)?;
    }
    let mut file = fs.open_to_write(path)?;
    file.truncate(acknowledged)?;
    Ok(file)
}

/// Puts a copy of the first `length` bytes under the name of the file. At every moment one of both has it.
fn replace_by_copy(fs: &dyn Fs, path: &Path, length: u64) -> io::Result<()> {
    let copy = spare_name(path);
    let replaced = copy_start(fs, path, &copy, length).and_then(|()| fs.rename(&copy, path));
    if replaced.is_err() {
        // What stays behind is a stray.
        let _stray = fs.remove(&copy);
    }
    replaced
}

fn copy_start(fs: &dyn Fs, from: &Path, to: &Path, length: u64) -> io::Result<()> {
    let mut file = fs.create(to)?;
    read_start(fs, from, length, |piece| file.append(&[Bytes::copy_from_slice(piece)]))?;
    file.sync()
}

/// Hashes the first `length` bytes of a file.
pub(crate) fn hash_file(fs: &dyn Fs, path: &Path, length: u64, hasher: Hasher) -> io::Result<Hasher> {
    hash_start(fs.open_to_read(path)?.as_ref(), length, hasher)
}

/// The same of a file that is open.
pub(super) fn hash_start(file: &dyn ReadFile, length: u64, mut hasher: Hasher) -> io::Result<Hasher> {
    read_open(file, length, |piece| {
        hasher.update(piece);
        Ok(())
    })?;
    Ok(hasher)
}

/// Reads the first `length` bytes of a file; `UnexpectedEof` when it has fewer.
pub(crate) fn read_start(
    fs: &dyn Fs,
    path: &Path,
    length: u64,
    take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    read_open(fs.open_to_read(path)?.as_ref(), length, take)
}

fn read_open(
    file: &dyn ReadFile,
    length: u64,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; usize::try_from(length).unwrap_or(PIECE).min(PIECE)];
    let mut at = 0;
    while at < length {
        let wanted = buffer.len().min(usize::try_from(length - at).unwrap_or(usize::MAX));
        match file.read_at(&mut buffer[..wanted], at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                take(&buffer[..read])?;
                at += read as u64;
            }
        }
    }
    Ok(())
}
