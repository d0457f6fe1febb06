//! `weir`: one binary for a node, its clients and its tools. Wiring only: what it does is in its crates.

mod cli;
mod embedded;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Color};

/// Batches are buffers of megabytes that live for milliseconds. The C library's allocator gives each back to
/// the system and gets it anew, page fault by page fault: a quarter of the CPU of a file source. Without huge pages:
/// a buffer of one megabyte has two of them cleared, which took a twelfth of the CPU of taking records in.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match cli::normalised(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(failure) => {
            failure.tell(Color::Auto);
            return failure.exit.into();
        }
    };
    // Wrong usage ends here, with exit code 2 and what would be right.
    let cli = Cli::parse_from(arguments);
    match cli::dispatch(&cli) {
        Ok(code) => code.into(),
        Err(failure) => {
            failure.tell(cli.color);
            failure.exit.into()
        }
    }
}
