//! Who holds what waits for readers, and who gives way when it is too much. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// For how long nothing of an answer was taken when it may give way to others.
pub const STALLED: Duration = Duration::from_secs(5);
/// The part of everything that one address or one principal may hold, as a divisor.
const SHARE: usize = 2;
/// The part of everything up to which answers may grow, as a divisor: the rest is for those that begin.
const GROWTH: usize = 2;
/// What an address may hold in any case, however much others hold.
const FLOOR: Amount = Amount { files: 8, bytes: 1 << 20 };

/// Open files, and bytes in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Open files.
    pub files: usize,
    /// Bytes in memory.
    pub bytes: usize,
}

impl Amount {
    fn and(self, other: Self) -> Self {
        Self { files: self.files + other.files, bytes: self.bytes + other.bytes }
    }

    fn without(self, other: Self) -> Self {
        Self { files: self.files.saturating_sub(other.files), bytes: self.bytes.saturating_sub(other.bytes) }
    }

    fn fits(self, bounds: Self) -> bool {
        self.files <= bounds.files && self.bytes <= bounds.bytes
    }

    fn part(self, divisor: usize) -> Self {
        Self { files: self.files / divisor, bytes: self.bytes / divisor }
    }

    fn or_more(self, floor: Self) -> Self {
        Self { files: self.files.max(floor.files), bytes: self.bytes.max(floor.bytes) }
    }

    fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// For whom an answer waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// The address, or its network of version 6; none where it is not known.
    pub address: Option<IpAddr>,
    /// The name of the account; none of whoever did not log in.
    pub principal: Option<Arc<str>>,
}

/// Its address, or its principal, holds more than its share, and all of that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// An answer that waits for its reader.
#[derive(Debug)]
struct Entry<T> {
    reader: Reader,
    amount: Amount,
    tag: T,
}

/// Whose answers may give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    OfAddress,
    OfPrincipal,
    Anybodys,
}

/// All answers that wait for readers, each with a tag by which its owner knows it.
#[derive(Debug)]
pub struct Table<T> {
    bounds: Amount,
    next: u64,
    entries: HashMap<u64, Entry<T>>,
    all: Amount,
    addresses: HashMap<Option<IpAddr>, Amount>,
    principals: HashMap<Arc<str>, Amount>,
}

impl<T> Table<T> {
    /// Nothing yet, and at most so much for all together.
    pub fn new(bounds: Amount) -> Self {
        Self {
            bounds,
            next: 0,
            entries: HashMap::new(),
            all: Amount::default(),
            addresses: HashMap::new(),
            principals: HashMap::new(),
        }
    }

    /// An answer begins; `idle` tells for how long nothing of one was taken. Where that would be too much for its address, its
    /// principal or all together, the longest idle of theirs give way, and of all the longest idle of the address that holds the
    /// most, as long as that is no less than the new one's holds. They are taken out, and their tags are for the caller to end.
    ///
    /// Where nobody is idle the answer begins all the same while its address holds no more than an equal part for each address, half at
    /// most, or a few: so nobody is refused for what somebody else holds, and all together hold at most twice what they should, and a
    /// few for each address.
    ///
    /// # Errors
    /// When its address holds more than that; then nothing has changed.
    pub fn enter(
        &mut self,
        reader: Reader,
        amount: Amount,
        tag: T,
        idle: impl Fn(&T) -> Duration,
    ) -> Result<(u64, Vec<T>), Refused> {
        let before = [Scope::OfAddress, Scope::OfPrincipal, Scope::Anybodys]
            .map(|scope| (scope, self.held(scope, &reader)));
        let mut gone = Vec::new();
        for (scope, before) in before {
            while self.is_exceeded(scope, &reader, amount) {
                if let Some(id) = self.longest_idle(scope, &reader, &idle)
                    && let Some(entry) = self.take(id)
                {
                    gone.push((id, entry));
                    continue;
                }
                if self.held(scope, &reader).and(amount).fits(before) || self.is_fair(&reader, amount) {
                    break;
                }
                for (id, entry) in gone {
                    self.put(id, entry);
                }
                return Err(Refused);
            }
        }
        let id = self.next;
        self.next += 1;
        self.put(id, Entry { reader, amount, tag });
        Ok((id, gone.into_iter().map(|(_, entry)| entry.tag).collect()))
    }

    /// An answer takes so many bytes more, where there is plenty; says whether it may.
    pub fn grow(&mut self, id: u64, bytes: usize) -> bool {
        let more = Amount { files: 0, bytes };
        let Some(entry) = self.entries.get(&id) else { return false };
        let reader = entry.reader.clone();
        let most = self.bounds.part(GROWTH);
        let fits = |scope, most: Amount| self.held(scope, &reader).bytes + bytes <= most.bytes;
        let has_share = |scope| fits(scope, most.part(SHARE));
        if !fits(Scope::Anybodys, most) || !has_share(Scope::OfAddress) || !has_share(Scope::OfPrincipal) {
            return false;
        }
        if let Some(mut entry) = self.take(id) {
            entry.amount = entry.amount.and(more);
            self.put(id, entry);
        }
        true
    }

    /// An answer has ended; nothing happens when it gave way before.
    pub fn leave(&mut self, id: u64) {
        drop(self.take(id));
    }

    fn of_address(&self, reader: &Reader) -> Amount {
        self.addresses.get(&reader.address).copied().unwrap_or_default()
    }

    /// What is held by those of the scope.
    fn held(&self, scope: Scope, reader: &Reader) -> Amount {
        let of_principal = || self.principals.get(reader.principal.as_ref()?).copied();
        match scope {
            Scope::OfAddress => self.of_address(reader),
            Scope::OfPrincipal => of_principal().unwrap_or_default(),
            Scope::Anybodys => self.all,
        }
    }

    /// Whether so much more is too much for the scope. One answer alone is within every share.
    fn is_exceeded(&self, scope: Scope, reader: &Reader, amount: Amount) -> bool {
        let most = if scope == Scope::Anybodys { self.bounds } else { self.bounds.part(SHARE) };
        let held = self.held(scope, reader);
        !held.is_nothing() && !held.and(amount).fits(most)
    }

    /// Whether so much more is no more than an equal part for each address, or than anybody may hold in any case.
    fn is_fair(&self, reader: &Reader, amount: Amount) -> bool {
        let held = self.of_address(reader);
        let part = self.bounds.part(self.addresses.len().max(SHARE)).or_more(FLOOR);
        held.is_nothing() || held.and(amount).fits(part)
    }

    fn longest_idle(&self, scope: Scope, reader: &Reader, idle: &impl Fn(&T) -> Duration) -> Option<u64> {
        let least = self.of_address(reader).bytes;
        let in_scope = |entry: &Entry<T>| match scope {
            Scope::OfAddress => entry.reader.address == reader.address,
            Scope::OfPrincipal => entry.reader.principal == reader.principal,
            Scope::Anybodys => self.of_address(&entry.reader).bytes >= least,
        };
        let ranked = self.entries.iter().filter(|(_, entry)| in_scope(entry)).filter_map(|(id, entry)| {
            let idle = Some(idle(&entry.tag)).filter(|idle| *idle >= STALLED)?;
            let held = if scope == Scope::Anybodys { self.of_address(&entry.reader).bytes } else { 0 };
            Some((held, idle, *id))
        });
        ranked.max().map(|(_, _, id)| id)
    }

    fn put(&mut self, id: u64, entry: Entry<T>) {
        self.all = self.all.and(entry.amount);
        let of_address = self.addresses.entry(entry.reader.address).or_default();
        *of_address = of_address.and(entry.amount);
        if let Some(principal) = &entry.reader.principal {
            let of_principal = self.principals.entry(Arc::clone(principal)).or_default();
            *of_principal = of_principal.and(entry.amount);
        }
        self.entries.insert(id, entry);
    }

    fn take(&mut self, id: u64) -> Option<Entry<T>> {
        let entry = self.entries.remove(&id)?;
        let less = |held: Option<&mut Amount>| {
            held.is_some_and(|held| {
                *held = held.without(entry.amount);
                held.is_nothing()
            })
        };
        self.all = self.all.without(entry.amount);
        if less(self.addresses.get_mut(&entry.reader.address)) {
            self.addresses.remove(&entry.reader.address);
        }
        if let Some(principal) = &entry.reader.principal
            && less(self.principals.get_mut(principal))
        {
            self.principals.remove(principal);
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
