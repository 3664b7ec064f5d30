//! `rig dash`: opens the dashboard of a hub in a browser.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::Answer;
use crate::client::Client;
use crate::output::{self, Out};

/// Open a hub's dashboard in a browser
///
/// It prints the address, and opens it where there is a desktop. If the hub asks for tokens, the address has a code in it with which
/// the page signs in, once and within a minute, with the rights of RIG_TOKEN but `secrets`: the page gets a token of its own for
/// twelve hours.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig dash
  rig dash https://rig.example:7070/staging --print")]
pub struct Args {
    /// The hub's address; a stream may follow
    #[arg(value_name = "HUB", env = "RIG_HUB", default_value = "http://127.0.0.1:7070")]
    hub: String,
    /// The certificates to trust where the address is https://, PEM
    #[arg(long, value_name = "FILE", env = "RIG_CA")]
    ca: Option<PathBuf>,
    /// Only print the address
    #[arg(long)]
    print: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let client = Client::trusting(&args.hub, None, args.ca.as_deref())?;
    let who = client.whoami().await?;
    let mut address = client.page();
    if who["tokens"].as_bool() == Some(true) {
        let login = client.login().await?;
        let code = login["code"].as_str().context("the hub's answer has no code")?;
        address = format!("{address}#login={code}");
    }
    Out::new().line(&address)?;
    if !args.print {
        open(&address);
    }
    Ok(Answer::Fine)
}

/// Opens an address in the browser of the desktop. Where there is none, the address was printed.
pub(super) fn open(address: &str) {
    let has_desktop = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let program = match std::env::consts::OS {
        "macos" => "open",
        "windows" => "explorer",
        _ if has_desktop => "xdg-open",
        _ => return,
    };
    let mut command = Command::new(program);
    command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.spawn() {
        output::note(format!("{program} could not be started ({error}); open the address by hand"));
    }
}
