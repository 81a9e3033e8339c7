//! The file system of the machine.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use bytes::Bytes;
use rustix::fs::OFlags;
use rustix::io::{Errno, ReadWriteFlags};

use super::{Fs, NotAFile, ReadFile, WriteFile};

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFs;

/// Names are ours; a symbolic link in the place of one is not followed.
fn nofollow() -> i32 {
    OFlags::NOFOLLOW.bits().cast_signed()
}

impl Fs for RealFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(nofollow())
            .open(path)?;
        Ok(Box::new(RealWriteFile::new(file, 0)))
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let file = OpenOptions::new().write(true).custom_flags(nofollow()).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(NotAFile::error(path));
        }
        Ok(Box::new(RealWriteFile::new(file, metadata.len())))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let file = OpenOptions::new().read(true).custom_flags(nofollow()).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(NotAFile::error(path));
        }
        Ok(Box::new(RealReadFile { file, len: metadata.len() }))
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Err(NotAFile::error(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn links(&self, path: &Path) -> io::Result<u64> {
        let metadata = std::fs::symlink_metadata(path)?;
        if metadata.is_file() { Ok(metadata.nlink()) } else { Err(NotAFile::error(path)) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.len(path)?.is_none() {
            return Ok(());
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => Ok(metadata.is_dir()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
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

    fn device(&self, path: &Path) -> io::Result<u64> {
        Ok(std::fs::metadata(path)?.dev())
    }
}

/// Bytes after which what was written is sent to the disk in the background, so that the last sync finds little left.
const AHEAD: u64 = 32 * 1024 * 1024;

struct RealWriteFile {
    file: File,
    end: u64,
    /// Up to where the background was told to sync.
    sent: u64,
    /// The sync in the background. What it answers counts: the system tells of a failed write once only.
    ahead: Option<JoinHandle<io::Result<()>>>,
}

impl RealWriteFile {
    fn new(file: File, end: u64) -> Self {
        Self { file, end, sent: end, ahead: None }
    }

    /// Begins to sync what was written, unless the disk is still busy with the last part.
    fn send_ahead(&mut self) -> io::Result<()> {
        if self.end < self.sent.saturating_add(AHEAD)
            || self.ahead.as_ref().is_some_and(|ahead| !ahead.is_finished())
        {
            return Ok(());
        }
        self.await_ahead()?;
        self.sent = self.end;
        // Without a handle or a thread to spare, the last sync does it all.
        let Ok(file) = self.file.try_clone() else { return Ok(()) };
        let sync = std::thread::Builder::new().name("sync".to_owned());
        self.ahead = sync.spawn(move || file.sync_data()).ok();
        Ok(())
    }

    /// Waits for the background, and for what became of it.
    fn await_ahead(&mut self) -> io::Result<()> {
        match self.ahead.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(synced)) => synced,
            Some(Err(_)) => Err(io::Error::other("the thread that syncs a file panicked")),
        }
    }
}

impl WriteFile for RealWriteFile {
    fn append(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        for piece in pieces {
            self.file.write_all_at(piece, self.end)?;
            self.end += piece.len() as u64;
        }
        self.send_ahead()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if len > self.file.metadata()?.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.set_len(len)?;
        (self.end, self.sent) = (len, self.sent.min(len));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        // It has a handle of its own, which must be closed before the file is published.
        self.await_ahead()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_ahead_is_awaited_by_the_last_sync() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
        let mut file = RealWriteFile::new(file, 0);
        let piece = Bytes::from(vec![7; 1 << 20]);
        for _ in 0..40 {
            file.append(std::slice::from_ref(&piece)).unwrap();
        }
        assert!(file.ahead.is_some(), "nothing was sent ahead");
        file.truncate(1 << 20).unwrap();
        file.append(&[piece]).unwrap();
        file.sync().unwrap();
        assert!(file.ahead.is_none(), "a handle is left that could write");
        assert_eq!(std::fs::read(&path).unwrap(), vec![7; 2 << 20]);
    }
}
