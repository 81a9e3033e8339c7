//! A question to an actor on the asker's own thread, and to one on another.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "the actor answers")]

use std::convert::Infallible;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message};
use criterion::{Criterion, criterion_group, criterion_main};
use mcr_actors::ask::Handle;

/// Answers with what it was asked.
struct Echo;

#[derive(Message)]
#[rtype(result = "Result<u64, Infallible>")]
struct Say(u64);

impl Actor for Echo {
    type Context = Context<Self>;
}

impl Handler<Say> for Echo {
    type Result = Result<u64, Infallible>;

    fn handle(&mut self, Say(number): Say, _: &mut Self::Context) -> Self::Result {
        Ok(number)
    }
}

fn asks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ask");
    let system = actix_rt::System::new();
    let arbiter = actix_rt::Arbiter::new();
    let handle = |addr| Handle::new("echo", addr, 1000, Duration::from_secs(60));
    let near = system.block_on(async { handle(Echo.start()) });
    let far = handle(Echo::start_in_arbiter(&arbiter.handle(), |_| Echo));
    for (what, handle) in [("own thread", near), ("another thread", far)] {
        group.bench_function(what, |bench| {
            bench.iter(|| system.block_on(handle.ask(Say(7))).unwrap());
        });
        group.bench_function(format!("{what}, 64 at once"), |bench| {
            bench.iter(|| {
                let asked = (0..64).map(|number| handle.ask(Say(number))).collect::<Vec<_>>();
                system.block_on(async move {
                    for answer in asked {
                        answer.await.unwrap();
                    }
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, asks);
criterion_main!(benches);
