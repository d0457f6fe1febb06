//! Whole clusters of the state machines, under loss, repetition and restarts.

#![allow(clippy::unwrap_used)]

mod cluster;
mod dropping;
mod repair;
mod scale;
mod sim;
mod size;
