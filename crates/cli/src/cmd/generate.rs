//! `rig generate`: what a release archive has beside the program: completions for shells, and man pages.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Rig;
use crate::Answer;

/// Write completions for shells, and man pages, into a folder
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder
    folder: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Answer> {
    let (completions, pages) = (args.folder.join("completions"), args.folder.join("man/man1"));
    for folder in [&completions, &pages] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut rig = Rig::command();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
        let written = clap_complete::generate_to(shell, &mut rig, "rig", &completions);
        written.with_context(|| format!("cannot write to {}", completions.display()))?;
    }
    clap_mangen::generate_to(rig, &pages).with_context(|| format!("cannot write to {}", pages.display()))?;
    Ok(Answer::Fine)
}
