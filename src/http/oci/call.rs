//! What a handler of `/v2` gets.

use actix_web::HttpResponse;
use actix_web::dev::Payload;
use mcr_actors::db::queries::audit::Record;
use mcr_actors::domain::Event;

use crate::http::api::Api;
use crate::http::auth::Access;
use crate::http::call;
use crate::http::error::ApiError;
use crate::http::path::Target;

/// The OCI API. Its handlers read the body themselves, as it comes.
#[derive(Debug)]
pub struct Oci;

impl Api for Oci {
    type Target = Target;
    type Access = Access;
    type Body = Payload;
    type Changed = HttpResponse;
}

/// A request of the OCI API.
pub type Call = call::Call<Oci>;

impl Call {
    /// Records a pull, where that is configured.
    pub async fn record_pull(&self, event: Event) -> Result<(), ApiError> {
        if !self.state.options.audit_pulls {
            return Ok(());
        }
        let (origin, now) = (self.origin(), self.state.worker.clock.now());
        Ok(self.state.worker.db.record(Record { origin, now, event, times: 1 }).await?)
    }
}
