//! A push that happens only while its reference names what the pusher knows.

use rusqlite::Connection;

use super::{FindManifestHead, PublishError, PublishManifest, Published};
use crate::db::{Growth, ReadQuery, WriteQuery};
use crate::domain::{Precondition, Reference};

/// Publishes a manifest if the precondition holds, which is decided in the transaction that publishes: of several pushes
/// that ask for the same state one happens, and the others are refused.
#[derive(Debug, Clone)]
pub struct PublishIf {
    /// What the push is addressed to.
    pub reference: Reference,
    /// What it asks of what that names now.
    pub precondition: Precondition,
    /// The push.
    pub publish: PublishManifest,
}

impl WriteQuery for PublishIf {
    type Output = Published;
    type Error = PublishError;

    fn growth(&self) -> Growth {
        self.publish.growth()
    }

    fn run(self, tx: &Connection) -> Result<Published, PublishError> {
        let Self { reference, precondition, publish } = self;
        if !precondition.is_empty() {
            let find =
                FindManifestHead { repository: publish.repository.clone(), reference: reference.clone() };
            let found = find.run(tx)?.map(|head| head.digest);
            if !precondition.holds(found.as_ref()) {
                return Err(PublishError::Precondition { reference, found });
            }
        }
        publish.run(tx)
    }
}
