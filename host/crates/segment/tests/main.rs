//! A segment from outside: what goes in comes out, and no damage goes unseen.

#![allow(clippy::unwrap_used)]

mod concat;
mod corpus;
mod damage;
mod fixture;
mod leaves;
mod round_trip;
