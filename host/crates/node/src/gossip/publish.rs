//! What the rest of the node hears of the members.

use std::collections::{BTreeMap, BTreeSet};

use weir_membership::{Member, State, Why};

use super::Gossip;
use crate::peers::Found;

/// What it has heard.
#[derive(Debug, Default)]
pub(super) struct Published {
    revision: Option<u64>,
    states: BTreeMap<u64, (State, Option<String>)>,
    /// Nodes that are gone, by id and bump, and since when that is known, in monotonic milliseconds.
    gone: BTreeMap<(u64, u64), u64>,
}

/// How long an answer may be under way: see [`Gossip::settle`].
const UNDER_WAY_MS: u64 = 60_000;

impl Gossip {
    /// Tells what has changed since the last time.
    pub(super) fn publish(&self) {
        let mut published = self.published.lock();
        let (revision, members) = {
            let core = self.core.lock();
            if published.revision == Some(core.revision()) {
                return;
            }
            (core.revision(), core.members(self.now()).collect::<Vec<Member>>())
        };
        published.revision = Some(revision);
        self.news.notify_one();
        let said = members.iter().filter_map(|member| member.about.as_ref());
        let found: BTreeSet<Found> =
            said.map(|about| Found { url: about.url.clone(), may_hold: about.holds() }).collect();
        self.peers.found(&found);
        let state_of = |member: &Member| (member.state, member.about.as_ref().map(|about| about.url.clone()));
        let states: BTreeMap<_, _> = members.iter().map(|member| (member.node, state_of(member))).collect();
        for (node, after) in &states {
            // Whether it answers is for the node itself to say.
            if let (Some(url), true) = (&after.1, published.states.get(node) != Some(after)) {
                self.peers.ask_soon(url);
            }
        }
        published.states = states;
        drop(published);
        self.settle();
    }

    /// Nodes that are gone are missed no longer. For a while again and again: an answer that was under way when one left
    /// would count as a sign of life.
    pub(super) fn settle(&self) {
        let Some(planner) = &self.planner else { return };
        let now_ms = self.now().ms;
        let all = self.gone();
        let mut published = self.published.lock();
        published.gone.retain(|known, _| all.iter().any(|(node, gone)| *known == (*node, gone.bump)));
        for (node, gone) in all {
            let since_ms = *published.gone.entry((node, gone.bump)).or_insert(now_ms);
            if now_ms.saturating_sub(since_ms) > UNDER_WAY_MS {
                continue;
            }
            match gone.why {
                Why::Left => planner.left(node),
                Why::Forgotten => planner.forget(node),
            }
        }
    }
}
