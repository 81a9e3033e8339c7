//! Where everything is, held together: no two of the places may be one, or lie in one another, where that could harm.
//!
//! A directory of the registry's is cleaned by names, a database is written to, a key must stay: what is two things at
//! once is lost as one of them.

use std::path::{Path, PathBuf};

use mcr_actors::mend::{self, Use};

use super::reader::Reader;
use super::{Config, Server};
use crate::real_path::{contains, real_path};

/// What is beside a database, by the end of its name: its journals, its lock, and its copy during a restore.
const BESIDE: [&str; 7] =
    ["-wal", "-shm", "-journal", ".lock", ".restoring", ".restoring.new", ".restoring-journal"];

/// What is at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A directory that the registry fills and cleans.
    Directory,
    /// The database, and what is beside it.
    Database,
    /// A file that is only read.
    File,
}

/// A place that a key names.
struct Place {
    section: &'static str,
    key: &'static str,
    kind: Kind,
    path: PathBuf,
}

impl Place {
    /// Every file that belongs to it, its own path first.
    fn files(&self) -> Vec<PathBuf> {
        let beside = |end: &&str| {
            let mut name = self.path.file_name().unwrap_or_default().to_owned();
            name.push(end);
            self.path.with_file_name(name)
        };
        let ends = BESIDE.iter().filter(|_| self.kind == Kind::Database);
        std::iter::once(self.path.clone()).chain(ends.map(beside)).collect()
    }

    /// What would go wrong if both were where they are.
    fn clash(&self, other: &Self) -> Option<&'static str> {
        let within = |one: &Self, other: &Self| {
            let (outer, inner) = (one.files(), other.files());
            outer.iter().any(|outer| inner.iter().any(|inner| contains(outer, inner)))
        };
        let nested = within(self, other) || within(other, self);
        match (self.kind, other.kind) {
            // A certificate and its key may be one file.
            (Kind::File, Kind::File) => None,
            (Kind::Directory, Kind::Directory) => {
                nested.then_some("must be two directories, neither in the other")
            }
            (Kind::Directory, _) | (_, Kind::Directory) => {
                nested.then_some("must be a file and a directory, neither in the other")
            }
            (Kind::Database, _) | (_, Kind::Database) => nested.then_some("must be two files"),
        }
    }
}

impl Config {
    /// Resolves the paths of what the registry writes, and reports those that clash, each at the key that is named later in
    /// the list.
    pub(super) fn settle_paths(&mut self, reader: &mut Reader) {
        let Self { database, storage, server, mcias, .. } = self;
        let written = [
            ("database", "path", &mut database.path),
            ("storage", "layers_path", &mut storage.layers_path),
            ("storage", "uploads_path", &mut storage.uploads_path),
            ("storage", "snapshots_path", &mut storage.snapshots_path),
        ];
        for (section, key, path) in written {
            match real_path(path) {
                Ok(real) => *path = real,
                Err(error) => {
                    let mend = mend::of_file(path, Use::Read, &error);
                    let what = format!("{} cannot be looked at: {error}{mend}", path.display());
                    return reader.section(section).problem(key, &what);
                }
            }
        }
        let authority = mcias.as_ref().and_then(|mcias| mcias.ca_cert.as_deref());
        let places = places(self.database.path.clone(), &self.storage, server, authority);
        report_clashes(&places, reader);
    }
}

/// Every place, in the order in which a clash is put down to the later one.
fn places(
    database: PathBuf,
    storage: &super::Storage,
    server: &Server,
    authority: Option<&Path>,
) -> Vec<Place> {
    let tls = server.tls.as_ref();
    let read = [
        ("server", "tls_cert", tls.map(|tls| tls.certificate.as_path())),
        ("server", "tls_key", tls.map(|tls| tls.key.as_path())),
        ("mcias", "ca_cert", authority),
    ];
    // One that cannot be read is told when it is read.
    let file = |(section, key, path): (&'static str, &'static str, Option<&Path>)| {
        Some(Place { section, key, kind: Kind::File, path: real_path(path?).ok()? })
    };
    let directory =
        |key, path: &PathBuf| Place { section: "storage", key, kind: Kind::Directory, path: path.clone() };
    let database = Place { section: "database", key: "path", kind: Kind::Database, path: database };
    let directories = [
        directory("layers_path", &storage.layers_path),
        directory("uploads_path", &storage.uploads_path),
        directory("snapshots_path", &storage.snapshots_path),
    ];
    read.into_iter().filter_map(file).chain([database]).chain(directories).collect()
}

fn report_clashes(places: &[Place], reader: &mut Reader) {
    for (index, later) in places.iter().enumerate() {
        let clash = |earlier: &&Place| earlier.clash(later).is_some();
        if let Some(earlier) = places[..index].iter().find(clash) {
            let what = format!(
                "{} and {}.{} {} {}",
                later.path.display(),
                earlier.section,
                earlier.key,
                earlier.path.display(),
                earlier.clash(later).unwrap_or_default()
            );
            reader.section(later.section).problem(later.key, &what);
        }
    }
}
