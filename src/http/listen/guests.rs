//! Who is connected: an address may have a share of the connections and not all of them, and what goes wrong with its
//! connections is told with the address, once a minute.

use std::collections::HashMap;
use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_http::error::DispatchError;
use actix_tls::accept::TlsError;
use ipnet::IpNet;
use log::Level;
use lru::LruCache;
use mcr_actors::domain::network;

use super::pulse::GaveWay;

/// The part of all connections that one address may have, as a divisor.
const SHARE: usize = 2;
/// How often an address is told of.
const AGAIN: Duration = Duration::from_secs(60);
/// Addresses of which it is remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// The addresses that are connected, for all workers of a socket.
#[derive(Debug)]
pub(super) struct Guests {
    most: usize,
    /// Proxies, on whose connections many come.
    proxies: Vec<IpNet>,
    connected: Mutex<HashMap<IpAddr, usize>>,
    told: Mutex<LruCache<IpAddr, Instant>>,
}

impl Guests {
    /// Each address has half of `connections`, and of the proxies each has all.
    pub(super) fn new(connections: usize, proxies: Vec<IpNet>) -> Arc<Self> {
        let most = connections.div_ceil(SHARE);
        let (connected, told) = (Mutex::default(), Mutex::new(LruCache::new(REMEMBERED)));
        Arc::new(Self { most, proxies, connected, told })
    }

    /// A place for one more connection from there; none when the address has its share.
    pub(super) fn welcome(self: &Arc<Self>, peer: IpAddr) -> Option<Guest> {
        let address = peer.to_canonical();
        if self.proxies.iter().any(|proxy| proxy.contains(&address)) {
            return Some(Guest { guests: Arc::clone(self), address: None });
        }
        let address = network(address);
        // A panic elsewhere leaves numbers that are right.
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        let count = connected.entry(address).or_default();
        if *count >= self.most {
            drop(connected);
            self.tell(peer, Level::Warn, "it has half of all connections; more are closed");
            return None;
        }
        *count += 1;
        Some(Guest { guests: Arc::clone(self), address: Some(address) })
    }

    /// Logs what went wrong with a connection; what an address does again within a minute only where details are logged.
    pub(super) fn tell(&self, peer: IpAddr, level: Level, what: impl Display) {
        let address = network(peer.to_canonical());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = told.get(&address).is_none_or(|at| at.elapsed() >= AGAIN);
        if is_new {
            told.put(address, Instant::now());
        }
        drop(told);
        let level = if is_new || level == Level::Error { level } else { Level::Debug };
        log::log!(level, address = peer.to_string().as_str(); "a connection ended: {what}");
    }
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Arc<Guests>,
    /// None for a proxy, which is not counted.
    address: Option<IpAddr>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut connected = self.guests.connected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = connected.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                connected.remove(&address);
            }
        }
    }
}

/// How a connection ended that did not end well.
pub(super) trait Mishap: Display {
    /// How much an operator wants to know of it: what clients do is their business, and what failed here is ours.
    fn level(&self) -> Level;
}

impl Mishap for DispatchError {
    fn level(&self) -> Level {
        match self {
            // It is told where that is decided.
            Self::Body(error) if error.is::<GaveWay>() => Level::Debug,
            Self::Body(_) | Self::InternalError => Level::Error,
            Self::Parse(_) => Level::Warn,
            _ => Level::Debug,
        }
    }
}

impl Mishap for TlsError<io::Error, DispatchError> {
    fn level(&self) -> Level {
        match self {
            // Balancers that look whether a port is open say nothing on it.
            Self::Tls(error) if error.kind() == io::ErrorKind::UnexpectedEof => Level::Debug,
            Self::Timeout | Self::Tls(_) => Level::Warn,
            Self::Service(error) => error.level(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_a_share_of_the_connections_and_a_proxy_all() {
        let guests = Guests::new(10, vec!["10.0.0.0/8".parse().unwrap()]);
        let welcome = |text: &str| guests.welcome(address(text));
        let mut held: Vec<Guest> = (0..5).map(|_| welcome("192.0.2.1").expect("its share")).collect();
        assert!(welcome("192.0.2.1").is_none() && welcome("::ffff:192.0.2.1").is_none());
        held.extend((0..5).map(|host| welcome(&format!("2001:db8::{host}")).expect("another address")));
        assert!(welcome("2001:db8::ffff").is_none(), "a network of version 6 is one address");
        held.extend((0..20).map(|_| welcome("10.1.2.3").expect("a proxy")));
        held.truncate(4);
        assert!(welcome("192.0.2.1").is_some(), "a place that is given back");
        drop(held);
        assert!(guests.connected.lock().unwrap().is_empty());
    }

    #[test]
    fn a_registry_of_one_connection_serves() {
        let guests = Guests::new(1, Vec::new());
        assert!(guests.welcome(address("192.0.2.1")).is_some());
    }
}
