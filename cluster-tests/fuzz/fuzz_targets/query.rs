#![no_main]

#[allow(dead_code, reason = "each binary has one of the targets")]
#[path = "../../tests/fuzz/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::query(bytes));
