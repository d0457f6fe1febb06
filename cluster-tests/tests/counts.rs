//! Counts and rows over several nodes while nodes die, hang and lose blocks: exact, or said to be incomplete.

mod asked;
mod damage;
mod ending;
mod kills;
mod peers;
