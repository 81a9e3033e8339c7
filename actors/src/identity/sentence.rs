//! What is said when a database and directories do not belong together: what disagrees, and what to do.

use std::path::Path;

use super::places::Places;
use super::verdict::{Refusal, Which};

/// What to do when the one who starts it knows better.
const ADOPT: &str = "if it is meant to be so, `mcrsrv verify --adopt` settles it";

/// What disagrees, and what to do.
pub(super) fn of(places: &Places, refusal: &Refusal) -> String {
    let (what, mend) = (what(places, refusal), mend(refusal));
    match refusal {
        Refusal::NoRegistry | Refusal::Foreign(_) => format!("{what}: {mend}; nothing was changed"),
        _ => format!("{what}: {mend}; {ADOPT}; nothing was changed"),
    }
}

fn directory(places: &Places, which: Which) -> &Path {
    match which {
        Which::Blobs => &places.layers,
        Which::Uploads => &places.uploads,
        Which::Snapshots => &places.snapshots,
    }
}

fn key(which: Which) -> &'static str {
    match which {
        Which::Blobs => "storage.layers_path",
        Which::Uploads => "storage.uploads_path",
        Which::Snapshots => "storage.snapshots_path",
    }
}

/// What disagrees.
pub(super) fn what(places: &Places, refusal: &Refusal) -> String {
    let (database, blobs, uploads) =
        (places.database.display(), places.layers.display(), places.uploads.display());
    let of = |which| directory(places, which).display();
    match refusal {
        Refusal::NoRegistry => format!("{database} is a database of another program"),
        Refusal::Damaged(which) => format!("the marker .mcr-registry in {} is damaged", of(*which)),
        Refusal::NoDatabase(which) => {
            format!("{} is a registry's, and its database is not in {database}", of(*which))
        }
        Refusal::Another(which) => {
            format!("{} is of another registry than the database {database}", of(*which))
        }
        Refusal::OlderDatabase(which) => {
            format!("the database {database} is an older copy than {}", of(*which))
        }
        Refusal::OlderBlobs => format!("{blobs} is an older copy than the database {database}"),
        Refusal::Blobs => format!("{blobs} holds blobs, and the database {database} knows none"),
        Refusal::NoBlobs => format!("{blobs} has no marker, and the database {database} knows blobs"),
        Refusal::OtherBlobs { asked, there } => {
            format!("of {asked} blobs that the database {database} knows, {there} are in {blobs}")
        }
        Refusal::Foreign(name) => {
            format!("{uploads} holds {:?}, which is no upload", name.escape_debug().to_string())
        }
        Refusal::Uploads => format!("{uploads} holds uploads and has no marker"),
        Refusal::NoUploads => format!("{uploads} is empty, and the database {database} knows uploads"),
    }
}

fn mend(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoRegistry => "name another file as database.path".to_owned(),
        Refusal::Foreign(_) => "name a directory as storage.uploads_path that nobody else uses".to_owned(),
        Refusal::Damaged(which) => format!("see to the disk, and whether {} is right", key(*which)),
        Refusal::NoDatabase(_) | Refusal::Blobs => {
            "see that database.path is right and its disk there, or restore a snapshot elsewhere".to_owned()
        }
        Refusal::Another(which) => format!("see that database.path and {} are right", key(*which)),
        Refusal::OlderDatabase(_) => {
            "bring the newest database back, for what came after this copy would be \
                                      taken for rubbish"
                .to_owned()
        }
        Refusal::OlderBlobs => {
            "see that storage.layers_path is right, and bring the newest blobs back".to_owned()
        }
        Refusal::NoBlobs | Refusal::OtherBlobs { .. } => {
            "see that storage.layers_path is right and its disk there".to_owned()
        }
        Refusal::Uploads | Refusal::NoUploads => {
            "see that storage.uploads_path is right, and move the uploads there with their marker".to_owned()
        }
    }
}
