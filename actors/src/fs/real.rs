//! The file system of the machine.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::{Fs, ReadFile, WriteFile};

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFs;

/// Names are ours; a symbolic link in the place of one is not followed.
fn nofollow() -> i32 {
    OFlags::NOFOLLOW.bits().cast_signed()
}

fn not_a_file(path: &Path) -> io::Error {
    io::Error::other(format!("{} is not a regular file", path.display()))
}

impl Fs for RealFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(nofollow())
            .open(path)?;
        Ok(Box::new(RealWriteFile { file, end: 0 }))
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let file = OpenOptions::new().write(true).custom_flags(nofollow()).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(not_a_file(path));
        }
        Ok(Box::new(RealWriteFile { file, end: metadata.len() }))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let file = OpenOptions::new().read(true).custom_flags(nofollow()).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(not_a_file(path));
        }
        Ok(Box::new(RealReadFile { file, len: metadata.len() }))
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Err(not_a_file(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn create_dir(&self, path: &Path) -> io::Result<bool> {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| PathBuf::from(entry.file_name()))).collect()
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        let space = rustix::fs::statvfs(path)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

struct RealWriteFile {
    file: File,
    end: u64,
}

impl WriteFile for RealWriteFile {
    fn append(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        for piece in pieces {
            self.file.write_all_at(piece, self.end)?;
            self.end += piece.len() as u64;
        }
        Ok(())
    }

    fn reserve(&mut self, len: u64) -> io::Result<()> {
        if len <= self.end {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.end, len - self.end) {
            // A file system without the means writes as it comes.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if len > self.file.metadata()?.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.set_len(len)?;
        self.end = len;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

struct RealReadFile {
    file: File,
    len: u64,
}

impl ReadFile for RealReadFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    fn read_cached_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let mut buffers = [io::IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&self.file, &mut buffers, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(Some(read)),
            // Not in memory, or a kernel or file system that cannot tell.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
