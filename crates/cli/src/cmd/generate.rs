//! `rig generate`: what a release archive has beside the program: completions for shells, and man pages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};
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
    rig.build();
    page(&rig, &pages)?;
    Ok(Answer::Fine)
}

/// Writes the page of a command, and of those below it that are in its help.
fn page(command: &Command, folder: &Path) -> Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let file = folder.join(format!("{name}.1"));
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone().name(name.clone())).render(&mut text)?;
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    let shown =
        command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    shown.into_iter().try_for_each(|command| page(command, folder))
}
