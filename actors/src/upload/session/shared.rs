//! What all sessions share, and the directory that their files are in.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::ask::Handle;
use crate::blob_store::durable::Root;
use crate::blob_store::{BlobReader, BlobStore};
use crate::clock::Clock;
use crate::db::Db;
use crate::fs::Fs;
use crate::upload::UploadError;

/// What all sessions share.
#[derive(Debug, Clone)]
pub(in crate::upload) struct Shared {
    pub(in crate::upload) fs: Arc<dyn Fs>,
    pub(in crate::upload) directory: Root,
    pub(in crate::upload) db: Db,
    pub(in crate::upload) blobs: Handle<BlobStore>,
    pub(in crate::upload) reader: Handle<BlobReader>,
    pub(in crate::upload) clock: Clock,
    pub(in crate::upload) min_free: u64,
    pub(in crate::upload) limit: Option<u64>,
    pub(in crate::upload) verify_on_push: bool,
    pub(in crate::upload) keep: Duration,
}

impl Shared {
    /// Where the bytes of an upload are while it is under way.
    pub(in crate::upload) fn path(&self, id: Uuid) -> PathBuf {
        self.directory.path().join(id.to_string())
    }

    /// The same for one that ends with its request. It has a second name's form, which says that nothing in it was ever
    /// acknowledged.
    pub(in crate::upload) fn passing_path(&self, id: Uuid) -> PathBuf {
        self.path(id).with_extension(id.to_string())
    }

    /// Refuses what would leave less than `min_free`.
    pub(in crate::upload) fn has_room_for(&self, length: u64) -> Result<(), UploadError> {
        if self.is_enough(self.free_space()?.saturating_sub(length)) {
            Ok(())
        } else {
            Err(UploadError::NoSpace)
        }
    }

    /// Whether so many free bytes are what must stay free.
    pub(in crate::upload) fn is_enough(&self, free: u64) -> bool {
        free >= self.min_free.saturating_add(self.db.owed())
    }

    /// The bytes that are free where uploads are. Where their directory is gone it is made again.
    pub(in crate::upload) fn free_space(&self) -> io::Result<u64> {
        match self.fs.free_space(self.directory.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.directory.make_again(self.fs.as_ref())? {
                    let path = self.directory.path().display();
                    log::error!("{path} was gone, and is made again: what was pushed in parts there is lost");
                }
                self.fs.free_space(self.directory.path())
            }
            free => free,
        }
    }
}
