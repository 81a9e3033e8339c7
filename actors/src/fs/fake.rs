//! A file system in memory that loses what was not synced and fails when it is told to.
//!
//! [`FakeFs::crash`] answers what a machine finds after its power was cut: content as it was last synced, or with any part
//! of what came later; names as their directory was last synced, or with any of the later changes. Which, the seed
//! decides, so that a test searches by trying seeds. It is harsher than any real file system.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Fs, NotAFile, ReadFile, WriteFile};

/// A pretended disk; clones are the same one.
#[derive(Debug, Clone)]
pub struct FakeFs(Arc<Mutex<Disk>>);

type Inode = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    File(Inode),
    Directory,
}

/// What is now, and what would be there after a power cut.
#[derive(Debug, Clone, Default)]
struct Twice<T> {
    now: T,
    lasting: T,
}

type Names = BTreeMap<OsString, Entry>;

#[derive(Debug, Default)]
struct Disk {
    files: Vec<Twice<Vec<u8>>>,
    directories: BTreeMap<PathBuf, Twice<Names>>,
    calls: u64,
    cut_at: Option<u64>,
    fail_at: Option<(u64, io::ErrorKind)>,
    free: u64,
    device: u64,
    /// Renames to this name and below it wait.
    held: Option<PathBuf>,
}

impl Default for FakeFs {
    fn default() -> Self {
        let mut disk = Disk { free: u64::MAX / 2, ..Disk::default() };
        disk.directories.insert(PathBuf::from("/"), Twice::default());
        Self(Arc::new(Mutex::new(disk)))
    }
}

/// A small generator of choices: the same seed makes the same.
struct Choices(u64);

impl Choices {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % end.max(1)
    }
}

impl FakeFs {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls were made so far.
    pub fn calls(&self) -> u64 {
        self.disk().calls
    }

    /// The power goes after `calls` more: from then on every call fails and changes nothing.
    pub fn cut_after(&self, calls: u64) {
        let mut disk = self.disk();
        let at = disk.calls + calls;
        disk.cut_at = Some(disk.cut_at.map_or(at, |cut_at| cut_at.min(at)));
    }

    /// Whether the power has gone.
    pub fn is_cut(&self) -> bool {
        let disk = self.disk();
        disk.cut_at.is_some_and(|at| disk.calls >= at)
    }

    /// The call after `calls` more fails, and does only half of what it should.
    pub fn fail_after(&self, calls: u64, kind: io::ErrorKind) {
        let mut disk = self.disk();
        disk.fail_at = Some((disk.calls + calls, kind));
    }

    /// Nothing will fail any more.
    pub fn heal(&self) {
        self.disk().fail_at = None;
    }

    /// Leaves room for so many bytes.
    pub fn set_free(&self, bytes: u64) {
        self.disk().free = bytes;
    }

    /// Another disk is seen in the place of this one, with the same in it.
    pub fn set_device(&self, device: u64) {
        self.disk().device = device;
    }

    /// From now on renames to what is below `place` wait until this is called again with another place, or none.
    pub fn hold_renames(&self, place: Option<PathBuf>) {
        self.disk().held = place;
    }

    /// The disk, once nothing holds a rename to `to`.
    fn disk_for_rename(&self, to: &Path) -> MutexGuard<'_, Disk> {
        loop {
            let disk = self.disk();
            if disk.held.as_ref().is_none_or(|held| !to.starts_with(held)) {
                return disk;
            }
            drop(disk);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// The power goes now: every call from here on fails, so nothing of the run that ends comes after what is found. Answers
    /// that, by the choices of `seed`.
    pub fn crash(&self, seed: u64) -> Self {
        self.cut_after(0);
        self.found_after_a_cut(seed)
    }

    fn found_after_a_cut(&self, seed: u64) -> Self {
        let disk = self.disk();
        let mut choices = Choices(seed);
        let files = disk.files.iter().map(|file| settled(surviving_content(file, &mut choices))).collect();
        let mut found = Disk { files, free: disk.free, ..Disk::default() };
        // Parents come before their children, so a directory that did not survive takes what is in it along.
        for (path, names) in &disk.directories {
            let names = surviving_names(names, &mut choices);
            let reachable = match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) => found
                    .directories
                    .get(parent)
                    .is_some_and(|above| above.now.get(name) == Some(&Entry::Directory)),
                _ => true,
            };
            if reachable {
                found.directories.insert(path.clone(), settled(names));
            }
        }
        Self(Arc::new(Mutex::new(found)))
    }

    /// All files with their content, by path.
    pub fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let disk = self.disk();
        let mut tree = BTreeMap::new();
        for (path, names) in &disk.directories {
            for (name, entry) in &names.now {
                if let Entry::File(inode) = entry {
                    tree.insert(path.join(name), disk.files[*inode].now.clone());
                }
            }
        }
        tree
    }
}

fn settled<T: Clone>(value: T) -> Twice<T> {
    Twice { now: value.clone(), lasting: value }
}

/// What was synced, what was written, or what was synced with a part of what came after.
fn surviving_content(file: &Twice<Vec<u8>>, choices: &mut Choices) -> Vec<u8> {
    match choices.below(3) {
        0 => file.lasting.clone(),
        1 => file.now.clone(),
        _ if file.now.starts_with(&file.lasting) => {
            let more = choices.below(file.now.len() - file.lasting.len() + 1);
            file.now[..file.lasting.len() + more].to_vec()
        }
        _ => file.lasting.clone(),
    }
}

/// Each name that changed since the last sync is as it was or as it became.
fn surviving_names(names: &Twice<Names>, choices: &mut Choices) -> Names {
    let mut survivors = Names::new();
    let all = names.now.keys().chain(names.lasting.keys());
    for name in all.collect::<std::collections::BTreeSet<_>>() {
        let (now, lasting) = (names.now.get(name), names.lasting.get(name));
        let survivor = if now == lasting || choices.below(2) == 0 { lasting } else { now };
        if let Some(entry) = survivor {
            survivors.insert(name.clone(), *entry);
        }
    }
    survivors
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, path.display().to_string())
}

fn split(path: &Path) -> io::Result<(&Path, OsString)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, name.to_owned())),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

impl Disk {
    /// Counts a call. `Err` when it must change nothing, `Ok(true)` when it must do half and fail.
    fn call(&mut self) -> io::Result<Option<io::ErrorKind>> {
        let number = self.calls;
        self.calls += 1;
        if self.cut_at.is_some_and(|at| number >= at) {
            return Err(io::Error::other("the power is gone"));
        }
        match self.fail_at {
            Some((at, kind)) if number == at => Ok(Some(kind)),
            _ => Ok(None),
        }
    }

    /// A call that does nothing when it fails.
    fn simple_call(&mut self) -> io::Result<()> {
        self.call()?.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn names(&mut self, directory: &Path) -> io::Result<&mut Twice<Names>> {
        self.directories.get_mut(directory).ok_or_else(|| not_found(directory))
    }

    fn entry(&mut self, path: &Path) -> io::Result<Option<Entry>> {
        let (parent, name) = split(path)?;
        Ok(self.names(parent)?.now.get(&name).copied())
    }

    fn file(&mut self, path: &Path) -> io::Result<Inode> {
        match self.entry(path)? {
            Some(Entry::File(inode)) => Ok(inode),
            Some(Entry::Directory) => Err(NotAFile::error(path)),
            None => Err(not_found(path)),
        }
    }
}

impl Fs for FakeFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let mut disk = self.disk();
        disk.simple_call()?;
        if disk.entry(path)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = disk.files.len();
        disk.files.push(Twice::default());
        let (parent, name) = split(path)?;
        disk.names(parent)?.now.insert(name, Entry::File(inode));
        Ok(Box::new(FakeFile { fs: self.clone(), inode }))
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let mut disk = self.disk();
        disk.simple_call()?;
        Ok(Box::new(FakeFile { fs: self.clone(), inode: disk.file(path)? }))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let mut disk = self.disk();
        disk.simple_call()?;
        let inode = disk.file(path)?;
        Ok(Box::new(FakeReadFile(disk.files[inode].now.clone())))
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        let mut disk = self.disk();
        disk.simple_call()?;
        match disk.file(path) {
            Ok(inode) => Ok(Some(disk.files[inode].now.len() as u64)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn links(&self, path: &Path) -> io::Result<u64> {
        let mut disk = self.disk();
        disk.simple_call()?;
        let file = Entry::File(disk.file(path)?);
        let entries = disk.directories.values().flat_map(|names| names.now.values());
        Ok(entries.filter(|entry| **entry == file).count() as u64)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk_for_rename(to);
        disk.simple_call()?;
        let inode = disk.file(from)?;
        let ((to_parent, to_name), (from_parent, from_name)) = (split(to)?, split(from)?);
        disk.names(to_parent)?.now.insert(to_name, Entry::File(inode));
        disk.names(from_parent)?.now.remove(&from_name);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.simple_call()?;
        let inode = disk.file(from)?;
        if disk.entry(to)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (parent, name) = split(to)?;
        disk.names(parent)?.now.insert(name, Entry::File(inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.simple_call()?;
        let (parent, name) = split(path)?;
        if disk.entry(path)? == Some(Entry::Directory) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        disk.names(parent)?.now.remove(&name);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.simple_call()?;
        let (parent, name) = split(path)?;
        match disk.directories.get(path) {
            None => return Ok(()),
            Some(names) if !names.now.is_empty() => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
            Some(_) => {}
        }
        disk.names(parent)?.now.remove(&name);
        disk.directories.remove(path);
        Ok(())
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        let mut disk = self.disk();
        disk.simple_call()?;
        Ok(disk.directories.contains_key(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<bool> {
        let mut disk = self.disk();
        disk.simple_call()?;
        let (parent, name) = split(path)?;
        if disk.entry(path)?.is_some() {
            return Ok(false);
        }
        disk.names(parent)?.now.insert(name, Entry::Directory);
        disk.directories.insert(path.to_owned(), Twice::default());
        Ok(true)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.simple_call()?;
        let names = disk.names(path)?;
        names.lasting = names.now.clone();
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut disk = self.disk();
        if !disk.directories.contains_key(path) {
            // No call to cut at: a walk over all directories that may be there would have few others.
            return Err(not_found(path));
        }
        disk.simple_call()?;
        Ok(disk.names(path)?.now.keys().map(PathBuf::from).collect())
    }

    fn free_space(&self, _: &Path) -> io::Result<u64> {
        let mut disk = self.disk();
        disk.simple_call()?;
        Ok(disk.free)
    }

    fn device(&self, path: &Path) -> io::Result<u64> {
        let mut disk = self.disk();
        disk.simple_call()?;
        disk.names(path)?;
        Ok(disk.device)
    }
}

struct FakeFile {
    fs: FakeFs,
    inode: Inode,
}

impl WriteFile for FakeFile {
    fn append(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        let mut disk = self.fs.disk();
        let failure = disk.call()?;
        let whole: Vec<u8> = pieces.iter().flatten().copied().collect();
        let room = usize::try_from(disk.free).unwrap_or(usize::MAX);
        let written = if failure.is_some() { whole.len() / 2 } else { whole.len().min(room) };
        disk.files[self.inode].now.extend_from_slice(&whole[..written]);
        disk.free -= written as u64;
        match failure {
            Some(kind) => Err(kind.into()),
            None if written < whole.len() => Err(io::ErrorKind::StorageFull.into()),
            None => Ok(()),
        }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut disk = self.fs.disk();
        disk.simple_call()?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let content = &mut disk.files[self.inode].now;
        if len > content.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        content.truncate(len);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.fs.disk();
        disk.simple_call()?;
        let file = &mut disk.files[self.inode];
        file.lasting = file.now.clone();
        Ok(())
    }
}

struct FakeReadFile(Vec<u8>);

impl ReadFile for FakeReadFile {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn read_cached_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        self.read_at(buffer, offset).map(Some)
    }
}

#[cfg(test)]
mod tests;
