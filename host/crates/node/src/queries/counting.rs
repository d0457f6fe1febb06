//! Counts and aggregates over several nodes, made where the records are, exact though each record lies on several of
//! them.
//!
//! A record that nobody has sent twice and that has no key lies in one origin, and a plan has each origin read once:
//! such records are counted wherever they are read. What may be repeated is fetched before, as ids and hashes, and
//! counted here, each once; it goes out with the question to those who count, and they leave it out. See
//! `docs/decisions/0021-counts-of-several-nodes.md`.
//!
//! A share that fails is owed and planned anew; what the others have counted stands, for each origin was read whole or
//! not at all. Aggregates differ in that what may be repeated is fetched whole, for they want to see it.

mod sum;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;
use weir_api::backend::peer::SearchPart;
use weir_api::backend::{ApiError, ErrorKind};
use weir_query::{Buckets, Fingerprint, Histogram, Missing, Order, Stats};
use weir_record::RecordId;
use weir_record::limits::{HEDGE_MS, NODE_KNOWN_MAX, PLANS_MAX};
use weir_replication::Owed;

use super::planner::{Planned, Planner, Search, Task};
use super::shares::{Lost, missing, open_all, owed_of};
use super::{Kind, Local, Question};
use crate::filters::Spec;
use sum::{Aggregating, Counting, Sum};

/// A sum that is being made.
pub(super) struct Count<'a> {
    local: &'a Arc<Local>,
    planner: &'a Arc<Planner>,
    question: &'a Question,
    stats: Stats,
}

/// The buckets for what is held: its lowest and its highest id.
pub(crate) type BucketsOf<'a> =
    &'a (dyn Fn(Option<(RecordId, RecordId)>) -> Result<Buckets, ApiError> + Send + Sync);

/// What a node has counted, and whatever it has to say of its work.
type Told = (String, Vec<SearchPart>, Stats);

/// Records that may lie on several nodes.
type Known = BTreeSet<(RecordId, Fingerprint)>;

impl<'a> Count<'a> {
    /// A sum of what matches.
    pub(super) fn new(local: &'a Arc<Local>, planner: &'a Arc<Planner>, question: &'a Question) -> Count<'a> {
        Count { local, planner, question, stats: Stats::default() }
    }

    /// How many match, by bucket and level.
    pub(super) async fn histogram(mut self, buckets: BucketsOf<'_>) -> Result<(Histogram, Stats), ApiError> {
        let mut counts = Counting::new(buckets);
        self.run(&mut counts).await?;
        let sum = counts.finish()?;
        self.stats.records_matched = sum.total();
        Ok((sum, self.stats))
    }

    /// What an aggregate at the end of stages makes of what matches: states that are to be merged.
    pub(super) async fn partials(mut self, stages: Arc<[Spec]>) -> Result<(Vec<Vec<u8>>, Stats), ApiError> {
        let mut sums = Aggregating::new(stages, &self.question.request.cancel);
        self.run(&mut sums).await?;
        self.stats.records_matched = sums.matched();
        sums.unjudged().tell(&mut self.stats);
        Ok((sums.finish().await?, self.stats))
    }

    /// Sums up, in several goes when there are too many suspects for one.
    async fn run(&mut self, sum: &mut impl Sum) -> Result<(), ApiError> {
        let to = self.question.plan.to;
        let mut from = self.question.plan.from;
        while from < to {
            from = self.window(sum, from, to).await?;
        }
        (self.stats.repeats, self.stats.conflicts, self.stats.limited) = (0, 0, false);
        Ok(())
    }

    /// Sums up from an id on, as far as it comes: the id behind that.
    async fn window<S: Sum>(
        &mut self,
        sum: &mut S,
        from: RecordId,
        mut to: RecordId,
    ) -> Result<RecordId, ApiError> {
        let mut known = Known::new();
        let mut owed: Option<Owed> = None;
        for round in 1..=PLANS_MAX {
            let is_last = round == PLANS_MAX;
            let mut question = self.question.clone();
            (question.plan.order, question.plan.whole) = (Order::Asc, !is_last);
            let planned = self.planner.plan((from, to), owed.as_ref(), &[]).await;
            // Nothing is summed up before all suspects are known.
            let (suspects, lost) = self.suspects(sum, &planned, &question).await?;
            self.check_ended()?;
            if !lost.is_empty() && !is_last {
                self.look_again(&lost).await;
                continue;
            }
            known.extend(suspects);
            if owed.is_none() {
                to = cut(&mut known, S::SUSPECTS_MAX).unwrap_or(to);
            }
            if known.len() > NODE_KNOWN_MAX || to <= from {
                return Err(too_many(from));
            }
            (question.plan.from, question.plan.to) = (from, to);
            for missing in &planned.missing {
                self.miss(missing.clone());
            }
            self.give_up(lost, &question);
            let lost = self.rest(sum, planned, &question, &known).await?;
            if lost.is_empty() || is_last {
                self.give_up(lost, &question);
                break;
            }
            self.look_again(&lost).await;
            owed = Some(owed_of(&lost));
        }
        sum.add_known(known).await?;
        Ok(to)
    }

    async fn look_again(&self, lost: &[Lost]) {
        self.planner.look_again(lost.iter().map(|lost| &*lost.search.node)).await;
    }

    fn give_up(&mut self, lost: Vec<Lost>, question: &Question) {
        for lost in lost {
            self.miss(missing(&lost.search.node, question, lost.why));
        }
    }

    /// Fetches what may lie on several nodes: the first of it, when it is much.
    async fn suspects<S: Sum>(
        &mut self,
        sum: &mut S,
        planned: &Planned,
        question: &Question,
    ) -> Result<(Known, Vec<Lost>), ApiError> {
        let Some((from, to)) = planned.contested else { return Ok((Known::new(), Vec::new())) };
        let mut question = question.clone();
        (question.plan.from, question.plan.to) = (from, to);
        question.plan.limit = Some(S::SUSPECTS_MAX as u64 + 1);
        let (told, lost) =
            self.ask_all(planned.searches.clone(), Task::Suspects, &question, &S::SUSPECTS).await;
        let mut known = Known::new();
        for (node, parts, stats) in told {
            parts.into_iter().try_for_each(|part| sum.add_suspects(part, &mut known))?;
            self.add(&node, stats);
        }
        Ok((known, lost))
    }

    /// Has everybody sum up what is left, and adds it up.
    async fn rest(
        &mut self,
        sum: &mut impl Sum,
        planned: Planned,
        question: &Question,
        known: &Known,
    ) -> Result<Vec<Lost>, ApiError> {
        let kind = sum.rest(planned.ids, known.iter().copied().collect())?;
        let (told, lost) = self.ask_all(planned.searches, Task::Rest, question, &kind).await;
        self.check_ended()?;
        for (node, parts, stats) in told {
            for part in parts {
                sum.add(&node, part)?;
            }
            sum.add_stats(&stats);
            self.add(&node, stats);
        }
        Ok(lost)
    }

    /// Asks all at once, and waits for all.
    async fn ask_all(
        &self,
        searches: Vec<Search>,
        task: Task,
        question: &Question,
        kind: &Kind,
    ) -> (Vec<Told>, Vec<Lost>) {
        let asking = searches.into_iter().map(|search| async move {
            let asked = self.ask_or_race(&search, task, question, kind).await;
            asked.map_err(|why| Lost { search, why })
        });
        let (mut told, mut lost) = (Vec::new(), Vec::new());
        for asked in join_all(asking).await {
            match asked {
                Ok(some) => told.extend(some),
                Err(one) => lost.push(one),
            }
        }
        (told, lost)
    }

    /// Asks a node, and others for the same when it is slow; whoever has answered first counts.
    async fn ask_or_race(
        &self,
        search: &Search,
        task: Task,
        question: &Question,
        kind: &Kind,
    ) -> Result<Vec<Told>, String> {
        let mut asked = std::pin::pin!(self.ask(search.clone(), task, question, kind));
        tokio::select! {
            told = &mut asked => return told,
            () = sleep(Duration::from_millis(HEDGE_MS)) => {}
        }
        let mut others = std::pin::pin!(self.ask_others(search, task, question, kind));
        tokio::select! {
            told = &mut asked => match told {
                Ok(told) => Ok(told),
                Err(why) => others.await.ok_or(why),
            },
            told = &mut others => match told {
                Some(told) => Ok(told),
                None => asked.await,
            },
        }
    }

    async fn ask(
        &self,
        search: Search,
        task: Task,
        question: &Question,
        kind: &Kind,
    ) -> Result<Vec<Told>, String> {
        let (shares, lost) = open_all(self.local, vec![search], task, question, kind).await;
        if let Some(lost) = lost.into_iter().next() {
            return Err(lost.why);
        }
        let mut told = Vec::new();
        for (search, share) in shares {
            let (parts, stats) = share.finish().await?;
            told.push((search.node, parts, stats));
        }
        Ok(told)
    }

    /// The answer of others than a node, if they have all of what it was asked for. A keyed unit that they had to
    /// divide is left to that node.
    async fn ask_others(
        &self,
        search: &Search,
        task: Task,
        question: &Question,
        kind: &Kind,
    ) -> Option<Vec<Told>> {
        if search.is_split() {
            return None;
        }
        let range = (question.plan.from, question.plan.to);
        let avoid = [search.node.clone()];
        let planned = self.planner.plan(range, Some(&search.owed), &avoid).await;
        if !planned.missing.is_empty() || planned.searches.iter().any(Search::is_split) {
            return None;
        }
        tracing::debug!(node = search.node, "a node is slow; others are asked for its share");
        let asking = planned.searches.into_iter().map(|search| self.ask(search, task, question, kind));
        let told: Result<Vec<Vec<Told>>, String> = join_all(asking).await.into_iter().collect();
        Some(told.ok()?.into_iter().flatten().collect())
    }

    fn check_ended(&self) -> Result<(), ApiError> {
        self.question.verdict.check()?;
        if self.question.request.cancel.is_cancelled() {
            return Err(ApiError::new(ErrorKind::Unavailable, "cancelled", "the query was cancelled"));
        }
        Ok(())
    }

    fn add(&mut self, node: &str, mut stats: Stats) {
        // What a log has lost is told twice, by both steps.
        stats.missing.retain(|missing| {
            let is_known = |known: &Missing| {
                (&known.place, known.from, &known.why) == (&missing.place, missing.from, &missing.why)
            };
            !self.stats.missing.iter().any(is_known)
        });
        self.stats.merge(node, stats);
    }

    fn miss(&mut self, missing: Missing) {
        if !self.stats.missing.contains(&missing) {
            self.stats.miss(missing);
        }
    }
}

/// Leaves as many as one window takes: the id behind them, if there are more. None of those with that id is left.
fn cut(known: &mut Known, window_max: usize) -> Option<RecordId> {
    let &(cut, _) = known.iter().nth(window_max)?;
    known.retain(|(id, _)| *id < cut);
    Some(cut)
}

fn too_many(from: RecordId) -> ApiError {
    too_large(format!("more than {NODE_KNOWN_MAX} records at {from} may be repeats of each other"))
}

fn too_large(message: String) -> ApiError {
    ApiError::new(ErrorKind::TooMany, "query_too_large", message).hint("ask for fewer streams, or for rows")
}
