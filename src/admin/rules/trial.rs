//! Questions to policy that nobody acts upon: one, or many by the rules that there are and by those that there could be.

use std::collections::{BTreeMap, BTreeSet};

use mcr_actors::domain::{Action, Principal, RepositoryName};
use mcr_actors::policy::draft::{Draft, DraftError};
use mcr_actors::policy::{Decision, Question, RuleId, RuleSet};

use super::draft;
use super::ruling::{Histories, Ruling, ruling};
use crate::admin::principal;
use crate::admin::refusal::{Reason, Refusal};
use crate::model::{PolicyDraft, PolicyQuestion, PolicyTest};

/// Questions at once at most.
const MOST: usize = 1000;

/// What policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may be done.
    pub allowed: bool,
    /// Whether a rule decided: then it is the first of those that match.
    pub by_rule: bool,
    /// Every rule that matches, in the order in which they decide.
    pub matching: Vec<Ruling>,
}

/// What policy says to a question, and would say by a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// By the rules that there are.
    pub now: Decision,
    /// By the rules as the draft makes them, where there is one.
    pub draft: Option<Decision>,
}

impl Decided {
    /// Whether the draft would let somebody in or shut somebody out.
    pub fn differs(&self) -> bool {
        self.draft.is_some_and(|draft| draft.allowed != self.now.allowed)
    }
}

/// What policy says to many questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// To each question, in their order.
    pub answers: Vec<Decided>,
    /// The rules that decide any of them now.
    pub rules: Vec<Ruling>,
    /// Those that would by the draft, where there is one.
    pub draft_rules: Option<Vec<Ruling>>,
}

/// What was asked, answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tested {
    /// One question without a draft.
    One(Verdict),
    /// Many, or with a draft.
    Many(Comparison),
}

/// A question whose words were checked.
struct Posed {
    principal: Principal,
    action: Action,
    repository: Option<RepositoryName>,
}

impl Posed {
    fn question(&self) -> Question<'_> {
        let Self { principal, action, repository } = self;
        Question { principal, action: *action, repository: repository.as_ref() }
    }
}

fn posed(question: PolicyQuestion) -> Result<Posed, Refusal> {
    let PolicyQuestion { principal: who, action, repository } = question;
    let (principal, action) = (principal::described(who), draft::action("action", action)?);
    let repository = match repository.as_str() {
        "" => None,
        name => Some(name.parse().map_err(|error| Refusal::invalid("repository", error))?),
    };
    Ok(Posed { principal, action, repository })
}

/// The one question that is asked without a list.
fn one(
    principal: Option<crate::model::PrincipalModel>,
    action: Option<String>,
    repository: Option<String>,
) -> Result<Posed, Refusal> {
    let missing =
        |field| Refusal::invalid(field, format!("a question has a {field}; many stand in questions"));
    let principal = principal.ok_or_else(|| missing("principal"))?;
    let action = action.ok_or_else(|| missing("action"))?;
    posed(PolicyQuestion { principal, action, repository: repository.unwrap_or_default() })
}

/// A refusal of a part of a list, with the part.
fn within(refusal: Refusal, field: &'static str, place: &str) -> Refusal {
    let at = refusal.field.map(|field| format!(".{field}")).unwrap_or_default();
    let message = format!("{place}{at}: {}", refusal.message);
    Refusal { message, ..refusal }.at(field)
}

fn many(questions: Vec<PolicyQuestion>) -> Result<Vec<Posed>, Refusal> {
    if questions.len() > MOST {
        let message = format!("{} questions are too many at once: ask {MOST} at most", questions.len());
        return Err(Refusal::invalid("questions", message));
    }
    let each = questions.into_iter().enumerate().map(|(place, question)| {
        posed(question).map_err(|refusal| within(refusal, "questions", &format!("questions[{place}]")))
    });
    each.collect()
}

/// The draft, each word of it checked.
fn checked(model: PolicyDraft) -> Result<Draft, Refusal> {
    let PolicyDraft { add, change, remove } = model;
    let added = add.into_iter().enumerate().map(|(place, rule)| {
        draft::whole(rule).map_err(|refusal| within(refusal, "draft", &format!("add[{place}]")))
    });
    let changed = change.into_iter().map(|(id, change)| {
        let checked = draft::check(change);
        let checked = checked.map_err(|refusal| within(refusal, "draft", &format!("change[{id}]")))?;
        Ok::<_, Refusal>((RuleId(id), checked))
    });
    Ok(Draft {
        add: added.collect::<Result<_, _>>()?,
        change: changed.collect::<Result<BTreeMap<_, _>, _>>()?,
        remove: remove.into_iter().map(RuleId).collect(),
    })
}

impl From<DraftError> for Refusal {
    fn from(error: DraftError) -> Self {
        let reason = match error {
            DraftError::Unknown(_) | DraftError::Both(_) => Reason::Invalid,
            DraftError::BuiltIn(_) => Reason::BuiltInRule,
        };
        Self::new(reason, error).at("draft")
    }
}

/// The rules that decided, in the order in which they do.
fn deciding(
    rules: &RuleSet,
    decisions: impl Iterator<Item = Decision>,
    histories: &Histories,
) -> Vec<Ruling> {
    let decided: BTreeSet<RuleId> = decisions.filter_map(|decision| decision.rule).collect();
    let rules = rules.rules().iter().filter(|rule| decided.contains(&rule.id));
    rules.map(|rule| ruling(rule, histories)).collect()
}

/// Others are served between two questions: there may be many of both, questions and rules.
async fn compare(
    asked: &[Posed],
    rules: &RuleSet,
    drafted: Option<&RuleSet>,
    histories: &Histories,
) -> Comparison {
    let mut answers = Vec::with_capacity(asked.len());
    for posed in asked {
        let question = posed.question();
        let draft = drafted.map(|rules| rules.decide(question));
        answers.push(Decided { now: rules.decide(question), draft });
        tokio::task::yield_now().await;
    }
    let draft_rules =
        drafted.map(|rules| deciding(rules, answers.iter().filter_map(|of| of.draft), histories));
    let rules = deciding(rules, answers.iter().map(|of| of.now), histories);
    Comparison { answers, rules, draft_rules }
}

/// Answers what is asked by these rules.
///
/// # Errors
/// When a word is none, questions are too many, or the draft names a rule that is not there.
pub(super) async fn answer(
    test: PolicyTest,
    rules: &RuleSet,
    histories: &Histories,
) -> Result<Tested, Refusal> {
    let PolicyTest { principal, action, repository, questions, draft } = test;
    let is_one = principal.is_some() || action.is_some() || repository.is_some();
    let asked = match questions {
        Some(_) if is_one => {
            let message =
                "ask one question with principal, action and repository, or many in questions, not both";
            return Err(Refusal::invalid("questions", message));
        }
        Some(questions) => many(questions)?,
        None => {
            let posed = one(principal, action, repository)?;
            if draft.is_none() {
                return Ok(Tested::One(verdict(&posed, rules, histories)));
            }
            vec![posed]
        }
    };
    let drafted = draft.map(|draft| Ok::<_, Refusal>(rules.with(&checked(draft)?)?)).transpose()?;
    Ok(Tested::Many(compare(&asked, rules, drafted.as_ref(), histories).await))
}

fn verdict(posed: &Posed, rules: &RuleSet, histories: &Histories) -> Verdict {
    let decision = rules.decide(posed.question());
    let matching = rules.matching(posed.question()).map(|rule| ruling(rule, histories)).collect();
    Verdict { allowed: decision.allowed, by_rule: decision.rule.is_some(), matching }
}
