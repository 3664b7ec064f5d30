//! `rig baseline`: what a service's config should be.

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use rig_event::ServiceName;

use super::snapshot;
use crate::Answer;
use crate::output::{self, Out};
use crate::source::Source;

/// Approve, show, verify or revoke a service's baseline
///
/// The baseline is the config that somebody approved; drift is the difference from it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig baseline approve http://127.0.0.1:7070/main api --reason 'release 4.2'
  rig baseline verify http://127.0.0.1:7070/main api || echo 'api is not what was approved'
  rig baseline show session.jsonl api")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Approve the service's current config
    Approve {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        because: Because,
        /// Approve only if this is still the document's digest
        #[arg(long)]
        digest: Option<String>,
    },
    /// Show what was approved, when and by whom
    Show {
        #[command(flatten)]
        of: Of,
    },
    /// Compare the current config's digest with the approved one: exit code 1 when they differ
    Verify {
        #[command(flatten)]
        of: Of,
    },
    /// Take the baseline back
    Revoke {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        because: Because,
    },
}

#[derive(Debug, clap::Args)]
struct Of {
    /// A hub's stream; to show and verify also a session file or -
    source: Source,
    /// The service
    service: ServiceName,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Because {
    /// Why
    #[arg(long)]
    reason: Option<String>,
    /// Who does this
    #[arg(long, value_name = "NAME", env = "RIG_ACTOR")]
    actor: Option<String>,
}

impl Because {
    fn query(&self) -> Vec<(&str, &str)> {
        let given = [("reason", &self.reason), ("actor", &self.actor)];
        given.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))).collect()
    }
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    match args.action {
        Action::Approve { of, because, digest } => {
            let mut query = because.query();
            query.extend(digest.as_deref().map(|digest| ("digest", digest)));
            let refused = || format!("the config of {} was not approved", of.service);
            let client = of.source.hub("a baseline is approved")?;
            snapshot::print(&client.approve(&of.service, &query).await.with_context(refused)?, of.json)?;
            Ok(Answer::Fine)
        }
        Action::Revoke { of, because } => {
            let refused = || format!("the baseline of {} was not revoked", of.service);
            let client = of.source.hub("a baseline is revoked")?;
            snapshot::print(
                &client.revoke(&of.service, &because.query()).await.with_context(refused)?,
                of.json,
            )?;
            Ok(Answer::Fine)
        }
        Action::Show { of } => of.show().await,
        Action::Verify { of } => of.verify().await,
    }
}

impl Of {
    async fn show(&self) -> Result<Answer> {
        let at = self.source.state(None).await?;
        let Some(baseline) = &at.service(&self.service)?.baseline else {
            bail!("{} has no baseline; `rig baseline approve` makes one", self.service)
        };
        let shown = serde_json::json!({
            "digest": baseline.digest,
            "config_digest": baseline.config_digest,
            "captured": baseline.captured,
            "approved_seq": baseline.approved_seq,
            "actor": baseline.actor,
            "reason": baseline.reason,
            "key_id": baseline.key_id,
        });
        let mut out = Out::new();
        if self.json {
            out.json(
                &serde_json::json!({ "stream": at.stream, "service": self.service, "baseline": shown }),
            )?;
            return Ok(Answer::Fine);
        }
        out.line(format!("digest         {}", output::plain(&baseline.digest)))?;
        out.line(format!("config digest  {}", output::plain(&baseline.config_digest)))?;
        out.line(format!("captured       as event {}", baseline.captured))?;
        out.line(format!("approved       as event {}", baseline.approved_seq))?;
        for (what, said) in [("by", &baseline.actor), ("because", &baseline.reason)] {
            if let Some(said) = said {
                out.line(format!("{what:<14} {}", output::plain(said)))?;
            }
        }
        Ok(Answer::Fine)
    }

    async fn verify(&self) -> Result<Answer> {
        let at = self.source.state(None).await?;
        let service = at.service(&self.service)?;
        let Some(baseline) = &service.baseline else {
            bail!("{} has no baseline to verify against; `rig baseline approve` makes one", self.service);
        };
        let (approved, current) = (&baseline.config_digest, &service.config_digest);
        let mut out = Out::new();
        if self.json {
            out.json(&serde_json::json!({
                "stream": at.stream, "service": self.service, "seq": at.state.seq,
                "same": approved == current, "approved": approved, "current": current,
            }))?;
        } else if approved == current {
            out.line(format!("{} is what was approved: {approved}", self.service))?;
        } else {
            out.line(format!("{} is not what was approved", self.service))?;
            out.line(format!("  approved {approved}\n  current  {current}"))?;
        }
        Ok(if approved == current { Answer::Fine } else { Answer::Difference })
    }
}
