//! The end of an upload that is not complete.

use actix::{ActorFutureExt, AtomicResponse, Handler, Message, WrapFuture};
use uuid::Uuid;

use super::{Session, Shared};
use crate::ask::AskError;
use crate::db::DbError;
use crate::db::queries::audit::Audited;
use crate::db::queries::permission::{Caller, Permitted};
use crate::db::queries::uploads::{DeleteUpload, ExpireUpload};
use crate::domain::{Event, Origin, Timestamp};
use crate::upload::{UploadError, asked, undecided};

/// Why an upload ends before it is complete.
#[derive(Debug)]
pub(in crate::upload) enum Ending {
    /// Nothing happened in it since then. It goes on where something did.
    Idle {
        /// The last moment of activity that is long ago.
        since: Timestamp,
    },
    /// Somebody cancelled it, and that is recorded with the change.
    Cancelled(Box<Cancellation>),
    /// Its row is gone already.
    Forgotten,
}

/// Who cancels an upload.
#[derive(Debug)]
pub(in crate::upload) struct Cancellation {
    /// Who.
    pub(in crate::upload) origin: Origin,
    /// What is recorded.
    pub(in crate::upload) event: Event,
    /// Who must still be allowed to; it goes on otherwise.
    pub(in crate::upload) caller: Option<Caller>,
}

impl Ending {
    /// Whether it does not concern an upload that was active last at `active`.
    fn spares(&self, active: Option<Timestamp>) -> bool {
        matches!(self, Self::Idle { since } if active > Some(*since))
    }

    /// Forgets the upload's row, unless what happened meanwhile in it, or to who asked, spares it. Says whether it did.
    pub(in crate::upload) async fn forget_row(
        self,
        shared: &Shared,
        id: Uuid,
    ) -> Result<bool, AskError<DbError>> {
        match self {
            Self::Idle { since } => shared.db.write(ExpireUpload { id, before: since }).await,
            Self::Cancelled(cancellation) => {
                let Cancellation { origin, event, caller } = *cancellation;
                let (query, now) = (DeleteUpload(id), shared.clock.now());
                let describe = move |(): &()| vec![event];
                let query = Audited { query, origin, now, describe };
                Ok(shared.db.write(Permitted { query, caller }).await?.is_some())
            }
            Self::Forgotten => Ok(true),
        }
    }
}

/// Ends the upload. Says whether it ended.
#[derive(Debug, Message)]
#[rtype(result = "Result<bool, UploadError>")]
pub(in crate::upload) struct End(pub(in crate::upload) Ending);

impl Handler<End> for Session {
    type Result = AtomicResponse<Self, Result<bool, UploadError>>;

    fn handle(&mut self, End(ending): End, _: &mut Self::Context) -> Self::Result {
        let spared = ending.spares(self.present.as_ref().map(|present| present.received_at));
        let (shared, id) = (self.shared.clone(), self.id);
        let forgotten = async move {
            if spared {
                return Ok(false);
            }
            ending.forget_row(&shared, id).await
        };
        AtomicResponse::new(Box::pin(forgotten.into_actor(self).map(|ended, session, context| {
            match &ended {
                Ok(true) => session.end(context),
                // The row may go yet: the next request asks it.
                Err(error) if undecided(error) => session.rest(context),
                Ok(false) | Err(_) => {}
            }
            ended.map_err(asked)
        })))
    }
}
