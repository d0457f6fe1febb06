//! Worker threads that all queries share.
//!
//! Queries take turns: a worker does one step of a job of one query, then the next query has its turn. So
//! a query over everything does not keep a small one waiting for longer than a step.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::workspace::Workspace;

/// Work that is done in steps. A step is given the worker's buffers, which keep their memory from step to
/// step.
pub(crate) trait Job: Send {
    /// Does a part of the work. `None` when it is done, else what is left.
    fn step(self: Box<Self>, work: &mut Workspace) -> Option<Box<dyn Job>>;
}

#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    stopped: bool,
    /// Queries with jobs that wait, each once, the next to be served first.
    turns: VecDeque<u64>,
    jobs: HashMap<u64, VecDeque<Box<dyn Job>>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("stopped", &self.stopped)
            .field("turns", &self.turns)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, query: u64, job: Box<dyn Job>, first: bool) {
        let jobs = self.jobs.entry(query).or_default();
        if jobs.is_empty() {
            self.turns.push_back(query);
        }
        if first { jobs.push_front(job) } else { jobs.push_back(job) }
    }

    fn pop(&mut self) -> Option<(u64, Box<dyn Job>)> {
        let query = self.turns.pop_front()?;
        let jobs = self.jobs.get_mut(&query)?;
        let job = jobs.pop_front()?;
        if jobs.is_empty() {
            self.jobs.remove(&query);
        } else {
            self.turns.push_back(query);
        }
        Some((query, job))
    }
}

impl Pool {
    /// Starts the workers. Fails when the system gives no thread.
    pub(crate) fn start(workers: usize) -> io::Result<Pool> {
        assert!(workers > 0, "a pool has workers");
        let mut pool = Pool { shared: Arc::default(), threads: Vec::new() };
        for number in 0..workers {
            let shared = Arc::clone(&pool.shared);
            let builder = Builder::new().name(format!("weir-query-{number}"));
            pool.threads.push(builder.spawn(move || work(&shared))?);
        }
        Ok(pool)
    }

    pub(crate) fn workers(&self) -> usize {
        self.threads.len()
    }

    /// Gives a job of a query to the workers.
    pub(crate) fn submit(&self, query: u64, job: Box<dyn Job>) {
        self.shared.lock().push(query, job, false);
        self.shared.work.notify_one();
    }

    /// Drops the jobs of a query that wait. Steps under way end by themselves.
    pub(crate) fn forget(&self, query: u64) {
        let mut state = self.shared.lock();
        state.turns.retain(|other| *other != query);
        let dropped = state.jobs.remove(&query);
        drop(state);
        drop(dropped);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // A worker cannot fail: jobs that panic are caught where they are stepped.
            let _ = thread.join();
        }
    }
}

fn work(shared: &Shared) {
    let mut buffers = Workspace::default();
    let mut state = shared.lock();
    while !state.stopped {
        let Some((query, job)) = state.pop() else {
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(state);
        let left = job.step(&mut buffers);
        state = shared.lock();
        if let Some(job) = left {
            state.push(query, job, true);
            // This worker goes on; another may be asleep although there is work for two.
            shared.work.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Tells its name at each step, and waits before its first one if it is given something to wait for.
    struct Steps {
        name: &'static str,
        left: usize,
        done: Sender<&'static str>,
        gate: Option<Receiver<()>>,
    }

    impl Job for Steps {
        fn step(mut self: Box<Self>, _: &mut Workspace) -> Option<Box<dyn Job>> {
            if let Some(gate) = self.gate.take() {
                gate.recv().unwrap();
            }
            self.done.send(self.name).unwrap();
            self.left -= 1;
            if self.left == 0 { None } else { Some(self) }
        }
    }

    #[test]
    fn queries_take_turns_and_forgotten_ones_end() {
        let pool = Pool::start(1).unwrap();
        let (done, names) = channel();
        let (open, gate) = channel();
        let job = |name, left, gate| Box::new(Steps { name, left, done: done.clone(), gate });
        pool.submit(1, job("long", 4, Some(gate)));
        pool.submit(2, job("short", 2, None));
        pool.submit(3, job("never", 1, None));
        pool.submit(2, job("later", 1, None));
        pool.forget(3);
        open.send(()).unwrap();
        let order: Vec<_> = names.iter().take(7).collect();
        assert_eq!(order, ["long", "short", "long", "short", "long", "later", "long"]);
    }
}
