//! The way that every request takes: its page is found, its person, whether it comes from a page of ours; then it is answered.

use std::io::Write as _;
use std::rc::Rc;

use actix_web::body::{BoxBody, MessageBody as _};
use actix_web::cookie::time::Duration as Span;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt;
use mcr_api::{LoginAnswer, Me};
use percent_encoding::percent_decode_str;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::failure::Failure;
use crate::origin::{self, Said};
use crate::pages::{self, Frame};
use crate::people::Person;
use crate::registry::Asker;
use crate::route::{self, Route, Who};
use crate::session::Token;
use crate::site::Site;
use crate::visit::{Parts, Reply, Visit};
use crate::{asset, clock};

/// From how many bytes on a page is compressed.
const WORTH_IT: usize = 1024;
/// The longest form, in bytes.
const LONGEST_FORM: usize = 64 * 1024;
/// A login is renewed when its token ends so soon.
const SOON: time::Duration = time::Duration::minutes(15);

/// Nothing but what is ours is shown or run, nothing else frames it, and forms go nowhere else.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// An id for the logs of both programs.
fn new_id() -> String {
    let mut random = [0; 8];
    // Without randomness it is of no less use to whoever reads the log.
    let _ = getrandom::fill(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The segments of the path, decoded; nothing when one is no text.
fn segments(path: &str) -> Option<Vec<String>> {
    let decode = |segment: &str| percent_decode_str(segment).decode_utf8().ok().map(|text| text.into_owned());
    path.strip_prefix('/')?.split('/').map(decode).collect()
}

/// Answers a request.
pub(crate) async fn serve(request: HttpRequest, payload: web::Payload, site: Data<Site>) -> HttpResponse {
    let path = segments(request.path()).unwrap_or_default();
    if let [directory, name] = path.as_slice()
        && directory == "static"
        && let Some(response) = asset::serve(&request, name)
    {
        return with_headers(response, &site, true);
    }
    let token = request.cookie(cookie_name(&site)).and_then(|cookie| site.sealer.open(cookie.value()));
    let asker = Asker { token, address: (site.settings.address)(&request), request_id: new_id() };
    let id = asker.request_id.clone();
    let mut keeps = Keeps::default();
    let answered = answer(&request, payload, &site, asker, &path, &mut keeps).await;
    let mut response = match answered {
        Ok(reply) => respond(reply, &site),
        Err((Failure::SignedOut, _)) => sign_in_first(&request, &site),
        Err((failure, frame)) => {
            let mut response = HttpResponse::build(failure.status());
            if let Failure::Refused { retry_after: Some(seconds), .. } = failure {
                response.insert_header((header::RETRY_AFTER, seconds));
            }
            html(response, pages::failure(frame, &failure, &id))
        }
    };
    if let Some(token) = keeps.renewed
        && let Some(cookie) = cookie(&site, &token)
    {
        // A page that replaces the session itself knows better.
        if response.cookies().next().is_none() {
            let _added = response.add_cookie(&cookie);
        }
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), id);
    }
    with_headers(compressed(response, &request), &site, false)
}

/// A page that was asked for with GET, in fewer bytes. What answers a form may show a secret beside what somebody else has chosen,
/// and its length must not tell of it.
fn compressed(response: HttpResponse, request: &HttpRequest) -> HttpResponse {
    if request.method() != Method::GET || !asset::takes_gzip(request) {
        return response;
    }
    let (response, body) = response.into_parts();
    let plain = match body.try_into_bytes() {
        Ok(plain) if plain.len() >= WORTH_IT => plain,
        Ok(plain) => return response.set_body(BoxBody::new(plain)),
        Err(body) => return response.set_body(body),
    };
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let Ok(packed) = gzip.write_all(&plain).and_then(|()| gzip.finish()) else {
        return response.set_body(BoxBody::new(plain));
    };
    let mut response = response.set_body(BoxBody::new(packed));
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// What is to be kept when the request is answered.
#[derive(Default)]
struct Keeps {
    /// The token that took the place of the session's.
    renewed: Option<Token>,
}

/// Finds page and person, and lets the page answer. A failure comes with what is known of the page that tells of it.
async fn answer(
    request: &HttpRequest,
    payload: web::Payload,
    site: &Data<Site>,
    mut asker: Asker,
    path: &[String],
    keeps: &mut Keeps,
) -> Result<Reply, (Failure, Frame)> {
    let host = site.settings.registry_host.as_str();
    let bare = |failure| (failure, Frame::bare(host));
    let routes = route::of(path);
    let found = choose(request.method(), &routes);
    let who = found.as_ref().map_or(Who::Person, |(route, _)| route.who);
    let person = match who {
        Who::Anybody => None,
        Who::Person => Some(person(site, &mut asker, keeps).await.map_err(bare)?),
    };
    let framed = |failure| (failure, Frame::new(host, person.as_deref(), ""));
    let (_, parts) = found.as_ref().ok_or(()).map_err(|()| framed(Failure::NotFound))?;
    if !request.method().is_safe() && !is_ours(request, site) {
        return Err(framed(Failure::Foreign));
    }
    let form =
        if request.method() == Method::POST { read_form(payload).await.map_err(framed)? } else { Vec::new() };
    let visit = Visit {
        site: site.clone(),
        parts: parts.clone(),
        query: pairs(request.query_string().as_bytes()),
        form,
        asker,
        person: person.clone(),
        now: clock::now(),
    };
    let handler = found.map(|(route, _)| route.handler).ok_or(()).map_err(|()| framed(Failure::NotFound))?;
    handler(visit).await.map_err(|failure| match failure {
        // The token has ended since it was looked at.
        Failure::Refused { status: 401, .. } if who == Who::Person => framed(Failure::SignedOut),
        failure => framed(failure),
    })
}

/// The route of the method; HEAD is asked of what answers GET.
fn choose(method: &Method, routes: &[(&'static Route, Parts)]) -> Option<(&'static Route, Parts)> {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    routes.iter().find(|(route, _)| route.method == method).map(|(route, parts)| (*route, parts.clone()))
}

fn is_ours(request: &HttpRequest, site: &Site) -> bool {
    let connection = request.connection_info();
    let host = request.uri().authority().map(ToString::to_string);
    origin::is_ours(Said {
        fetch_site: header(request, "sec-fetch-site"),
        origin: header(request, "origin"),
        host: header(request, "host").or(host.as_deref()).unwrap_or_else(|| connection.host()),
        public_url: site.settings.public_url.as_deref(),
    })
}

async fn read_form(mut payload: web::Payload) -> Result<Vec<(String, String)>, Failure> {
    let mut body = Vec::new();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|_| Failure::Bad("The form did not come whole.".to_owned()))?;
        if body.len() + piece.len() > LONGEST_FORM {
            return Err(Failure::Bad(format!("A form has at most {LONGEST_FORM} bytes.")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(pairs(&body))
}

/// Who is signed in. A login whose token ends soon is renewed.
async fn person(site: &Site, asker: &mut Asker, keeps: &mut Keeps) -> Result<Rc<Person>, Failure> {
    let token = asker.token.clone().ok_or(Failure::SignedOut)?;
    if let Some(person) = site.people.known(&token) {
        return Ok(person);
    }
    let me: Me = site.registry.get(asker, "/v1/auth/me").await.map_err(|failure| match failure {
        Failure::Refused { status: 401, .. } => Failure::SignedOut,
        failure => failure,
    })?;
    if !ends_soon(&me) {
        return Ok(site.people.remember(&token, me));
    }
    let renewed: Result<LoginAnswer, _> =
        site.registry.change(asker, Method::POST, "/v1/auth/renew", None::<&()>).await;
    let renewed = renewed.ok().and_then(|answer| Token::new(&answer.token));
    // What cannot be renewed, a robot's or an old login, is good to its end.
    if let Some(renewed) = renewed {
        asker.token = Some(renewed.clone());
        keeps.renewed = Some(renewed);
    }
    Ok(site.people.remember(asker.token.as_ref().unwrap_or(&token), me))
}

fn ends_soon(me: &Me) -> bool {
    let end = me.expires_at.as_deref().and_then(|end| OffsetDateTime::parse(end, &Rfc3339).ok());
    end.is_some_and(|end| end - clock::now() < SOON)
}

fn cookie_name(site: &Site) -> &'static str {
    // With this prefix browsers take it from nobody but this host, over TLS (RFC 6265bis §4.1.3.2).
    if site.settings.secure { "__Host-mcr" } else { "mcr" }
}

fn cookie(site: &Site, token: &Token) -> Option<Cookie<'static>> {
    Some(with_scope(site, Cookie::new(cookie_name(site), site.sealer.seal(token)?)))
}

fn with_scope(site: &Site, mut cookie: Cookie<'static>) -> Cookie<'static> {
    cookie.set_path("/");
    cookie.set_http_only(true);
    cookie.set_secure(site.settings.secure);
    cookie.set_same_site(SameSite::Lax);
    cookie
}

/// The login page, which leads back to where somebody wanted to go.
fn sign_in_first(request: &HttpRequest, site: &Site) -> HttpResponse {
    let wanted = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    // A form that was sent is not sent again by itself.
    let next = if request.method().is_safe() { wanted } else { String::new() };
    let to = crate::registry::with_query("/login", &[("next", next.as_str())]);
    let mut response = HttpResponse::SeeOther().insert_header((header::LOCATION, to)).finish();
    expire(&mut response, site);
    response
}

fn expire(response: &mut HttpResponse, site: &Site) {
    let mut cookie = with_scope(site, Cookie::new(cookie_name(site), ""));
    cookie.set_max_age(Span::ZERO);
    let _added = response.add_cookie(&cookie);
}

fn html(mut response: actix_web::HttpResponseBuilder, body: Option<String>) -> HttpResponse {
    match body {
        Some(body) => response.content_type("text/html; charset=utf-8").body(body),
        None => HttpResponse::build(StatusCode::INTERNAL_SERVER_ERROR).finish(),
    }
}

fn respond(reply: Reply, site: &Site) -> HttpResponse {
    let to = |place: &str| HttpResponse::SeeOther().insert_header((header::LOCATION, place)).finish();
    match reply {
        Reply::Html(body) => html(HttpResponse::Ok(), Some(body)),
        Reply::Redirect(place) => to(&place),
        Reply::SignedIn(token, place) => {
            let mut response = to(&place);
            match cookie(site, &token) {
                Some(cookie) => drop(response.add_cookie(&cookie)),
                None => return HttpResponse::InternalServerError().finish(),
            }
            response
        }
        Reply::SignedOut => {
            let mut response = to("/login");
            expire(&mut response, site);
            response
        }
    }
}

fn with_headers(mut response: HttpResponse, site: &Site, is_asset: bool) -> HttpResponse {
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &'static str| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    };
    set("content-security-policy", POLICY);
    set("x-content-type-options", "nosniff");
    set("referrer-policy", "same-origin");
    set("cross-origin-opener-policy", "same-origin");
    set("cross-origin-resource-policy", "same-origin");
    // A browser would ask all of this host's ports over TLS from then on: only where somebody gave it a name of its own.
    if site.settings.public_url.as_deref().is_some_and(|url| url.starts_with("https://")) {
        set("strict-transport-security", "max-age=31536000");
    }
    if !is_asset {
        set("cache-control", "no-store");
    }
    response
}
