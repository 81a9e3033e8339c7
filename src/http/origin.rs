//! Under which URL a client reached the registry, and from where it came.
//!
//! Forwarded headers are believed only from trusted proxies; a `Host` that could not stand in a header or a URL is not
//! repeated.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;
use ipnet::IpNet;

use super::forwarded;
use super::state::HttpOptions;

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// What the nearest proxy says in a field of its own, or where there is none, in a parameter of `Forwarded` (RFC 7239 §4).
fn said_by_the_nearest(request: &HttpRequest, name: &str, parameter: &str) -> Option<String> {
    let own = forwarded::elements(lines(request, name)).next().map(<[u8]>::to_vec);
    if let Some(own) = own {
        return String::from_utf8(own).ok();
    }
    let element = forwarded::elements(lines(request, "forwarded")).next().map(<[u8]>::to_vec)?;
    forwarded::parameter(&element, parameter)
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 260
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

fn peer(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|peer| peer.ip().to_canonical())
}

fn is_trusted(proxies: &[IpNet], address: IpAddr) -> bool {
    proxies.iter().any(|network| network.contains(&address))
}

/// Whether it comes over a connection on which a trusted proxy brings the requests of many.
pub(super) fn is_of_proxy(request: &HttpRequest, options: &HttpOptions) -> bool {
    peer(request).is_some_and(|peer| is_trusted(&options.trusted_proxies, peer))
}

/// `scheme://host[:port]` as the client sees it.
pub fn origin(request: &HttpRequest, options: &HttpOptions) -> String {
    if let Some(url) = &options.public_url {
        return url.clone();
    }
    let trusted = is_of_proxy(request, options);
    let said = |name, parameter| if trusted { said_by_the_nearest(request, name, parameter) } else { None };
    let scheme = match said("x-forwarded-proto", "proto").as_deref() {
        Some("http") => "http",
        Some("https") => "https",
        _ if options.tls => "https",
        _ => "http",
    };
    let authority = request.uri().authority().map(actix_web::http::uri::Authority::as_str);
    let forwarded = said("x-forwarded-host", "host");
    let host = [forwarded.as_deref(), authority, header(request, "host")]
        .into_iter()
        .flatten()
        .find(|host| is_host(host));
    match host {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{}", request.app_config().local_addr()),
    }
}

/// The client's address: the peer, or what trusted proxies say it is.
pub fn client(request: &HttpRequest, options: &HttpOptions) -> Option<IpAddr> {
    client_behind(request, &options.trusted_proxies)
}

/// The same with these proxies.
pub fn client_behind(request: &HttpRequest, proxies: &[IpNet]) -> Option<IpAddr> {
    let peer = peer(request)?;
    if !is_trusted(proxies, peer) {
        return Some(peer);
    }
    match outermost(&hops(request), proxies) {
        Some(client) => Some(client),
        None => {
            say_once(peer);
            Some(peer)
        }
    }
}

/// From the nearest hop outwards, the first that is not one of our proxies; none where no hop says who it was.
fn outermost(hops: &[Option<IpAddr>], proxies: &[IpNet]) -> Option<IpAddr> {
    let mut client = None;
    for hop in hops {
        let Some(address) = *hop else { break };
        client = Some(address);
        if !is_trusted(proxies, address) {
            break;
        }
    }
    client
}

/// Who passed the request on, the nearest first.
fn hops(request: &HttpRequest) -> Vec<Option<IpAddr>> {
    forwarded::hops(lines(request, "x-forwarded-for"), lines(request, "forwarded"))
}

/// The lines of a field, which need not be text.
fn lines<'a>(request: &'a HttpRequest, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
    request.headers().get_all(name).map(HeaderValue::as_bytes).collect::<Vec<_>>().into_iter()
}

/// Tells, once for all, that a proxy does not say whom it asks for: limits and the audit log then know the proxy only.
fn say_once(proxy: IpAddr) {
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        log::warn!(
            "the proxy {proxy} does not say who its clients are: let it send X-Forwarded-For, or all of them share one \
             limit and one address in the audit log"
        );
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_web::test::TestRequest;

    use super::*;

    fn options(public_url: Option<&str>) -> HttpOptions {
        HttpOptions {
            tls: true,
            public_url: public_url.map(str::to_owned),
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            read_timeout: Duration::from_secs(1),
            allow_tag_delete: false,
            allow_sparse: false,
            max_manifest_size: 1,
            admin: Default::default(),
            audit_pulls: false,
        }
    }

    fn from(peer: &str) -> TestRequest {
        TestRequest::default()
            .peer_addr(format!("{peer}:1").parse().unwrap())
            .insert_header(("host", "r.example:5000"))
            .insert_header(("x-forwarded-host", "public.example"))
            .insert_header(("x-forwarded-proto", "http"))
            .insert_header(("x-forwarded-for", "6.6.6.6, 192.0.2.7, 10.9.9.9"))
    }

    #[test]
    fn forwarded_headers_are_believed_only_from_trusted_proxies() {
        let stranger = from("192.0.2.1").to_http_request();
        assert_eq!(origin(&stranger, &options(None)), "https://r.example:5000");
        assert_eq!(client(&stranger, &options(None)), Some("192.0.2.1".parse().unwrap()));
        let proxy = from("10.1.1.1").to_http_request();
        assert_eq!(origin(&proxy, &options(None)), "http://public.example");
        assert_eq!(client(&proxy, &options(None)), Some("192.0.2.7".parse().unwrap()));
    }

    #[test]
    fn bytes_that_are_no_text_hide_nobody_and_an_empty_field_says_nothing() {
        let proxy = || TestRequest::default().peer_addr("10.1.1.1:1".parse().unwrap());
        let sent = HeaderValue::from_bytes(b"\xe9, 192.0.2.81").unwrap();
        let request = proxy().insert_header(("x-forwarded-for", sent)).to_http_request();
        assert_eq!(client(&request, &options(None)), Some("192.0.2.81".parse().unwrap()));
        let both =
            proxy().insert_header(("x-forwarded-for", "")).insert_header(("forwarded", "for=192.0.2.82"));
        assert_eq!(client(&both.to_http_request(), &options(None)), Some("192.0.2.82".parse().unwrap()));
    }

    #[test]
    fn forwarded_says_the_url_where_no_field_of_its_own_does() {
        let proxy = || TestRequest::default().peer_addr("10.1.1.1:1".parse().unwrap());
        let said = "for=1.2.3.4;proto=http;host=evil.example, for=192.0.2.7;host=\"public.example:8443\";proto=https";
        let request = proxy().insert_header(("forwarded", said));
        assert_eq!(origin(&request.to_http_request(), &options(None)), "https://public.example:8443");
        let own = proxy().insert_header(("forwarded", said)).insert_header(("x-forwarded-proto", "http"));
        assert_eq!(origin(&own.to_http_request(), &options(None)), "http://public.example:8443");
    }

    #[test]
    fn a_public_url_wins_and_a_hostile_host_is_not_repeated() {
        let request = from("10.1.1.1").to_http_request();
        assert_eq!(origin(&request, &options(Some("https://x"))), "https://x");
        let hostile = TestRequest::default().insert_header(("host", "a\",error=\"b")).to_http_request();
        assert!(!origin(&hostile, &options(None)).contains('"'));
    }

    #[test]
    fn every_form_of_a_forwarded_address_is_read() {
        let found = |name: &'static str, value: &str| {
            let proxy = TestRequest::default().peer_addr("10.1.1.1:1".parse().unwrap());
            let request = proxy.insert_header((name, value)).to_http_request();
            client(&request, &options(None)).unwrap().to_string()
        };
        let cases = [
            ("x-forwarded-for", "192.0.2.7", "192.0.2.7"),
            ("x-forwarded-for", "192.0.2.7:4711", "192.0.2.7"),
            ("x-forwarded-for", "[2001:db8::1]:4711", "2001:db8::1"),
            ("x-forwarded-for", "[2001:db8::1]", "2001:db8::1"),
            ("x-forwarded-for", "2001:db8::1", "2001:db8::1"),
            ("x-forwarded-for", "::ffff:192.0.2.7", "192.0.2.7"),
            ("x-forwarded-for", "6.6.6.6, 192.0.2.7:1, 10.9.9.9:2", "192.0.2.7"),
            ("x-forwarded-for", "6.6.6.6, unknown", "10.1.1.1"),
            ("x-forwarded-for", "unknown", "10.1.1.1"),
            ("x-forwarded-for", "", "10.1.1.1"),
            ("x-forwarded-for", "192.0.2.16,", "192.0.2.16"),
            ("x-forwarded-for", "fe80::13%eth0", "fe80::13"),
            ("x-forwarded-for", "10.1.1.1", "10.1.1.1"),
            ("forwarded", "for=192.0.2.7", "192.0.2.7"),
            ("forwarded", "For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("forwarded", "for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("forwarded", "by=203.0.113.43; for=\"192.0.2.60:_port\"", "192.0.2.60"),
            ("forwarded", "for=6.6.6.6, for=198.51.100.17, for=10.2.2.2", "198.51.100.17"),
            ("forwarded", "for=_hidden", "10.1.1.1"),
            ("forwarded", "for=unknown", "10.1.1.1"),
            ("forwarded", "proto=https", "10.1.1.1"),
            ("forwarded", "proto=http;host=\"x;for=6.6.6.6\";for=192.0.2.77", "192.0.2.77"),
            ("forwarded", "for=192.0.2.79;host=\"a, for=8.8.8.8\"", "192.0.2.79"),
            ("forwarded", "for=\"\\1\\9\\2.0.2.22\"", "192.0.2.22"),
            ("forwarded", "for=\"open, for=192.0.2.23", "192.0.2.23"),
        ];
        for (name, value, expected) in cases {
            assert_eq!(found(name, value), expected, "{name}: {value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_forwarded_makes_a_url_and_an_address(text in "[0-9a-f.:,\" /<>-]{0,40}|\\PC{0,40}") {
            let proxy = || TestRequest::default().peer_addr("10.1.1.1:1".parse().unwrap());
            let names = ["host", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-for", "forwarded"];
            let value = actix_web::http::header::HeaderValue::from_str(&text);
            for (name, value) in names.into_iter().filter_map(|name| Some((name, value.as_ref().ok()?))) {
                let request = proxy().insert_header((name, value.clone())).to_http_request();
                let origin = origin(&request, &options(None));
                let host = origin.split_once("://").map(|(_, host)| host).unwrap_or_default();
                proptest::prop_assert!(is_host(host), "{}", origin);
                proptest::prop_assert!(client(&request, &options(None)).is_some());
            }
        }
    }
}
