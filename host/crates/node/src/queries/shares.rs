//! The share of one node in a question, under way: the same whether it is this node or another one.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};
use weir_api::backend::peer::{HashedRows, SearchPart};
use weir_query::{Fingerprint, Missing, Rows, Stats};
use weir_record::RecordId;
use weir_replication::Owed;

use super::planner::{Reach, Search, Task};
use super::{CHUNKS_AHEAD, Kind, Local, Question, remote};

/// A share under way. Dropping it ends the search.
pub(super) struct Share {
    /// What to call its node.
    pub(super) node: String,
    /// What remains to be read when it fails.
    pub(super) owed: Owed,
    parts: mpsc::Receiver<SearchPart>,
    /// How it ended; sent after the last part.
    done: oneshot::Receiver<Result<Stats, String>>,
    /// What [`Share::peek`] has seen.
    ready: Option<Next>,
}

/// What comes next of a share.
pub(super) enum Next {
    /// More of it.
    Part(SearchPart),
    /// Nothing: this is all.
    End(Stats),
    /// Nothing, and the rest is owed.
    Failed(String),
}

/// A share that could not be opened, or failed.
pub(super) struct Lost {
    pub(super) search: Search,
    pub(super) why: String,
}

impl Share {
    /// Begins a search. An error says that it is to be planned anew.
    async fn open(
        local: &Arc<Local>,
        search: &Search,
        task: Task,
        question: &Question,
        kind: &Kind,
    ) -> Result<Option<Share>, String> {
        let Some((log, units)) = search.of(task) else { return Ok(None) };
        let (send, parts) = mpsc::channel(CHUNKS_AHEAD);
        let (finish, done) = oneshot::channel();
        let cancel = question.request.cancel.clone();
        match &search.reach {
            Reach::Own(pinned) => {
                let (local, kind, mut plan) = (Arc::clone(local), kind.clone(), question.plan.clone());
                if let Kind::SuspectRows = kind {
                    plan.stages = None;
                }
                let verdict = question.verdict.clone();
                let selected = pinned.some(log, &units);
                tokio::spawn(async move {
                    let ended = local.share(selected, kind, plan, &cancel, send).await;
                    let _ = finish.send(ended.map_err(|error| verdict.of_own(error)));
                });
            }
            Reach::Peer { peer, token } => {
                let body = remote::open(peer, *token, (log, units), question, kind).await?;
                let whose = (search.node.clone(), question.verdict.clone());
                tokio::spawn(remote::follow(body, send, finish, cancel, whose));
            }
        }
        let (node, owed) = (search.node.clone(), search.owed.clone());
        Ok(Some(Share { node, owed, parts, done, ready: None }))
    }

    /// What comes next. May be dropped while it waits: nothing is lost.
    pub(super) async fn next(&mut self) -> Next {
        self.peek().await;
        self.ready.take().unwrap_or_else(|| Next::Failed("it ended without saying how".into()))
    }

    /// Waits until [`Share::next`] has something to give. `false` when that is a failure.
    pub(super) async fn peek(&mut self) -> bool {
        if self.ready.is_none() {
            self.ready = Some(match self.parts.recv().await {
                Some(part) => Next::Part(part),
                None => match (&mut self.done).await {
                    Ok(Ok(stats)) => Next::End(stats),
                    Ok(Err(why)) => Next::Failed(why),
                    Err(_) => Next::Failed("it ended without saying how".into()),
                },
            });
        }
        !matches!(self.ready, Some(Next::Failed(_)))
    }

    /// Whoever still searches is told that nobody listens; what the share has to say of its work, if it was at its end.
    pub(super) async fn close(self) -> Option<Stats> {
        drop(self.parts);
        match self.ready {
            Some(Next::End(stats)) => Some(stats),
            Some(Next::Failed(_)) => None,
            Some(Next::Part(_)) | None => self.done.await.ok()?.ok(),
        }
    }

    /// Everything that is left of it, which is not rows, and what it says of its work.
    pub(super) async fn finish(mut self) -> Result<(Vec<SearchPart>, Stats), String> {
        let mut parts = Vec::new();
        loop {
            match self.next().await {
                Next::Part(part) => parts.push(part),
                Next::End(stats) => return Ok((parts, stats)),
                Next::Failed(why) => return Err(why),
            }
        }
    }
}

/// Begins all searches of a plan at once.
pub(super) async fn open_all(
    local: &Arc<Local>,
    searches: Vec<Search>,
    task: Task,
    question: &Question,
    kind: &Kind,
) -> (Vec<(Search, Share)>, Vec<Lost>) {
    let opening = searches.into_iter().map(|search| async move {
        let opened = Share::open(local, &search, task, question, kind).await;
        (search, opened)
    });
    let (mut shares, mut lost) = (Vec::new(), Vec::new());
    for (search, opened) in join_all(opening).await {
        match opened {
            Ok(Some(share)) => shares.push((search, share)),
            Ok(None) => {}
            Err(why) => lost.push(Lost { search, why }),
        }
    }
    (shares, lost)
}

/// All that was lost.
pub(super) fn owed_of(lost: &[Lost]) -> Owed {
    lost.iter().fold(Owed::default(), |mut all, lost| {
        all.add(&lost.search.owed);
        all
    })
}

/// What an answer lacks when a share is given up.
pub(super) fn missing(node: &str, question: &Question, why: String) -> Missing {
    let (node, place) = (node.to_owned(), "what it was to search".to_owned());
    Missing { node, place, from: question.plan.from, to: question.plan.to, why }
}

/// Records as they go to other nodes.
pub(super) fn hashed(records: &[(RecordId, Fingerprint)]) -> HashedRows {
    let mut hashed = HashedRows::new();
    for (id, print) in records {
        hashed.push(*id, print.level() as u8, print.digest());
    }
    hashed
}

/// Records as they come from other nodes, where levels were checked.
pub(crate) fn records(hashed: &HashedRows) -> impl Iterator<Item = (RecordId, Fingerprint)> {
    hashed.iter().map(|(id, level, digest)| (id, Fingerprint::new(digest, usize::from(level))))
}

/// Rows that carry fingerprints as they go to other nodes.
pub(super) fn hashed_rows(rows: &Rows) -> HashedRows {
    let mut hashed = HashedRows::new();
    for row in rows.iter() {
        // The engine sends nothing else in this mode.
        if let Some(print) = Fingerprint::read(row.payload) {
            hashed.push(row.id, print.level() as u8, print.digest());
        }
    }
    hashed
}
