//! Every parser of rig against input that nobody meant: `cargo xtask fuzz` builds this with coverage and runs it.
//!
//! One program for all targets, since linking is what takes time; `RIG_FUZZ_TARGET` says which one it is. What must hold
//! stands in [`targets`]; libFuzzer itself sees to it that no input takes too long or too much memory.
#![no_main]

#[path = "../../crates/config/tests/it/nested.rs"]
mod nested;
#[path = "../../crates/cli/src/sse.rs"]
#[allow(dead_code, reason = "a part of the program that has no library of its own")]
mod sse;
mod targets;

use std::sync::OnceLock;

static CHOSEN: OnceLock<targets::Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("RIG_FUZZ_TARGET").unwrap_or_default();
        let found = targets::ALL.iter().find(|(known, _)| *known == name).map(|(_, target)| *target);
        let chosen = found.unwrap_or_else(|| panic!("RIG_FUZZ_TARGET={name} is no target"));
        CHOSEN.get_or_init(|| chosen);
    },
    |data: &[u8]| {
        if let Some(target) = CHOSEN.get() {
            target(data);
        }
    }
);
