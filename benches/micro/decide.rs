//! The decision of policy over many rules, and the patterns in them.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "the inputs are constant and valid")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mcr_actors::domain::{AccountType, Action, Principal, RepositoryName};
use mcr_actors::policy::glob::Glob;
use mcr_actors::policy::{Effect, Question, Rule, RuleId, RuleSet, builtin};

/// The built-in rules, and `count` of teams: some deny, most allow.
fn rules(count: i64) -> RuleSet {
    let of_team = |number: i64| Rule {
        id: RuleId(number),
        priority: 1 + number % 10,
        effect: if number % 10 == 0 { Effect::Deny } else { Effect::Allow },
        roles: vec![format!("team-{number}")],
        account_types: Vec::new(),
        subject: String::new(),
        actions: vec![Action::Pull, Action::Push],
        repositories: vec![Glob::parse(&format!("team-{number}/**")).unwrap()],
        enabled: true,
        description: String::new(),
    };
    RuleSet::new(builtin::rules(true).into_iter().chain((1..=count).map(of_team)).collect())
}

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy");
    let principal = Principal {
        subject: "robot".to_owned(),
        name: "robot".to_owned(),
        account_type: AccountType::System,
        roles: vec!["team-77".to_owned()],
    };
    for count in [100, 1000] {
        let rules = rules(count);
        for (what, name) in [("allowed", "team-77/app"), ("denied", "team-78/app")] {
            let name: RepositoryName = name.parse().unwrap();
            group.bench_function(format!("{count} rules, {what}"), |bench| {
                bench.iter(|| {
                    let (principal, repository) = (&principal, Some(black_box(&name)));
                    rules.decide(Question { principal, action: Action::Pull, repository })
                });
            });
        }
    }
    group.finish();
}

fn patterns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("glob");
    for (pattern, name) in [
        ("team/app", "team/app"),
        ("team/**", "team/product/service"),
        ("**/service", "team/product/part/service"),
        ("*a*a*a*a/**", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
    ] {
        let glob = Glob::parse(pattern).unwrap();
        group.bench_function(pattern, |bench| bench.iter(|| glob.matches(black_box(name))));
    }
    group.finish();
}

criterion_group!(benches, decisions, patterns);
criterion_main!(benches);
