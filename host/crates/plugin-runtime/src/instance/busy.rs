//! Measures how long a call keeps its thread, and keeps the epochs going meanwhile.

use std::pin::Pin;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use crate::engine::Engine;

/// A call into a plugin. Only the time inside of `poll` counts: while the plugin waits for the host,
/// nothing runs, and it is not charged.
pub(crate) struct Busy<'a, F> {
    call: Pin<&'a mut F>,
    engine: &'a Engine,
    spent: &'a mut Duration,
}

impl<'a, F: Future> Busy<'a, F> {
    pub(crate) fn new(call: Pin<&'a mut F>, engine: &'a Engine, spent: &'a mut Duration) -> Busy<'a, F> {
        Busy { call, engine, spent }
    }
}

impl<F: Future> Future for Busy<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let _running = self.engine.running();
        let started = Instant::now();
        let polled = self.call.as_mut().poll(cx);
        *self.spent += started.elapsed();
        polled
    }
}
