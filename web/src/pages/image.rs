//! What a digest is: an image with its layers beside their making, an index with its platforms, or any other artifact.

use actix_web::http::StatusCode;
use askama::Template;
use futures_util::future::join;

use super::repository::{commands, parents};
use super::search::path;
use super::{Frame, render};
use crate::document::{self, Config, Descriptor, Manifest};
use crate::failure::Failure;
use crate::registry::{Answer, segment};
use crate::show::{self, Moment};
use crate::visit::{Reply, Visit};

/// The longest manifest and config that are shown, in bytes.
const LONGEST: usize = 4 << 20;
/// The most rows of anything that strangers pushed.
const MOST: usize = 500;

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, */*";

/// Another manifest: a platform of an index, or something that is attached.
struct Other {
    name: String,
    link: String,
    short: String,
    size: String,
}

/// A step of an image's making, and the layer that it made.
struct Layer {
    number: usize,
    command: String,
    /// Of the largest, in percent.
    width: u64,
    size: String,
    digest: String,
}

struct Fact {
    name: &'static str,
    value: String,
    link: Option<String>,
}

#[derive(Template)]
#[template(path = "image.html")]
struct ImagePage<'a> {
    frame: Frame,
    name: &'a str,
    path: String,
    parents: Vec<(String, String)>,
    tag: &'a str,
    digest: String,
    kind: &'static str,
    commands: Vec<(&'static str, String)>,
    platforms: Vec<Other>,
    attached: Vec<Other>,
    layers: Vec<Layer>,
    layers_total: String,
    facts: Vec<Fact>,
    created: Option<Moment>,
    environment: Vec<String>,
    labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    raw: String,
    raw_config: String,
}

/// Leads to what the tag points at now.
pub(crate) async fn of_tag(visit: Visit) -> Result<Reply, Failure> {
    let (name, tag) = (visit.part("repository"), visit.part("tag"));
    let answer = manifest(&visit, name, tag).await?;
    if answer.digest.is_empty() {
        return Err(Failure::Odd);
    }
    let at = format!("/r/{}/-/m/{}?tag={}", path(name), segment(&answer.digest), segment(tag));
    Ok(Reply::Redirect(at))
}

async fn manifest(visit: &Visit, name: &str, reference: &str) -> Result<Answer, Failure> {
    let at = format!("/v2/{}/manifests/{}", path(name), segment(reference));
    visit.registry().content(&visit.asker, &at, ACCEPT, LONGEST).await
}

/// The config, where it is one that can be shown; nothing when it is not here.
async fn config(visit: &Visit, name: &str, config: Option<&Descriptor>) -> Result<Option<Answer>, Failure> {
    let Some(config) =
        config.filter(|config| config.media_type.ends_with("json") && config.size <= LONGEST as u64)
    else {
        return Ok(None);
    };
    let at = format!("/v2/{}/blobs/{}", path(name), segment(&config.digest));
    match visit.registry().content(&visit.asker, &at, "*/*", LONGEST).await {
        Ok(answer) => Ok(Some(answer)),
        Err(failure) if failure.status() == StatusCode::NOT_FOUND => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn referrers(visit: &Visit, name: &str, digest: &str) -> Result<Manifest, Failure> {
    let at = format!("/v2/{}/referrers/{}", path(name), segment(digest));
    let answer = visit.registry().content(&visit.asker, &at, ACCEPT, LONGEST).await?;
    Ok(document::read(&answer.body))
}

fn kind(manifest: &Manifest, media_type: &str) -> &'static str {
    let config = manifest.config.as_ref().map(|config| config.media_type.as_str()).unwrap_or_default();
    let is_index = media_type.contains("index") || media_type.contains("manifest.list");
    if is_index {
        "index"
    } else if config.contains("helm.config") {
        "chart"
    } else if manifest.artifact_type.is_empty() && config.contains("image") {
        "image"
    } else {
        "artifact"
    }
}

/// JSON in lines; as it is where it is none.
fn pretty(body: &[u8]) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_slice(body);
    let text = match value {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_default(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    mcr_api::escape::json(&text)
}

fn pairs(from: &std::collections::BTreeMap<String, String>) -> Vec<(String, String)> {
    from.iter().take(MOST).map(|(name, value)| (show::plain(name), show::plain(value))).collect()
}

/// Words of a command line, as a shell reads them.
fn words(words: &[String]) -> String {
    words.iter().map(|word| show::plain(word)).collect::<Vec<_>>().join(" ")
}

/// What people look for in an image.
fn facts(config: &Config, annotations: &std::collections::BTreeMap<String, String>) -> Vec<Fact> {
    let run = &config.config;
    let known = |name: &str| {
        let key = format!("org.opencontainers.image.{name}");
        annotations.get(&key).or_else(|| run.labels.get(&key)).cloned().unwrap_or_default()
    };
    let ports = run.exposed_ports.keys().cloned().collect::<Vec<_>>().join(", ");
    let volumes = run.volumes.keys().cloned().collect::<Vec<_>>().join(", ");
    let platform = document::Platform {
        os: config.os.clone(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
    };
    let platform = if config.os.is_empty() { String::new() } else { platform.to_string() };
    let all = [
        ("Platform", platform),
        ("Source", known("source")),
        ("Revision", known("revision")),
        ("Version", known("version")),
        ("Licence", known("licenses")),
        ("Entry point", words(&run.entrypoint)),
        ("Command", words(&run.cmd)),
        ("User", run.user.clone()),
        ("Working directory", run.working_dir.clone()),
        ("Ports", ports),
        ("Volumes", volumes),
        ("Stop signal", run.stop_signal.clone()),
    ];
    let said = all.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| Fact {
        name,
        value: show::plain(&value),
        link: show::link(&value).map(str::to_owned),
    })
    .collect()
}

fn layers(config: &Config, manifest: &Manifest) -> Vec<Layer> {
    let largest = manifest.layers.iter().map(|layer| layer.size).max().unwrap_or_default().max(1);
    let rows = document::beside(&config.history, &manifest.layers).into_iter().take(MOST).enumerate();
    let layer = |(at, (step, layer)): (usize, (Option<&document::Step>, Option<&Descriptor>))| Layer {
        number: at + 1,
        command: match (step.map(document::command).unwrap_or_default(), layer) {
            ("", Some(layer)) => title(layer).unwrap_or_else(|| show::plain(&layer.media_type)),
            (command, _) => show::plain(command),
        },
        width: layer.map_or(0, |layer| {
            u64::try_from(u128::from(layer.size) * 100 / u128::from(largest)).unwrap_or(100)
        }),
        size: layer.map_or_else(|| "empty".to_owned(), |layer| show::size(layer.size)),
        digest: layer.map(|layer| show::plain(&layer.digest)).unwrap_or_default(),
    };
    rows.map(layer).collect()
}

/// The name of a file that a layer is.
fn title(layer: &Descriptor) -> Option<String> {
    layer.annotations.get("org.opencontainers.image.title").map(|title| show::plain(title))
}

fn others(at: &str, found: &[Descriptor], name: impl Fn(&Descriptor) -> String) -> Vec<Other> {
    let other = |descriptor: &Descriptor| Other {
        name: name(descriptor),
        link: format!("{at}/-/m/{}", segment(&descriptor.digest)),
        short: show::plain(show::short(&descriptor.digest)),
        size: show::size(descriptor.size),
    };
    found.iter().take(MOST).map(other).collect()
}

/// Shows what a digest is.
pub(crate) async fn show(visit: Visit) -> Result<Reply, Failure> {
    let (name, digest, tag) = (visit.part("repository"), visit.part("digest"), visit.parameter("tag"));
    let (answer, attached) = join(manifest(&visit, name, digest), referrers(&visit, name, digest)).await;
    let answer = answer?;
    let manifest: Manifest = document::read(&answer.body);
    let body = config(&visit, name, manifest.config.as_ref()).await?;
    let read: Config = body.as_ref().map(|body| document::read(&body.body)).unwrap_or_default();
    let media_type = if manifest.media_type.is_empty() { &answer.media_type } else { &manifest.media_type };
    let (at, kind) = (format!("/r/{}", path(name)), kind(&manifest, media_type));
    let reference = if tag.is_empty() { format!("@{digest}") } else { format!(":{tag}") };
    let mut pulls = commands(&format!("{}/{name}{reference}", visit.host()), kind);
    if !tag.is_empty() {
        pulls.push(("by digest", format!("{}/{name}@{digest}", visit.host())));
    }
    let (attestations, platforms): (Vec<_>, Vec<_>) =
        manifest.manifests.iter().cloned().partition(Descriptor::is_attestation);
    let of_platform = |found: &Descriptor| match &found.platform {
        Some(platform) => show::plain(&platform.to_string()),
        None => show::plain(&found.media_type),
    };
    let mut all = others(&at, &attached?.manifests, |found| {
        format!("{} · {}", document::attached(&found.artifact_type), show::plain(&found.artifact_type))
    });
    all.extend(others(&at, &attestations, |_| "attestation · built with the image".to_owned()));
    let page = ImagePage {
        frame: Frame::of(&visit, "repositories"),
        name,
        parents: parents(name),
        tag,
        digest: show::plain(digest),
        kind,
        commands: pulls,
        platforms: others(&at, &platforms, of_platform),
        attached: all,
        layers: layers(&read, &manifest),
        layers_total: show::size(manifest.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))),
        facts: facts(&read, &manifest.annotations),
        created: show::maybe_moment(Some(&read.created), visit.now),
        environment: read.config.env.iter().take(MOST).map(|text| show::plain(text)).collect(),
        labels: pairs(&read.config.labels),
        annotations: pairs(&manifest.annotations),
        raw: pretty(&answer.body),
        raw_config: body.map(|body| pretty(&body.body)).unwrap_or_default(),
        path: at,
    };
    render(&page)
}
