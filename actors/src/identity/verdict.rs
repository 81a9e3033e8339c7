//! Whether a registry may start on what is there: pure, from facts that were looked at before anything was made.
//!
//! A database and directories belong together when they carry one identity. What disagrees is refused: a disk that is not
//! mounted, a path that was mistyped, another registry's data or an older copy of the own would otherwise lose what the other
//! half still has.

use uuid::Uuid;

use super::marker::Marker;

/// Of how many blobs one may be missing before an unmarked directory is no longer believed to be that of a database.
const MISSING: u64 = 10;

/// What the database says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Who it is.
    pub id: Uuid,
    /// How many starts there were.
    pub starts: u64,
    /// The last start that all markers tell of; 0 when they were never all made.
    pub marked: u64,
}

/// A database of a registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// Who it is; none when it was made by an earlier version.
    pub identity: Option<Identity>,
    /// Whether it knows blobs.
    pub blobs: bool,
    /// Whether it knows uploads with acknowledged bytes.
    pub uploads: bool,
    /// How many of its blobs were looked for: only where no marker tells.
    pub asked: u64,
    /// How many of those have a file of the right length.
    pub there: u64,
}

/// What is in the database's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// Nothing, or an empty file.
    Missing,
    /// A database of some other program.
    Foreign,
    /// A registry's.
    Known(Known),
}

/// What is in a directory's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directory {
    /// Nothing.
    Missing,
    /// A directory without a marker.
    Unmarked {
        /// Whether it holds blobs, or uploads.
        own: bool,
        /// Something in it that is no registry's.
        foreign: Option<String>,
    },
    /// A directory of this registry.
    Marked(Marker),
    /// Its marker is damaged.
    Damaged,
}

/// Which directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// That of blobs.
    Blobs,
    /// That of uploads.
    Uploads,
    /// That of snapshots.
    Snapshots,
}

/// All that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The database.
    pub database: Database,
    /// The directories of blobs, uploads and snapshots.
    pub blobs: Directory,
    /// That of uploads.
    pub uploads: Directory,
    /// That of snapshots.
    pub snapshots: Directory,
}

/// Why nothing may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The database is another program's.
    NoRegistry,
    /// A marker cannot be read.
    Damaged(Which),
    /// A directory is a registry's, and there is no database, or one that never had a directory.
    NoDatabase(Which),
    /// A directory is another registry's.
    Another(Which),
    /// The database is an older copy than the directory.
    OlderDatabase(Which),
    /// The blobs are an older copy than the database.
    OlderBlobs,
    /// There are blobs, and the database knows none.
    Blobs,
    /// The database has a mark and blobs, and the directory has neither.
    NoBlobs,
    /// An earlier version's database has other blobs than the directory.
    OtherBlobs {
        /// How many were looked for.
        asked: u64,
        /// How many were there.
        there: u64,
    },
    /// The directory of uploads holds what is no upload.
    Foreign(String),
    /// The directory of uploads has no marker and holds uploads.
    Uploads,
    /// The database knows uploads, and their directory is empty.
    NoUploads,
}

impl Facts {
    /// The directories by name.
    pub fn directories(&self) -> [(Which, &Directory); 3] {
        [(Which::Blobs, &self.blobs), (Which::Uploads, &self.uploads), (Which::Snapshots, &self.snapshots)]
    }

    /// Whether all belong together, so that a registry may start on them and mark what has no marker yet.
    ///
    /// # Errors
    /// The first reason why they may not.
    pub fn decide(&self) -> Result<(), Refusal> {
        let known = match self.database {
            Database::Foreign => return Err(Refusal::NoRegistry),
            Database::Missing => Known::default(),
            Database::Known(known) => known,
        };
        for (which, directory) in self.directories() {
            match directory {
                Directory::Damaged => return Err(Refusal::Damaged(which)),
                Directory::Marked(marker) => agree(which, *marker, &known)?,
                Directory::Missing | Directory::Unmarked { .. } => {}
            }
        }
        self.decide_blobs(&known)?;
        self.decide_uploads(&known)
    }

    /// Blobs without a marker.
    fn decide_blobs(&self, known: &Known) -> Result<(), Refusal> {
        let own = match self.blobs {
            Directory::Marked(_) | Directory::Damaged => return Ok(()),
            Directory::Missing => false,
            Directory::Unmarked { own, .. } => own,
        };
        match (known.blobs, is_settled(known)) {
            (false, _) if own => Err(Refusal::Blobs),
            (false, _) => Ok(()),
            (true, true) => Err(Refusal::NoBlobs),
            // Some may be lost; of another registry, or of an older copy, far more would be.
            (true, false) if known.there > 0 && (known.asked - known.there) * MISSING <= known.asked => {
                Ok(())
            }
            (true, false) => Err(Refusal::OtherBlobs { asked: known.asked, there: known.there }),
        }
    }

    /// Uploads without a marker.
    fn decide_uploads(&self, known: &Known) -> Result<(), Refusal> {
        let is_new = self.database == Database::Missing;
        match &self.uploads {
            Directory::Unmarked { foreign: Some(name), .. } => Err(Refusal::Foreign(name.clone())),
            Directory::Unmarked { own: true, .. } if is_new || is_settled(known) => Err(Refusal::Uploads),
            Directory::Missing | Directory::Unmarked { own: false, .. }
                if is_settled(known) && known.uploads =>
            {
                Err(Refusal::NoUploads)
            }
            _ => Ok(()),
        }
    }
}

/// Whether all directories had their markers once.
fn is_settled(known: &Known) -> bool {
    known.identity.is_some_and(|identity| identity.marked > 0)
}

fn agree(which: Which, marker: Marker, known: &Known) -> Result<(), Refusal> {
    let Some(identity) = known.identity else {
        return Err(if known.blobs { Refusal::OlderDatabase(which) } else { Refusal::NoDatabase(which) });
    };
    if identity.id != marker.id {
        Err(Refusal::Another(which))
    } else if marker.starts > identity.starts {
        Err(Refusal::OlderDatabase(which))
    } else if which == Which::Blobs && marker.starts < identity.marked {
        Err(Refusal::OlderBlobs)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn databases() -> Vec<Database> {
        let mut all = vec![Database::Missing, Database::Foreign];
        let identity = |starts, marked| Some(Identity { id: id(1), starts, marked });
        for identity in [None, identity(3, 0), identity(3, 3), identity(3, 2)] {
            for (blobs, asked, there) in
                [(false, 0, 0), (true, 0, 0), (true, 40, 40), (true, 40, 36), (true, 40, 35), (true, 5, 4)]
            {
                for uploads in [false, true] {
                    all.push(Database::Known(Known { identity, blobs, uploads, asked, there }));
                }
            }
        }
        all
    }

    fn directories() -> Vec<Directory> {
        let marked = |number, starts| Directory::Marked(Marker { id: id(number), starts });
        let mut all = vec![Directory::Missing, Directory::Damaged];
        all.extend([1, 2, 3, 4].map(|starts| marked(1, starts)));
        all.push(marked(2, 3));
        for own in [false, true] {
            all.extend([None, Some("x".to_owned())].map(|foreign| Directory::Unmarked { own, foreign }));
        }
        all
    }

    fn marker(directory: &Directory) -> Option<Marker> {
        match directory {
            Directory::Marked(marker) => Some(*marker),
            _ => None,
        }
    }

    /// What must never be, whatever else is: held against every combination of facts.
    fn must_not_start(facts: &Facts) -> bool {
        let directories = facts.directories();
        let markers: Vec<Marker> =
            directories.iter().filter_map(|(_, directory)| marker(directory)).collect();
        let holds_blobs = matches!(facts.blobs, Directory::Unmarked { own: true, .. });
        let strange_uploads = matches!(facts.uploads, Directory::Unmarked { foreign: Some(_), .. });
        let damaged = directories.iter().any(|(_, directory)| **directory == Directory::Damaged);
        let known = match facts.database {
            Database::Foreign => return true,
            Database::Missing => Known::default(),
            Database::Known(known) => known,
        };
        let disagree = markers.iter().any(|marker| {
            known.identity.is_none_or(|identity| identity.id != marker.id || marker.starts > identity.starts)
        });
        let marked = known.identity.map_or(0, |identity| identity.marked);
        let old_blobs = marker(&facts.blobs).is_some_and(|marker| marker.starts < marked);
        let unmarked = marker(&facts.blobs).is_none();
        let lost =
            known.blobs && unmarked && (marked > 0 || known.there * 10 < known.asked * 9 || known.there == 0);
        let empty = !known.blobs && holds_blobs;
        let lost_uploads = known.uploads
            && marked > 0
            && matches!(facts.uploads, Directory::Missing | Directory::Unmarked { own: false, .. });
        let others = matches!(facts.uploads, Directory::Unmarked { own: true, .. })
            && (marked > 0 || facts.database == Database::Missing);
        damaged || disagree || old_blobs || lost || empty || strange_uploads || lost_uploads || others
    }

    #[test]
    fn every_combination_of_facts_is_decided_as_it_must_be() {
        let (mut started, mut refused) = (0, 0);
        for database in databases() {
            for blobs in directories() {
                for uploads in directories() {
                    for snapshots in directories() {
                        let (blobs, uploads) = (blobs.clone(), uploads.clone());
                        let facts = Facts { database, blobs, uploads, snapshots };
                        let verdict = facts.decide();
                        assert_eq!(verdict.is_err(), must_not_start(&facts), "{facts:?}: {verdict:?}");
                        *if verdict.is_ok() { &mut started } else { &mut refused } += 1;
                    }
                }
            }
        }
        assert!(started > 100 && refused > 1000, "{started} {refused}");
    }

    #[test]
    fn each_mishap_has_its_own_sentence() {
        let identity = Some(Identity { id: id(1), starts: 3, marked: 3 });
        let known = Known { identity, blobs: true, ..Known::default() };
        let at = |starts| Directory::Marked(Marker { id: id(1), starts });
        let good = Facts { database: Database::Known(known), blobs: at(3), uploads: at(3), snapshots: at(3) };
        assert_eq!(good.decide(), Ok(()));
        let fresh = Directory::Unmarked { own: false, foreign: None };
        let full = Directory::Unmarked { own: true, foreign: None };
        let database = |known| Facts { database: Database::Known(known), ..good.clone() };
        let blobs = |blobs| Facts { blobs, ..good.clone() };
        let lost = Facts { database: Database::Missing, ..good.clone() };
        assert_eq!(lost.decide(), Err(Refusal::NoDatabase(Which::Blobs)));
        let other = Identity { id: id(2), starts: 9, marked: 9 };
        let other = Known { identity: Some(other), ..known };
        assert_eq!(database(other).decide(), Err(Refusal::Another(Which::Blobs)));
        assert_eq!(blobs(at(4)).decide(), Err(Refusal::OlderDatabase(Which::Blobs)));
        assert_eq!(blobs(at(2)).decide(), Err(Refusal::OlderBlobs));
        assert_eq!(blobs(Directory::Missing).decide(), Err(Refusal::NoBlobs));
        assert_eq!(blobs(fresh.clone()).decide(), Err(Refusal::NoBlobs));
        let empty = Facts {
            database: Database::Missing,
            blobs: full,
            uploads: fresh.clone(),
            snapshots: Directory::Missing,
        };
        assert_eq!(empty.decide(), Err(Refusal::Blobs));
        let upgraded = Known { identity: None, blobs: true, uploads: true, asked: 9, there: 8 };
        let upgrade = |known| Facts { database: Database::Known(known), ..empty.clone() };
        assert_eq!(upgrade(upgraded).decide(), Err(Refusal::OtherBlobs { asked: 9, there: 8 }));
        assert_eq!(upgrade(Known { there: 9, ..upgraded }).decide(), Ok(()));
    }

    proptest! {
        /// Whatever the numbers are: what a start has marked can be started again, and an older copy of either cannot.
        #[test]
        fn only_what_was_marked_together_starts_together(starts in 1u64..1000, less in 1u64..1000) {
            let known = |starts, marked| {
                let identity = Some(Identity { id: id(1), starts, marked });
                Database::Known(Known { identity, blobs: true, ..Known::default() })
            };
            let at = |starts| Directory::Marked(Marker { id: id(1), starts });
            let facts = |database, blobs| Facts { database, blobs, uploads: at(1), snapshots: at(1) };
            let later = starts + less;
            prop_assert!(facts(known(starts, starts), at(starts)).decide().is_ok());
            prop_assert!(facts(known(later, starts), at(starts)).decide().is_ok(), "starts that were cut short");
            prop_assert_eq!(
                facts(known(starts, starts), at(later)).decide(),
                Err(Refusal::OlderDatabase(Which::Blobs))
            );
            prop_assert_eq!(facts(known(later, later), at(starts)).decide(), Err(Refusal::OlderBlobs));
        }
    }
}
