//! Rows of several nodes become one answer. What a node owes when it fails is planned anew behind the rows that it has
//! sent; a node that is slow is raced by those that have the same.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use weir_api::backend::ApiError;
use weir_api::backend::peer::SearchPart;
use weir_query::{Order, Rows, Stats};
use weir_record::RecordId;
use weir_record::limits::{HEDGE_MS, PLANS_MAX};
use weir_replication::Owed;

use super::merger::Merger;
use super::planner::{Planned, Planner, Task};
use super::shares::{Next, Share, missing, open_all, owed_of};
use super::{Kind, Queries, Question};

/// An answer that is being put together.
pub(super) struct Gather {
    queries: Arc<Queries>,
    planner: Arc<Planner>,
    question: Question,
    merger: Merger,
    /// One per answer of the merger; `None` when it has ended.
    slots: Vec<Option<Slot>>,
    plans: usize,
    stats: Stats,
}

struct Slot {
    share: Share,
    /// It ends at damage, and is planned anew then.
    is_whole: bool,
    /// Others were asked for the same already.
    is_raced: bool,
}

impl Gather {
    /// Plans, and begins all searches.
    pub(super) async fn open(queries: Arc<Queries>, planner: Arc<Planner>, question: Question) -> Gather {
        let merger = Merger::new(question.plan.order);
        let mut gather = Gather {
            queries,
            planner,
            question,
            merger,
            slots: Vec::new(),
            plans: 0,
            stats: Stats::default(),
        };
        gather.plan(None, None).await;
        gather
    }

    /// Whether something is missing as far as is known.
    pub(super) fn is_partial(&self) -> bool {
        !self.stats.complete
    }

    /// Merges until all have ended or the client has enough. Blocks.
    pub(super) fn merge(mut self, runtime: &Handle, send: &mpsc::Sender<Rows>) -> Result<Stats, ApiError> {
        let limit = self.question.plan.limit;
        let mut sent = 0;
        let mut is_wanted = true;
        loop {
            let rows = self.merger.next(limit.unwrap_or(u64::MAX) - sent);
            if !rows.is_empty() {
                sent += rows.count() as u64;
                is_wanted = send.blocking_send(rows).is_ok();
            } else if let Some(number) = self.merger.waits_for() {
                runtime.block_on(self.advance(number))?;
                self.question.verdict.check()?;
            } else {
                break;
            }
            if !is_wanted || limit.is_some_and(|limit| sent >= limit) {
                break;
            }
        }
        self.question.verdict.check()?;
        for slot in std::mem::take(&mut self.slots).into_iter().flatten() {
            let node = slot.share.node.clone();
            // What was not needed is not missed.
            if let Some(part) = runtime.block_on(slot.share.close()) {
                self.stats.merge(&node, part);
            }
        }
        let mut stats = self.stats;
        stats.records_matched = sent;
        stats.limited = limit.is_some_and(|limit| sent >= limit);
        stats.repeats += self.merger.repeats();
        stats.conflicts = self.merger.conflicts();
        Ok(stats)
    }

    /// Takes what comes next of an answer.
    async fn advance(&mut self, number: usize) -> Result<(), ApiError> {
        let Some(slot) = &mut self.slots[number] else {
            return Err(ApiError::internal("an answer has no share"));
        };
        if !slot.is_raced && timeout(Duration::from_millis(HEDGE_MS), slot.share.peek()).await.is_err() {
            slot.is_raced = true;
            self.race(number).await;
            return Ok(());
        }
        match slot.share.next().await {
            Next::Part(SearchPart::Rows(rows)) => {
                let pushed = self.merger.push(number, rows);
                pushed.map_err(|error| ApiError::internal(format!("{}: {error}", slot.share.node)))
            }
            Next::Part(_) => {
                self.replace(number, "it sent something else than rows".into()).await;
                Ok(())
            }
            Next::End(stats) => {
                self.stats.merge(&slot.share.node, stats);
                self.end(number);
                Ok(())
            }
            Next::Failed(why) => {
                self.replace(number, why).await;
                Ok(())
            }
        }
    }

    /// Has others search what an answer still owes.
    async fn replace(&mut self, number: usize, why: String) {
        let Some(slot) = self.slots[number].take() else { return };
        let (reached, share) = (self.merger.reached(number), slot.share);
        if self.plans >= PLANS_MAX && !slot.is_whole || self.question.request.cancel.is_cancelled() {
            self.stats.miss(missing(&share.node, &self.behind(reached), why));
        } else {
            tracing::debug!(node = share.node, why, "a part of a query is gone; it is planned anew");
            self.planner.look_again(std::iter::once(&*share.node)).await;
            self.plan(Some(share.owed), reached).await;
        }
        self.merger.end(number);
    }

    /// Asks others for what a slow node owes, if they have all of it, and goes on with whoever answers first.
    async fn race(&mut self, number: usize) {
        let Some(slot) = &self.slots[number] else { return };
        let reached = self.merger.reached(number);
        let mut question = self.behind(reached);
        question.plan.whole = true;
        let range = (question.plan.from, question.plan.to);
        let avoid = [slot.share.node.clone()];
        let Planned { searches, missing, .. } =
            self.planner.plan(range, Some(&slot.share.owed), &avoid).await;
        if !missing.is_empty() {
            return;
        }
        let (shares, lost) = open_all(&self.queries.local, searches, Task::All, &question, &Kind::Rows).await;
        let mut others: Vec<Share> = shares.into_iter().map(|(_, share)| share).collect();
        let Some(slot) = self.slots[number].as_mut().filter(|_| lost.is_empty()) else { return };
        let all_answer = async {
            for share in &mut others {
                if !share.peek().await {
                    // The slow one is all there is, then.
                    return std::future::pending().await;
                }
            }
        };
        tokio::select! {
            _ = slot.share.peek() => {}
            () = all_answer => {
                tracing::debug!(node = avoid[0], "a node is slow; others answer for it");
                for share in others {
                    self.add(share, reached, true);
                }
                self.end(number);
            }
        }
    }

    /// Plans all of the question, or what is owed of it behind an id, and begins the searches. What cannot be begun is
    /// planned anew.
    async fn plan(&mut self, mut owed: Option<Owed>, reached: Option<RecordId>) {
        loop {
            self.plans += 1;
            let is_last = self.plans >= PLANS_MAX;
            let mut question = self.behind(reached);
            question.plan.whole = !is_last;
            let range = (question.plan.from, question.plan.to);
            let Planned { searches, missing: lacking, .. } =
                self.planner.plan(range, owed.as_ref(), &[]).await;
            for missing in lacking {
                self.stats.miss(missing);
            }
            let (shares, lost) =
                open_all(&self.queries.local, searches, Task::All, &question, &Kind::Rows).await;
            for (_, share) in shares {
                self.add(share, reached, !is_last);
            }
            if lost.is_empty() {
                return;
            }
            if is_last {
                for lost in lost {
                    self.stats.miss(missing(&lost.search.node, &question, lost.why));
                }
                return;
            }
            self.planner.look_again(lost.iter().map(|lost| &*lost.search.node)).await;
            owed = Some(owed_of(&lost));
        }
    }

    fn add(&mut self, share: Share, reached: Option<RecordId>, is_whole: bool) {
        self.merger.add(reached);
        self.slots.push(Some(Slot { share, is_whole, is_raced: false }));
    }

    fn end(&mut self, number: usize) {
        self.slots[number] = None;
        self.merger.end(number);
    }

    /// The question from an id on: records with that id may have been sent, and others with it not.
    fn behind(&self, reached: Option<RecordId>) -> Question {
        let mut question = self.question.clone();
        match (reached, question.plan.order) {
            (Some(id), Order::Asc) => question.plan.from = question.plan.from.max(id),
            (Some(id), Order::Desc) => {
                let end = id.checked_add(1).unwrap_or(RecordId::MAX);
                question.plan.to = question.plan.to.min(end);
            }
            (None, _) => {}
        }
        question
    }
}
