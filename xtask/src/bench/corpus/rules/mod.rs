//! What the lines of the corpus look like.

mod java;
mod json;
mod logfmt;
mod shop;
mod system;
mod web;

use super::grammar::Rule;

/// All rules. The first letters of a name say which kind of line it belongs to.
pub(super) const RULES: [&[Rule]; 6] =
    [shop::RULES, web::RULES, json::RULES, java::RULES, logfmt::RULES, system::RULES];
