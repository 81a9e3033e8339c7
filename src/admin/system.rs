//! How the registry is.

use std::sync::Arc;

use mcr_actors::policy::builtin::ADMIN;
use mcr_actors::readiness::{GetReadiness, Report};
use mcr_actors::registry::ActorState;

use super::call::Call;
use super::refusal::Refusal;

/// Whether the registry can serve.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// All checks together.
    pub ready: bool,
    /// Each check; only administrators are told.
    pub report: Option<Arc<Report>>,
}

/// Tells that the process lives.
///
/// # Errors
/// None: who does not live does not answer.
pub async fn health(_: &Call) -> Result<(), Refusal> {
    Ok(())
}

/// Tells whether the registry can serve; administrators also what was looked at. Who asks need not be known. All who ask
/// within a second hear the same.
///
/// # Errors
/// When nobody looks.
pub async fn readiness(call: &Call) -> Result<Readiness, Refusal> {
    let report = call.worker.readiness.ask(GetReadiness).await?;
    let is_admin = call.caller.as_ref().is_some_and(|caller| caller.principal.has_role(ADMIN));
    Ok(Readiness { ready: report.ready(), report: is_admin.then_some(report) })
}

/// Tells what each actor says of itself.
///
/// # Errors
/// None.
pub async fn actors(call: &Call) -> Result<Vec<ActorState>, Refusal> {
    Ok(call.registry.actors())
}
