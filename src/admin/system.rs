//! How the registry is.

use std::sync::Arc;
use std::time::Duration;

use mcr_actors::db::queries::totals::{ReadTotals, Totals};
use mcr_actors::domain::Timestamp;
use mcr_actors::gc::GetGcStatus;
use mcr_actors::policy::builtin::ADMIN;
use mcr_actors::readiness::{GetReadiness, Report};
use mcr_actors::registry::{ActorState, SetUp};
use mcr_actors::upload::FreeSpace;

use super::call::Call;
use super::refusal::Refusal;
use super::settings::Settings;

/// How long the disk may take to say how much of it is free.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a registry is called that has no name of its own.
const NAMELESS: &str = "mcr";

/// Whether the registry can serve.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// All checks together.
    pub ready: bool,
    /// Each check; only administrators are told.
    pub report: Option<Arc<Report>>,
}

/// What a registry is.
#[derive(Debug, Clone)]
pub struct System {
    /// What it is called: the host of its public URL, and the port where that is none of the usual ones.
    pub name: String,
    /// Who knows its accounts: `embedded`, which is the registry itself, or `mcias`.
    pub provider: String,
    /// How it is set and what it has; only administrators are told.
    pub details: Option<Details>,
}

/// How a registry is set and what it has.
#[derive(Debug, Clone)]
pub struct Details {
    /// The settings of use cases.
    pub settings: Arc<Settings>,
    /// The settings of actors.
    pub set_up: SetUp,
    /// Whether the registry itself keeps the accounts.
    pub has_accounts: bool,
    /// When it began to serve.
    pub started_at: Timestamp,
    /// For how long it has served.
    pub uptime: Duration,
    /// When the next sweep begins by itself; never when there is none.
    pub next_sweep: Option<Timestamp>,
    /// What it has.
    pub totals: Totals,
    /// Bytes that are free where blobs are; nothing when the disk does not say.
    pub free: Option<u64>,
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
    Ok(Readiness { ready: report.ready(), report: is_administrators(call).then_some(report) })
}

/// Whether an administrator asks.
fn is_administrators(call: &Call) -> bool {
    call.caller.as_ref().is_some_and(|caller| caller.principal.has_role(ADMIN))
}

/// Tells what the registry is called and who knows its accounts; administrators also how it is set and what it has. Who asks need
/// not be known. Nothing is counted for it.
///
/// # Errors
/// When an actor does not answer.
pub async fn show(call: &Call) -> Result<System, Refusal> {
    let url = call.settings.public_url.as_deref();
    let name = url.and_then(|url| url.split_once("://")).map_or(NAMELESS, |(_, name)| name).to_owned();
    let elsewhere = call.registry.provider().managed_elsewhere();
    let provider = elsewhere.map_or_else(|| "embedded".to_owned(), str::to_ascii_lowercase);
    let details = if is_administrators(call) { Some(details(call).await?) } else { None };
    Ok(System { name, provider, details })
}

async fn details(call: &Call) -> Result<Details, Refusal> {
    let (registry, worker) = (&call.registry, &call.worker);
    let totals = worker.db.read(ReadTotals).await?;
    let next_sweep = worker.gc.ask(GetGcStatus).await?.next;
    // A disk that does not answer is told by readiness; here it only leaves a number out.
    let free = tokio::time::timeout(PATIENCE, worker.uploads.ask(FreeSpace)).await;
    Ok(Details {
        settings: Arc::clone(&call.settings),
        set_up: registry.set_up().clone(),
        has_accounts: registry.provider().managed_elsewhere().is_none(),
        started_at: registry.started_at(),
        uptime: worker.clock.now().since(registry.started_at()),
        next_sweep,
        totals,
        free: free.ok().and_then(Result::ok),
    })
}

/// Tells what each actor says of itself.
///
/// # Errors
/// None.
pub async fn actors(call: &Call) -> Result<Vec<ActorState>, Refusal> {
    Ok(call.registry.actors())
}
