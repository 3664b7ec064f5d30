//! `rig hub`: runs the hub.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rig_config::Policy;
use rig_hub::access::tls;
use rig_hub::settings::TlsSettings;
use rig_recorder::Durability;

use super::Interrupts;
use crate::Answer;
use crate::hub::supervisor::Supervisor;
use crate::hub::{Settings, builder, components, listen};
use crate::output::{self, Out};
use crate::telemetry::{self, LogFormat};
use crate::{keys, policy};

/// Run the hub
///
/// The first line on standard output is the hub's address, once it is ready. It ends on Ctrl-C or SIGTERM, after everything is
/// durable. What it does is told on standard error; RIG_LOG=debug tells more.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig hub
  rig hub --data /var/lib/rig --policy rig.toml
  rig hub --memory --listen 127.0.0.1:0")]
pub struct Args {
    /// The folder that holds everything [default: $XDG_DATA_HOME/rig or ~/.local/share/rig]
    #[arg(long, value_name = "DIR", env = "RIG_DATA")]
    data: Option<PathBuf>,
    /// Keep everything in memory: it is gone when the hub ends
    #[arg(long)]
    memory: bool,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", env = "RIG_LISTEN", default_value = "127.0.0.1:7070")]
    listen: String,
    /// The policy file
    #[arg(long, value_name = "FILE", env = "RIG_POLICY")]
    policy: Option<PathBuf>,
    /// The hub's own file, hub.toml
    #[arg(long, value_name = "FILE", env = "RIG_CONFIG")]
    config: Option<PathBuf>,
    /// Check the policy, the hub's own file, the keys and the certificate, and end
    #[arg(long)]
    check_config: bool,
    /// The certificate that the hub shows, and those between it and its authority: PEM. It speaks https:// then, and reads the files again
    /// when they change
    #[arg(long, value_name = "FILE", env = "RIG_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key, PEM
    #[arg(long, value_name = "FILE", env = "RIG_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// Make a certificate for development and keep it in the data directory; clients are told of it with --ca
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key", "memory"])]
    tls_self_signed: bool,
    /// Listen for others than this machine though there are no tokens: whoever reaches the hub reads and writes everything
    #[arg(long)]
    insecure_no_tokens: bool,
    /// Listen for others than this machine without TLS: whoever sits in between reads everything
    #[arg(long)]
    insecure_no_tls: bool,
    /// Take approvals of baselines only if one of these keys signed them; RIG_BASELINE_KEYS may hold the keys instead
    #[arg(long, value_name = "FILE", env = "RIG_BASELINE_KEYS_FILE")]
    baseline_keys: Option<PathBuf>,
    /// When an append is answered: always (after it was synced) or interval=50ms (synced so much later at most)
    #[arg(long, value_name = "MODE", env = "RIG_DURABILITY", default_value = "always")]
    durability: Durability,
    /// Time that open requests get to finish when the hub is asked to end
    #[arg(long, value_name = "TIME", env = "RIG_SHUTDOWN_DEADLINE", default_value = "10s", value_parser = super::time)]
    shutdown_deadline: Duration,
    /// The format of the log on standard error
    #[arg(long, value_name = "FORMAT", env = "RIG_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let _telling = telemetry::begin(args.log_format)?;
    let policy = policy::load(args.policy.as_deref())?;
    let baseline_keys = keys::load(args.baseline_keys.as_deref())?;
    let mut settings = Settings::load(args.config.as_deref())?;
    if args.tls_cert.is_some() || args.tls_key.is_some() || args.tls_self_signed {
        settings.tls =
            TlsSettings { cert: args.tls_cert, key: args.tls_key, self_signed: args.tls_self_signed };
    }
    tls::check(&settings.tls)?;
    let shown = args.config.as_deref().unwrap_or(Path::new("(none)")).display();
    let components =
        components(&settings).map_err(anyhow::Error::msg).with_context(|| format!("the settings {shown}"));
    if args.check_config {
        components?;
        output::note("policy, settings, keys and certificate can be used");
        return Ok(Answer::Fine);
    }
    let components = components.map_err(|e| anyhow::anyhow!("hub.toml: {:#}", e.root_cause()))?;
    let data = if args.memory { None } else { Some(args.data.map_or_else(default_data, Ok)?) };
    rig_hub::open_files::raise();
    let listener = listen(&args.listen, true).await?;
    match &data {
        Some(data) => args.log_format.note(&format!("data in {}", data.display())),
        None => args.log_format.note("data in memory: gone when the hub ends"),
    }

    let durability = args.durability;
    let insecure = rig_hub::Insecure { no_tokens: args.insecure_no_tokens, no_tls: args.insecure_no_tls };
    let mut options =
        rig_hub::Options { data, policy, baseline_keys, durability, insecure, ..Default::default() };
    options.shutdown_deadline = args.shutdown_deadline;
    settings.apply(&mut options);
    let address = listener.local_addr()?;
    let mut interrupts = Interrupts::listen()?;
    let hub = tokio::select! {
        opened = builder(options, components).open(Some(address)) => opened?,
        () = interrupts.wait() => return Ok(Answer::Fine),
    };
    if let Some((file, fingerprint)) = hub.certificate()? {
        args.log_format.note(&format!("certificate {}, SHA-256 {fingerprint}", file.display()));
    }
    if hub.demands_tokens() {
        args.log_format.note("requests need a token");
    }
    Out::new().line(hub.url(address))?;
    args.log_format.note(&format!("the dashboard is {}/ (rig dash)", hub.url(address)));
    let supervisor = Supervisor::ready();
    let stop = async {
        interrupts.wait().await;
        supervisor.stopping();
    };
    hub.serve(listener, stop).await?;
    Ok(Answer::Fine)
}

/// Reads a policy file, and what the environment says over it.
pub(super) fn policy(path: &std::path::Path) -> Result<Policy> {
    policy::load(Some(path))
}

fn default_data() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share"))) {
        Some(folder) => Ok(folder.join("rig")),
        None => bail!("there is no home folder to keep data in; name one with --data DIR, or use --memory"),
    }
}
