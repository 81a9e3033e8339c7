//! Room on the database's disk that the registry keeps for itself: a file full of bytes, given up when nothing else is left and taken
//! again when there is room. It lets deletes, sweeps and logins go on although others have filled the disk.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::fs::Fs;
use crate::fs::real::RealFs;

/// How many bytes are kept.
pub const RESERVE: u64 = 8 * 1024 * 1024;
/// How the file begins, so that no other is taken for it.
const MARK: &[u8] = b"mcr reserve 1\n";
/// What is left of it when a half is no longer worth while, in bytes.
const LITTLE: u64 = 1024 * 1024;
/// How often it is tried to take it again.
const AGAIN: Duration = Duration::from_secs(5);
/// Bytes written at once.
const PIECE: usize = 64 * 1024;

/// The file `<database>.reserve`, beside the real database.
#[derive(Debug)]
pub struct Reserve {
    database: PathBuf,
    size: u64,
    whole: bool,
    owed: Owed,
    tried: Option<Instant>,
}

/// How many bytes were given up and not taken again: free, and not for those who only add. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Owed(Arc<AtomicU64>);

impl Owed {
    /// The bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

impl Reserve {
    /// `size` bytes beside the database; none where that is 0.
    pub fn beside(database: &Path, size: u64) -> Self {
        Self { database: database.to_owned(), size, whole: false, owed: Owed::default(), tried: None }
    }

    fn path(&self) -> PathBuf {
        let database = fs::canonicalize(&self.database).unwrap_or_else(|_| self.database.clone());
        let mut name = database.file_name().unwrap_or_default().to_owned();
        name.push(".reserve");
        database.with_file_name(name)
    }

    /// How much of it is given up.
    pub(super) fn owed(&self) -> Owed {
        self.owed.clone()
    }

    /// Gives up half of what is left of it, for whatever failed since the disk is full. Says whether there was any.
    pub(crate) fn give_up(&mut self) -> bool {
        match give_up_half(&self.path()) {
            Ok(None) => false,
            Ok(Some(left)) => {
                self.whole = false;
                self.owed.set(self.size.saturating_sub(left));
                log::warn!(
                    "the disk is full: room is given up that was kept for this, {left} bytes are left of it"
                );
                true
            }
            Err(error) => {
                log::warn!("the room that was kept for a full disk cannot be given up: {error}");
                false
            }
        }
    }

    /// Tries again in room that is given up, as long as it fails since the disk is full.
    pub(crate) fn lend<T, E>(
        &mut self,
        is_full: impl Fn(&E) -> bool,
        mut work: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        loop {
            match work() {
                Err(error) if is_full(&error) && self.give_up() => {}
                done => return done,
            }
        }
    }

    /// Takes it, or takes it again, when as much again is left for others. Looks once in a few seconds at most.
    pub(crate) fn take(&mut self) {
        if self.whole || self.size == 0 || self.tried.is_some_and(|tried| tried.elapsed() < AGAIN) {
            return;
        }
        let first = self.tried.replace(Instant::now()).is_none();
        match fill(&self.path(), self.size) {
            Ok(missing) => {
                self.whole = missing == Some(0);
                self.owed.set(missing.unwrap_or(0));
            }
            Err(error) => log::warn!("no room can be kept for a full disk: {error}"),
        }
        if first && !self.whole {
            log::warn!("no room is kept for a full disk, since too little is free");
        }
    }
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(create).mode(0o600).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other(format!("{} is not a regular file", path.display())))
    }
}

/// Whether it is ours: as it was made, or as it is when all was given up.
fn is_own(file: &File) -> io::Result<bool> {
    let mut mark = [0; MARK.len()];
    Ok(file.metadata()?.len() == 0 || (file.read_at(&mut mark, 0)? == MARK.len() && mark == MARK))
}

/// How many bytes are left; `None` when none were there.
fn give_up_half(path: &Path) -> io::Result<Option<u64>> {
    let file = match open(path, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let length = file.metadata()?.len();
    if length == 0 || !is_own(&file)? {
        return Ok(None);
    }
    let left = if length > LITTLE { length / 2 } else { 0 };
    file.set_len(left)?;
    // Some file systems have the room only when this lasts.
    file.sync_all()?;
    Ok(Some(left))
}

/// Writes what is missing, with bytes that no file system makes smaller. Says how much is missing still; nothing when there was never
/// any.
fn fill(path: &Path, size: u64) -> io::Result<Option<u64>> {
    let free = RealFs.free_space(path.parent().unwrap_or(Path::new("/")))?;
    let have = match fs::symlink_metadata(path) {
        Ok(metadata) => Some(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let missing = size.saturating_sub(have.unwrap_or(0));
    if missing == 0 || free < missing.saturating_add(size) {
        return Ok(have.map(|_| missing));
    }
    let have = have.unwrap_or(0);
    let file = open(path, true)?;
    if !is_own(&file)? {
        return Err(io::Error::other(format!("{} is not the registry's: move it away", path.display())));
    }
    let written = write_noise(&file, have, size).and_then(|()| file.sync_all());
    if written.is_err() {
        file.set_len(have)?;
    }
    written.map(|()| Some(0))
}

fn write_noise(file: &File, mut at: u64, size: u64) -> io::Result<()> {
    let mut noise = at | 1;
    let mut piece = vec![0; PIECE];
    while at < size {
        for byte in &mut piece {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            *byte = noise.to_le_bytes()[0];
        }
        if at == 0 {
            piece[..MARK.len()].copy_from_slice(MARK);
        }
        let length = usize::try_from(size - at).unwrap_or(usize::MAX).min(PIECE);
        file.write_all_at(&piece[..length], at)?;
        at += length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(directory: &Path) -> u64 {
        fs::metadata(directory.join("mcr.db.reserve")).map_or(0, |file| file.len())
    }

    #[test]
    fn it_is_given_up_by_halves_until_nothing_is_left_and_taken_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::beside(&directory.path().join("mcr.db"), RESERVE);
        assert!(!reserve.give_up(), "there is none yet");
        reserve.take();
        assert_eq!(length(directory.path()), RESERVE);
        let mut left = RESERVE;
        while reserve.give_up() {
            assert!(length(directory.path()) <= left / 2);
            left = length(directory.path());
        }
        assert_eq!(left, 0);
        reserve.tried = None;
        reserve.take();
        assert_eq!(length(directory.path()), RESERVE);
        assert!(fs::read(directory.path().join("mcr.db.reserve")).unwrap().starts_with(MARK));
    }

    #[test]
    fn what_is_not_its_own_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mcr.db.reserve");
        let mut reserve = Reserve::beside(&directory.path().join("mcr.db"), RESERVE);
        fs::write(&path, "precious").unwrap();
        reserve.take();
        assert!(!reserve.give_up());
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::rename(&path, directory.path().join("precious")).unwrap();
        std::os::unix::fs::symlink("precious", &path).unwrap();
        reserve.tried = None;
        reserve.take();
        assert!(!reserve.give_up());
        assert_eq!(fs::read(directory.path().join("precious")).unwrap(), b"precious");
    }
}
