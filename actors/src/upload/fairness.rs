//! Who gives way when every upload's place is taken, and how many places cannot give way. Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use uuid::Uuid;

use crate::domain::Timestamp;

/// An upload and who holds its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub id: Uuid,
    /// The subject of who began it.
    pub owner: String,
    /// Bytes that are acknowledged.
    pub bytes: u64,
    /// When something happened in it last.
    pub last_active: Timestamp,
}

/// The uploads that give way to one of `asker`, the first of them first: those of whoever holds the most places, as long as that
/// is more than the asker holds, `under_way` of them by requests; those without a byte before the others, and of each kind the longest idle first. So nobody is
/// refused for what somebody else holds, and who holds the most is told to wait.
pub fn give_way(mut standings: Vec<Standing>, asker: &str, under_way: usize) -> Vec<Standing> {
    let mut held: HashMap<&str, usize> = HashMap::new();
    for standing in &standings {
        *held.entry(&standing.owner).or_default() += 1;
    }
    let of_asker = held.get(asker).copied().unwrap_or_default() + under_way;
    let most = held.into_iter().max_by_key(|(owner, places)| (*places, *owner));
    let Some(owner) = most.filter(|(_, places)| *places > of_asker).map(|(owner, _)| owner.to_owned()) else {
        return Vec::new();
    };
    standings.retain(|standing| standing.owner == owner);
    standings.sort_by_key(|standing| (standing.bytes > 0, standing.last_active, standing.id));
    standings
}

/// The places of uploads that are one request each, by whose they are. None of them can give way, since its bytes are coming in.
#[derive(Debug, Default)]
pub struct UnderWay {
    owners: HashMap<Uuid, String>,
    held: HashMap<String, usize>,
}

impl UnderWay {
    /// How many this owner has, who is the subject of a principal.
    pub fn held_by(&self, owner: &str) -> usize {
        self.held.get(owner).copied().unwrap_or_default()
    }

    /// Whether one more may be of this owner, who has half of all places at most, and one in any case.
    pub fn may_take(&self, owner: &str, places: usize) -> bool {
        self.held_by(owner) < (places / 2).max(1)
    }

    /// One has begun.
    pub fn take(&mut self, id: Uuid, owner: String) {
        *self.held.entry(owner.clone()).or_default() += 1;
        self.owners.insert(id, owner);
    }

    /// An upload has ended, of one request or not.
    pub fn give_back(&mut self, id: Uuid) {
        let Some(owner) = self.owners.remove(&id) else { return };
        if let Entry::Occupied(mut held) = self.held.entry(owner) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn standing(number: u128, owner: &str, bytes: u64, last_active: i64) -> Standing {
        let (id, owner) = (Uuid::from_u128(number), owner.to_owned());
        Standing { id, owner, bytes, last_active: Timestamp::from_millis(last_active) }
    }

    #[test]
    fn an_empty_upload_of_whoever_holds_the_most_goes_first_and_then_the_longest_idle() {
        let standings = vec![
            standing(1, "greedy", 5, 10),
            standing(2, "greedy", 0, 30),
            standing(3, "greedy", 0, 20),
            standing(4, "other", 0, 1),
        ];
        let ids = |asker: &str| -> Vec<u128> {
            give_way(standings.clone(), asker, 0).iter().map(|standing| standing.id.as_u128()).collect()
        };
        assert_eq!(ids("other"), [3, 2, 1]);
        assert_eq!(ids("newcomer"), [3, 2, 1]);
        assert_eq!(ids("greedy"), [0; 0]);
        // Places of requests under way are places, too.
        assert!(give_way(standings.clone(), "other", 1).len() == 3);
        assert!(give_way(standings.clone(), "other", 2).is_empty());
        assert!(give_way(Vec::new(), "newcomer", 0).is_empty());
    }

    proptest! {
        #[test]
        fn requests_of_one_owner_never_hold_more_than_half_and_what_ended_is_free(
            steps in prop::collection::vec((0..3u8, any::<bool>(), any::<prop::sample::Index>()), 0..200),
            places in 1..12usize
        ) {
            let (mut under_way, mut model) = (UnderWay::default(), Vec::<(Uuid, u8)>::new());
            for (number, (owner, ends, which)) in (0..).zip(steps) {
                if ends && !model.is_empty() {
                    let (id, _) = model.swap_remove(which.index(model.len()));
                    under_way.give_back(id);
                    under_way.give_back(id);
                }
                let holds = model.iter().filter(|(_, other)| *other == owner).count();
                let may = under_way.may_take(&owner.to_string(), places);
                prop_assert_eq!(may, holds < (places / 2).max(1));
                if may {
                    let id = Uuid::from_u128(number);
                    under_way.take(id, owner.to_string());
                    model.push((id, owner));
                }
            }
            model.iter().for_each(|(id, _)| under_way.give_back(*id));
            prop_assert!(under_way.held.is_empty() && under_way.owners.is_empty());
        }

        #[test]
        fn whoever_asks_again_and_again_ends_with_a_fair_share(
            askers in prop::collection::vec(0..4u8, 1..200), places in 1..12usize
        ) {
            let mut standings: Vec<Standing> = Vec::new();
            for (number, asker) in (1..).zip(&askers) {
                let owner = asker.to_string();
                if standings.len() == places {
                    let Some(gone) = give_way(standings.clone(), &owner, 0).first().cloned() else { continue };
                    standings.retain(|standing| standing.id != gone.id);
                }
                standings.push(standing(number, &owner, 0, i64::try_from(number).unwrap()));
            }
            prop_assert!(standings.len() <= places);
            // Whoever asked has something, where there are places enough.
            let all: std::collections::BTreeSet<u8> = askers.iter().copied().collect();
            if all.len() <= places {
                for asker in all {
                    prop_assert!(standings.iter().any(|standing| standing.owner == asker.to_string()), "{}", asker);
                }
            }
        }
    }
}
