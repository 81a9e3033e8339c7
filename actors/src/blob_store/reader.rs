//! Opens blobs on the thread of whoever reads them. It has no state, and it believes no file: lengths are compared.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler};

use super::{BlobError, Check, Layout, Open};
use crate::ask::Handle;
use crate::domain::Digest;
use crate::fs::{Fs, ReadFile};

const LIMIT: usize = 20_000;
const DEADLINE: Duration = Duration::from_secs(30);

/// Opens and checks blobs.
#[derive(Debug, Clone)]
pub struct BlobReader {
    fs: Arc<dyn Fs>,
    layout: Layout,
}

impl BlobReader {
    /// Reads the blobs of `layout`.
    pub fn new(fs: Arc<dyn Fs>, layout: Layout) -> Self {
        Self { fs, layout }
    }

    /// A handle to a reader that was started.
    pub fn handle(addr: Addr<Self>) -> Handle<Self> {
        Handle::new("blob reader", addr, LIMIT, DEADLINE)
    }
}

impl Actor for BlobReader {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(LIMIT);
    }
}

/// A row whose file is not good is reported where it is found; invariant 1 is broken.
fn compare(digest: Digest, expected: u64, found: Option<u64>) -> Result<(), BlobError> {
    let error = match found {
        Some(found) if found == expected => return Ok(()),
        Some(found) => BlobError::Length { digest, expected, found },
        None => BlobError::Missing(digest),
    };
    log::error!("corruption: {error}");
    Err(error)
}

impl Handler<Check> for BlobReader {
    type Result = Result<(), BlobError>;

    fn handle(&mut self, Check { digest, size }: Check, _: &mut Self::Context) -> Self::Result {
        compare(digest, size, self.fs.len(&self.layout.path(&digest))?)
    }
}

impl Handler<Open> for BlobReader {
    type Result = Result<Arc<dyn ReadFile>, BlobError>;

    fn handle(&mut self, Open { digest, size }: Open, _: &mut Self::Context) -> Self::Result {
        match self.fs.open_to_read(&self.layout.path(&digest)) {
            Ok(file) => compare(digest, size, Some(file.len())).map(|()| Arc::from(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(compare(digest, size, None).err().unwrap_or(BlobError::Missing(digest)))
            }
            Err(error) => Err(error.into()),
        }
    }
}
