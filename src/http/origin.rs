//! Under which URL a client reached the registry, and from where it came.
//!
//! Forwarded headers are believed only from trusted proxies; a `Host` that could not stand in a header or a URL is not
//! repeated.

use std::net::IpAddr;

use actix_web::HttpRequest;

use super::state::HttpOptions;

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// The last of a comma-separated list: what the nearest proxy added.
fn nearest(list: &str) -> &str {
    list.rsplit(',').next().unwrap_or_default().trim()
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 260
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

fn peer(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|peer| peer.ip().to_canonical())
}

fn is_trusted(options: &HttpOptions, address: IpAddr) -> bool {
    options.trusted_proxies.iter().any(|network| network.contains(&address))
}

/// `scheme://host[:port]` as the client sees it.
pub fn origin(request: &HttpRequest, options: &HttpOptions) -> String {
    if let Some(url) = &options.public_url {
        return url.clone();
    }
    let trusted = peer(request).is_some_and(|peer| is_trusted(options, peer));
    let forwarded = |name| if trusted { header(request, name).map(nearest) } else { None };
    let scheme = match forwarded("x-forwarded-proto") {
        Some(scheme @ ("http" | "https")) => scheme,
        _ if options.tls => "https",
        _ => "http",
    };
    let authority = request.uri().authority().map(actix_web::http::uri::Authority::as_str);
    let host = [forwarded("x-forwarded-host"), authority, header(request, "host")]
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
    let peer = peer(request)?;
    if !is_trusted(options, peer) {
        return Some(peer);
    }
    // From the nearest hop outwards, the first that is not one of our proxies.
    let hops = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut client = peer;
    for hop in hops.iter().rev() {
        match hop.parse::<IpAddr>() {
            Ok(address) => client = address.to_canonical(),
            Err(_) => break,
        }
        if !is_trusted(options, client) {
            break;
        }
    }
    Some(client)
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
    fn a_public_url_wins_and_a_hostile_host_is_not_repeated() {
        let request = from("10.1.1.1").to_http_request();
        assert_eq!(origin(&request, &options(Some("https://x"))), "https://x");
        let hostile = TestRequest::default().insert_header(("host", "a\",error=\"b")).to_http_request();
        assert!(!origin(&hostile, &options(None)).contains('"'));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_forwarded_makes_a_url_and_an_address(text in "[0-9a-f.:,\" /<>-]{0,40}|\\PC{0,40}") {
            let proxy = || TestRequest::default().peer_addr("10.1.1.1:1".parse().unwrap());
            let names = ["host", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-for"];
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
