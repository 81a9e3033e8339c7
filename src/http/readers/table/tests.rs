use proptest::prelude::*;

use super::*;

const BOUNDS: Amount = Amount { files: 40, bytes: 40 << 20 };
/// What an answer of a file takes here.
const ONE: Amount = Amount { files: 1, bytes: 1 << 20 };

fn reader(address: u8, principal: u8) -> Reader {
    let principal = (principal > 0).then(|| Arc::from(principal.to_string().as_str()));
    Reader { address: Some([192, 0, 2, address].into()), principal }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_longest_idle_of_whoever_is_over_the_share_gives_way() {
    let mut table = Table::new(BOUNDS);
    for number in 0..20 {
        table.enter(reader(1, 0), ONE, number, |_| seconds(0)).unwrap();
    }
    let idle = |number: &u64| seconds(*number);
    let (_, gone) = table.enter(reader(1, 0), ONE, 20, idle).unwrap();
    assert_eq!(gone, [19]);
    assert_eq!(table.enter(reader(1, 0), ONE, 21, |_| seconds(4)).unwrap_err(), Refused);
    // Nobody else notices.
    assert_eq!(table.enter(reader(2, 0), ONE, 22, idle).unwrap().1, [0; 0]);
}

#[test]
fn a_principal_has_its_share_from_however_many_addresses() {
    let mut table = Table::new(BOUNDS);
    for number in 0..20 {
        table.enter(reader(number, 7), ONE, number, |_| seconds(0)).unwrap();
    }
    let (_, gone) = table.enter(reader(200, 7), ONE, 200, |number| seconds(u64::from(*number))).unwrap();
    assert_eq!(gone, [19]);
    assert_eq!(table.enter(reader(201, 8), ONE, 201, |_| seconds(9)).unwrap().1, [0; 0]);
}

#[test]
fn where_all_is_held_whoever_holds_the_most_gives_way_and_not_whoever_holds_less_than_the_asker() {
    let mut table = Table::new(BOUNDS);
    let mut number = 0;
    let mut fill = |table: &mut Table<(u8, u32)>, address, count| {
        for _ in 0..count {
            number += 1;
            table.enter(reader(address, 0), ONE, (address, number), |_| seconds(0)).unwrap();
        }
    };
    fill(&mut table, 1, 20);
    fill(&mut table, 2, 15);
    fill(&mut table, 3, 5);
    let all_idle = |(_, number): &(u8, u32)| seconds(100 - u64::from(*number));
    assert_eq!(table.enter(reader(9, 0), ONE, (9, 0), all_idle).unwrap().1, [(1, 1)]);
    let third_idle = |(address, _): &(u8, u32)| seconds(if *address == 3 { 9 } else { 0 });
    assert!(
        table.enter(reader(2, 0), ONE, (2, 0), third_idle).is_err(),
        "it holds more than those who are idle"
    );
    assert_eq!(table.enter(reader(9, 0), ONE, (9, 1), third_idle).unwrap().1.len(), 1);
    // Nobody is idle: whoever holds little comes in all the same.
    assert!(table.enter(reader(10, 0), ONE, (10, 0), |_| seconds(0)).unwrap().1.is_empty());
}

#[test]
fn answers_grow_only_while_there_is_plenty() {
    let mut table = Table::new(BOUNDS);
    let (id, _) = table.enter(reader(1, 1), ONE, 0, |_| seconds(0)).unwrap();
    assert!(table.grow(id, 9 << 20));
    assert!(!table.grow(id, 1), "a quarter is for one address");
    let (other, _) = table.enter(reader(2, 1), ONE, 0, |_| seconds(0)).unwrap();
    assert!(!table.grow(other, 1), "and for one principal");
    table.leave(id);
    assert!(table.grow(other, 1));
    table.leave(other);
    assert!(!table.grow(other, 1));
    assert!(table.addresses.is_empty() && table.principals.is_empty() && table.all.is_nothing());
}

/// An answer as the model knows it: of which address and principal, how much, and for how many seconds it is idle.
#[derive(Debug, Clone)]
struct Known {
    id: u64,
    tag: usize,
    reader: Reader,
    amount: Amount,
    idle: u64,
}

fn sum<'a>(known: impl Iterator<Item = &'a Known>) -> Amount {
    known.fold(Amount::default(), |sum, known| sum.and(known.amount))
}

#[derive(Debug, Clone)]
enum Step {
    Enters { address: u8, principal: u8, large: bool, idle: u64 },
    Leaves(prop::sample::Index),
    Grows(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..5u8, 0..4u8, prop::bool::weighted(0.1), 0..12u64)
            .prop_map(|(address, principal, large, idle)| Step::Enters { address, principal, large, idle }),
        2 => any::<prop::sample::Index>().prop_map(Step::Leaves),
        1 => any::<prop::sample::Index>().prop_map(Step::Grows),
    ]
}

proptest! {
    #[test]
    fn who_reads_is_never_cut_and_nobody_is_refused_for_what_others_hold(
        steps in prop::collection::vec(step(), 1..300),
        all_are_idle in any::<bool>()
    ) {
        let (mut table, mut model) = (Table::new(BOUNDS), Vec::<Known>::new());
        for (tag, step) in steps.into_iter().enumerate() {
            match step {
                Step::Leaves(which) if !model.is_empty() => {
                    let known = model.swap_remove(which.index(model.len()));
                    table.leave(known.id);
                }
                Step::Grows(which) if !model.is_empty() => {
                    let known = which.index(model.len());
                    if table.grow(model[known].id, 1 << 20) {
                        model[known].amount.bytes += 1 << 20;
                        prop_assert!(table.all.bytes <= BOUNDS.bytes / 2, "there is room for those that begin");
                    }
                }
                Step::Enters { address, principal, large, idle } => {
                    let amount = if large { Amount { files: 0, bytes: 3 << 20 } } else { ONE };
                    let idle = if all_are_idle { 5 + idle } else { idle };
                    let reader = reader(address, principal);
                    enter(&mut table, &mut model, Known { id: 0, tag, reader, amount, idle })?;
                }
                Step::Leaves(_) | Step::Grows(_) => {}
            }
            prop_assert_eq!(table.all, sum(model.iter()));
            let addresses = table.addresses.len();
            let most = if all_are_idle { BOUNDS } else {
                Amount { files: 2 * BOUNDS.files + 8 * addresses, bytes: 2 * BOUNDS.bytes + (8 << 20) * addresses }
            };
            prop_assert!(table.all.fits(most), "{:?} of {addresses} addresses", table.all);
        }
    }
}

/// Lets an answer in, and compares what comes of it with what may.
fn enter(table: &mut Table<usize>, model: &mut Vec<Known>, mut new: Known) -> Result<(), TestCaseError> {
    let idle = |tag: &usize| seconds(model.iter().find(|known| known.tag == *tag).unwrap().idle);
    let of_address = |known: &&Known| known.reader.address == new.reader.address;
    let held = sum(model.iter().filter(of_address));
    match table.enter(new.reader.clone(), new.amount, new.tag, idle) {
        Ok((id, gone)) => {
            for tag in gone {
                let at = model.iter().position(|known| known.tag == tag).unwrap();
                let gone = model.swap_remove(at);
                prop_assert!(seconds(gone.idle) >= STALLED, "{gone:?} was being read");
            }
            new.id = id;
            model.push(new);
        }
        Err(Refused) => {
            let addresses = table.addresses.len().max(SHARE);
            prop_assert!(!held.is_nothing());
            let part = BOUNDS.part(addresses).or_more(FLOOR);
            prop_assert!(!held.and(new.amount).fits(part), "{new:?} is refused with {held:?} of {part:?}");
            let own_idle =
                model.iter().any(|known| known.reader == new.reader && seconds(known.idle) >= STALLED);
            let own_idle = own_idle && new.amount == ONE;
            prop_assert!(!own_idle, "an idle one of its own could have given way");
        }
    }
    Ok(())
}
