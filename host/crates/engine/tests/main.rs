//! The engine from outside: answers against a model, bounds, damage, cancelling.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod around;
#[cfg(test)]
mod blocks;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod cancelling;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod mixed;
#[cfg(test)]
mod model;
#[cfg(test)]
mod segments;
#[cfg(test)]
mod skipped;
#[cfg(test)]
mod stored;
