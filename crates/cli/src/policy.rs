//! The policy of a command: its file, and what the environment says over it.

use std::path::Path;

use anyhow::{Context as _, Result};
use rig_config::{FlatConfig, Policy};

use crate::{output, recording};

/// Reads the policy file, if one is named, and the `RIG_…` variables that set its values.
///
/// # Errors
/// When the file cannot be read, or it or a variable is wrong.
pub fn load(path: Option<&Path>) -> Result<Policy> {
    let text = match path {
        Some(path) => {
            let shown = path.display();
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read the policy {shown}"))?;
            // The file's own faults are told with its name, the environment's with theirs.
            Policy::parse(&text).with_context(|| format!("the policy {shown}"))?;
            text
        }
        None => String::new(),
    };
    let variables: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let variables = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Policy::parse_with(&text, variables).context("the policy in the environment")
}

/// Says on standard error which rules of the policy do nothing for these configurations.
pub fn tell_idle<'a>(policy: &Policy, configs: impl Iterator<Item = &'a FlatConfig>) {
    for note in policy.idle(configs, recording::now()) {
        output::note(output::plain(&note.to_string()));
    }
}
