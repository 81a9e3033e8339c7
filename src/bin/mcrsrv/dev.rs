//! `mcrsrv dev`: the whole registry on one machine with nothing prepared. A later start finds it all.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix_rt::task::JoinHandle;
use anyhow::{Context, anyhow};
use mcr::config::{Config, Dev, PublicUrl, TlsFiles, Web};
use mcr::durable_file::{self, Readers};
use mcr::http::listen;
use mcr::signals::Signals;
use mcr::tls::Certificate;
use mcr::tls::authority::{self, Outcome};
use mcr::web;
use mcr_actors::auth_cache::Secret;
use mcr_actors::auth_cache::local::Ensured;
use mcr_actors::clock::Clock;
use mcr_actors::mend::{self, Use};
use mcr_actors::registry::Registry;

use crate::server::Running;
use crate::setup;
use crate::telling::{Failure, say};

const ADMIN: &str = "admin";

/// Where the pages are, unless somebody says so.
const PAGES_PORT: u16 = 5001;

/// The command line of `mcrsrv dev`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The directory of everything
    #[arg(long, value_name = "DIR", value_parser = mcr::config::path_argument, default_value = "./mcr-data")]
    data: PathBuf,
    /// The address to listen on [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Speak plain HTTP, on a loopback address
    #[arg(long)]
    http: bool,
    /// The address of the pages for people [default: 127.0.0.1:5001, or any free port beside --listen with port 0]
    #[arg(long, value_name = "ADDR", conflicts_with = "no_web")]
    web: Option<SocketAddr>,
    /// Serve no pages
    #[arg(long)]
    no_web: bool,
}

/// Runs a registry in a directory until it is told to stop.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    for address in [arguments.listen, arguments.web].into_iter().flatten() {
        if arguments.http && !address.ip().is_loopback() {
            return Err(Failure::Usage(format!(
                "--http speaks only to this machine, and {address} is no loopback address: leave --http out, or listen on \
                 127.0.0.1 or [::1]"
            )));
        }
    }
    let data =
        std::path::absolute(&arguments.data).context("the data directory's path cannot be made absolute")?;
    let dev = Dev { data, listen: arguments.listen, http: arguments.http };
    let config = Config::dev(&dev, std::env::vars_os())?;
    setup::log(&config)?;
    durable_file::make_directory(&dev.data)
        .map_err(|error| setup::failed("make the directory", &dev.data, Use::Directory(&dev.data), &error))?;
    let _lock = setup::lock(&config, "mcrsrv dev")?;
    let authority = prepare_authority(&dev, &config)?;
    let pages = Pages::wanted(arguments, &dev.data, &config, authority.clone());
    let certificate = setup::certificate(&config)?;
    let served = actix_rt::System::new().block_on(async move {
        let signals = Signals::listen().context("cannot listen to signals")?;
        let registry = setup::registry(&config).await?;
        let admin = ensure_admin(&registry, &dev.data.join("admin-password")).await?;
        let reread = Box::new(move || Config::dev(&dev, std::env::vars_os()));
        let running = Running::start(config, certificate.clone(), registry, reread).await?;
        running.announce();
        let welcome = Welcome { address: running.address(), url: running.url(), admin, authority };
        let pages = pages.map(|pages| pages.start(&welcome.host(), certificate)).transpose()?;
        if let Some((url, _)) = &pages {
            say(&format!("pages for people: {url}"));
        }
        say(&welcome.text());
        let served = running.until_stopped(signals).await;
        pages.inspect(|(_, server)| server.abort());
        served
    });
    Ok(served?)
}

/// The pages beside the registry, before they are served.
struct Pages {
    listen: SocketAddr,
    /// Whether somebody named the address; else any other will do when it is taken.
    is_named: bool,
    data: PathBuf,
    tls: Option<TlsFiles>,
    authority: Option<PathBuf>,
}

impl Pages {
    /// Those that are asked for. Beside a registry with the certificate of somebody else they could not be told whom to believe.
    fn wanted(
        arguments: &Arguments,
        data: &Path,
        config: &Config,
        authority: Option<PathBuf>,
    ) -> Option<Self> {
        let tls = config.server.tls.clone();
        if tls.is_some() && authority.is_none() {
            log::info!("there are no pages beside a certificate of another authority: mcr-web serves them");
            return None;
        }
        let port = if config.server.listen_addr.port() == 0 { 0 } else { PAGES_PORT };
        let listen = arguments.web.unwrap_or(SocketAddr::from(([127, 0, 0, 1], port)));
        let (data, is_named) = (data.to_owned(), arguments.web.is_some());
        (!arguments.no_web).then_some(Self { listen, is_named, data, tls, authority })
    }

    /// Serves them from now on, and answers where.
    fn start(
        self,
        registry_host: &str,
        certificate: Option<Arc<Certificate>>,
    ) -> anyhow::Result<(String, JoinHandle<io::Result<()>>)> {
        let bound = match listen::bind(self.listen) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && !self.is_named => {
                listen::bind(SocketAddr::new(self.listen.ip(), 0))
            }
            bound => bound,
        };
        let listener = bound.map_err(|error| {
            anyhow!(
                "cannot listen on --web {}: {error}{}",
                self.listen,
                mend::of_address(self.listen, &error)
            )
        })?;
        let address = listener.local_addr().context("the pages' socket has no address")?;
        let is_secure = self.tls.is_some();
        let server_url = PublicUrl::of_server(is_secure, registry_host);
        let host = registry_host.to_owned();
        let web = Web::of_dev(address, self.tls, server_url, self.authority, host, &self.data);
        let server = web::serve(&web, listener, certificate).context("cannot serve pages")?;
        let scheme = if is_secure { "https" } else { "http" };
        Ok((format!("{scheme}://{}", local(address)), actix_rt::spawn(server)))
    }
}

/// How programs on this machine name an address.
fn local(address: SocketAddr) -> String {
    let ip = address.ip();
    if ip.is_loopback() || ip.is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

/// Sees to a certificate, where it is ours to make, and tells where the authority's is.
fn prepare_authority(dev: &Dev, config: &Config) -> anyhow::Result<Option<PathBuf>> {
    let directory = dev.tls_directory();
    let ours = config.server.tls.as_ref().is_some_and(|files| files.certificate.starts_with(&directory));
    if !ours {
        return Ok(None);
    }
    let mut names: Vec<String> = gethostname::gethostname().into_string().into_iter().collect();
    let address = config.server.listen_addr.ip();
    if !address.is_unspecified() && !address.is_loopback() {
        names.push(address.to_string());
    }
    let prepared = authority::prepare(&directory, &names, Clock::system().now())?;
    match prepared.outcome {
        Outcome::Made => log::info!("made the certificate {}", prepared.certificate.display()),
        Outcome::Renewed => log::info!("renewed the certificate {}", prepared.certificate.display()),
        Outcome::Kept => {}
        Outcome::Foreign => {
            log::warn!("{} is of another authority and was left alone", prepared.certificate.display());
        }
    }
    Ok(Some(prepared.authority))
}

/// The administrator, as this start found or made it.
struct Admin {
    /// The file with the password; none when somebody has removed it.
    file: Option<PathBuf>,
    /// The password, on the start that made it.
    new: Option<Secret>,
}

/// Makes the administrator where nobody has an account, with the password in the file, which is made first: a start that is
/// cut short in between leaves a password that the next start uses.
async fn ensure_admin(registry: &Registry, file: &Path) -> anyhow::Result<Admin> {
    let (password, found) = match fs::read_to_string(file) {
        Ok(text) => (Secret::new(text.trim_end()), true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (setup::new_password()?, false),
        Err(error) => return Err(setup::failed("read", file, Use::Read, &error)),
    };
    if !found {
        let line = format!("{}\n", password.expose());
        let written = durable_file::write(file, line.as_bytes(), Readers::Owner);
        written.map_err(|error| setup::failed("write", file, Use::Write, &error))?;
    }
    // One that somebody has deleted stays so.
    let ensured = match registry.has_accounts().await? {
        true => Ensured::AlreadyThere,
        false => registry.ensure_admin(ADMIN, &password).await.context("cannot make the administrator")?,
    };
    Ok(match ensured {
        Ensured::Created => Admin { file: Some(file.to_owned()), new: Some(password) },
        Ensured::AlreadyThere if found => Admin { file: Some(file.to_owned()), new: None },
        Ensured::AlreadyThere => {
            // Somebody keeps the password elsewhere; this one is not it.
            durable_file::remove(file).map_err(|error| setup::failed("remove", file, Use::Write, &error))?;
            Admin { file: None, new: None }
        }
    })
}

/// What is printed once the registry runs: how to use it, in lines that can be pasted.
struct Welcome {
    address: SocketAddr,
    url: String,
    admin: Admin,
    authority: Option<PathBuf>,
}

impl Welcome {
    /// How clients on this machine name the registry.
    fn host(&self) -> String {
        local(self.address)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let host = self.host();
        let secure = self.url.starts_with("https");
        let password = self.admin.file.as_ref().map_or("FILE".to_owned(), |file| quoted(file));
        self.write_who(out)?;
        if let Some(authority) = &self.authority {
            writeln!(out, "certificate authority for clients to trust: {}", authority.display())?;
        }
        writeln!(out, "\n# docker, which asks for no certificate on this machine")?;
        writeln!(out, "docker login -u {ADMIN} --password-stdin {host} < {password}")?;
        writeln!(out, "docker pull busybox && docker tag busybox {host}/demo/busybox")?;
        writeln!(out, "docker push {host}/demo/busybox && docker pull {host}/demo/busybox")?;
        let trust = self.authority.as_deref().map(quoted);
        let (podman, crane) = if secure { ("", "") } else { (" --tls-verify=false", " --insecure") };
        writeln!(out, "\n# podman and crane")?;
        if let Some(trust) = &trust {
            writeln!(out, "export SSL_CERT_FILE={trust}")?;
        }
        writeln!(out, "podman login{podman} -u {ADMIN} --password-stdin {host} < {password}")?;
        writeln!(out, "podman pull{podman} {host}/demo/busybox")?;
        writeln!(out, "crane auth login{crane} -u {ADMIN} --password-stdin {host} < {password}")?;
        writeln!(out, "crane ls{crane} {host}/demo/busybox")?;
        let how = trust.as_ref().map_or("--plain-http".to_owned(), |trust| format!("--ca-file {trust}"));
        writeln!(out, "\n# oras and helm")?;
        writeln!(out, "oras login {how} -u {ADMIN} --password-stdin {host} < {password}")?;
        writeln!(out, "oras repo tags {how} {host}/demo/busybox")?;
        writeln!(out, "helm registry login {how} -u {ADMIN} --password-stdin {host} < {password}")?;
        let scheme = if secure { "https" } else { "http" };
        let cacert = trust.map(|trust| format!("--cacert {trust} ")).unwrap_or_default();
        writeln!(out, "\n# anything else")?;
        write!(out, "curl {cacert}-u \"{ADMIN}:$(cat {password})\" {scheme}://{host}/v2/_catalog")
    }

    fn write_who(&self, out: &mut String) -> std::fmt::Result {
        match &self.admin {
            Admin { file: Some(file), new: Some(password) } => writeln!(
                out,
                "administrator {ADMIN}, password {} (shown this once; it is in {})",
                password.expose(),
                file.display()
            ),
            Admin { file: Some(file), .. } => {
                writeln!(out, "administrator {ADMIN}, password in {}", file.display())
            }
            Admin { file: None, .. } => writeln!(out, "administrator {ADMIN}"),
        }
    }
}

/// The path as a word of a shell.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    if path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@:,".contains(&byte)) {
        return path;
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn welcome(url: &str, authority: Option<&str>) -> String {
        let address = "127.0.0.1:5000".parse().unwrap();
        let admin = Admin { file: Some("/my data/admin-password".into()), new: Some(Secret::new("secret")) };
        Welcome { address, url: url.to_owned(), admin, authority: authority.map(PathBuf::from) }.text()
    }

    #[test]
    fn lines_can_be_pasted() {
        let text = welcome("https://127.0.0.1:5000", Some("/my data/tls/ca.crt"));
        for line in [
            "docker login -u admin --password-stdin localhost:5000 < '/my data/admin-password'",
            "export SSL_CERT_FILE='/my data/tls/ca.crt'",
            "podman login -u admin --password-stdin localhost:5000 < '/my data/admin-password'",
            "oras login --ca-file '/my data/tls/ca.crt' -u admin --password-stdin localhost:5000 < '/my data/admin-password'",
            "helm registry login --ca-file '/my data/tls/ca.crt' -u admin --password-stdin localhost:5000 < '/my data/admin-password'",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(
            text.contains(
                "curl --cacert '/my data/tls/ca.crt' -u \"admin:$(cat '/my data/admin-password')\""
            )
        );
        assert!(text.contains("password secret (shown this once; "));
    }

    #[test]
    fn plain_http_needs_no_authority_and_says_so_to_clients() {
        let text = welcome("http://127.0.0.1:5000", None);
        assert!(!text.contains("SSL_CERT_FILE") && !text.contains("--cacert"));
        assert!(text.contains("podman login --tls-verify=false") && text.contains("oras login --plain-http"));
        assert!(text.contains("http://localhost:5000/v2/_catalog"));
    }

    #[test]
    fn a_quote_in_a_path_stays_in_its_word() {
        assert_eq!(quoted(Path::new("/it's")), r"'/it'\''s'");
    }
}
