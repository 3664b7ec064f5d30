//! `rig baseline`: what a service's config should be.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use rig_config::redact::are_comparable;
use rig_config::{Baseline, Format, Limits, Policy, Redactor, SnapshotFile, Trust};
use rig_event::ServiceName;
use rig_event::event::Signature;
use rig_replay::Service;
use serde_json::Value;

use super::snapshot;
use crate::client::Appended;
use crate::keys::KeyArgs;
use crate::output::{self, Out};
use crate::source::{Moment, Source};
use crate::{Answer, recording};

/// Approve, show, verify or revoke a service's baseline
///
/// The baseline is the config that somebody approved; drift is the difference from it. Signed with a key that the hub does
/// not have, an approval cannot be changed unseen by whoever can write to the hub. What is declared of a service is a
/// document that names some of its fields; only those are compared.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig baseline approve http://127.0.0.1:7070/main api --reason 'release 4.2'
  rig baseline approve http://127.0.0.1:7070/main api --sign --keys baseline-keys --actor ana
  rig baseline approve http://127.0.0.1:7070/main api --snapshot reviewed/api.json
  rig baseline verify http://127.0.0.1:7070/main api --keys baseline-keys
  rig baseline verify http://127.0.0.1:7070/main api --baseline api.baseline.json --keys baseline-keys
  rig baseline show session.jsonl api --out api.baseline.json
  rig baseline declare http://127.0.0.1:7070/main api deploy/api.yaml

A key file has a line a key, `ID hmac-sha256 HEX` with 64 hexadecimal digits (openssl rand -hex 32); the last one signs and
all of them check, so a key is rotated by adding one. RIG_BASELINE_KEYS may hold those lines instead of a file.")]
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
        /// Approve only if the config is what this snapshot file holds: a path, s3://BUCKET/…,
        /// gs://BUCKET/… or az://CONTAINER/…
        #[arg(long, value_name = "FILE", conflicts_with = "digest")]
        snapshot: Option<String>,
        /// Sign the approval
        #[arg(long)]
        sign: bool,
        #[command(flatten)]
        keys: KeyArgs,
    },
    /// Show what was approved, when and by whom
    Show {
        #[command(flatten)]
        of: Of,
        /// Write the baseline with its signature to a file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Sign what is written, in place of any signature it has
        #[arg(long, requires = "out")]
        sign: bool,
        #[command(flatten)]
        keys: KeyArgs,
    },
    /// Compare the current config with the approved one, and check its signature where keys are given
    ///
    /// Exit code 1 when they differ, and with keys also when the baseline is unsigned, altered, or signed by an unknown key.
    Verify {
        #[command(flatten)]
        of: Of,
        /// Compare with this baseline file, and not with what was approved at the hub
        #[arg(long, value_name = "FILE")]
        baseline: Option<PathBuf>,
        #[command(flatten)]
        keys: KeyArgs,
    },
    /// Take the baseline back
    Revoke {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        because: Because,
    },
    /// Declare some of the service's fields with a document, in place of what was declared before
    Declare {
        #[command(flatten)]
        of: Of,
        /// The document, or - for standard input
        file: String,
        /// Read it as json, jsonc, yaml, toml, ini, env, properties, hcl, xml, routeros, nginx or
        /// text, whatever its name says
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
        #[command(flatten)]
        because: Because,
    },
    /// Take back what is declared
    Withdraw {
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
        Action::Approve { of, because, mut digest, snapshot, sign, keys } => {
            if let Some(file) = snapshot {
                match of.seen_in(&file).await? {
                    Some(same) => digest = Some(same),
                    None => return Ok(Answer::Difference),
                }
            }
            of.approve(&because, digest, sign, &keys).await
        }
        Action::Revoke { of, because } => {
            let client = of.source.hub("a baseline is revoked")?;
            let answer = client.revoke(&of.service, &because.query()).await;
            of.told(answer.with_context(|| format!("the baseline of {} was not revoked", of.service))?)
        }
        Action::Declare { of, file, format, because } => {
            let client = of.source.hub("a service is declared")?;
            let (name, document) = snapshot::read(&file)?;
            let mut query = because.query();
            let said = [("format", &format), ("name", &name)];
            query.extend(said.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))));
            let answer = client.declare(&of.service, &query, document).await;
            of.told(answer.with_context(|| format!("{file} was not declared of {}", of.service))?)
        }
        Action::Withdraw { of, because } => {
            let client = of.source.hub("a declaration is withdrawn")?;
            let answer = client.withdraw(&of.service, &because.query()).await;
            of.told(answer.with_context(|| format!("what is declared of {} stays", of.service))?)
        }
        Action::Show { of, out, sign, keys } => of.show(out, sign, &keys).await,
        Action::Verify { of, baseline, keys } => of.verify(baseline, &keys).await,
    }
}

impl Of {
    fn told(&self, appended: Appended) -> Result<Answer> {
        if appended.events.is_empty() && !self.json {
            output::note("nothing is new");
        }
        snapshot::print(&appended, self.json)?;
        Ok(Answer::Fine)
    }

    async fn approve(
        &self,
        because: &Because,
        digest: Option<String>,
        sign: bool,
        keys: &KeyArgs,
    ) -> Result<Answer> {
        let refused = || format!("the config of {} was not approved", self.service);
        let client = self.source.hub("a baseline is approved")?;
        let mut query = because.query();
        if !sign {
            query.extend(digest.as_deref().map(|digest| ("digest", digest)));
            return self.told(client.approve(&self.service, &query).await.with_context(refused)?);
        }
        let keys = keys.require("--sign")?;
        let at = self.source.state(None).await?;
        let service = at.service(&self.service)?;
        if !service.is_captured() {
            bail!("{} has no snapshot yet: there is nothing to approve", self.service);
        }
        let seen = digest.unwrap_or_else(|| service.digest.clone());
        if seen != service.digest && seen != service.config_digest {
            bail!(
                "{} moved on: its digest is {}; look at it before you approve it",
                self.service,
                service.digest
            );
        }
        let mut baseline = Baseline {
            stream: Some(at.stream.clone()),
            service: Some(self.service.to_string()),
            digest: Some(service.digest.clone()),
            actor: because.actor.clone(),
            reason: because.reason.clone(),
            ..Baseline::new(service.config.clone(), recording::now())
        };
        baseline.sign(&keys)?;
        let signature = baseline.signature.unwrap_or_default();
        let signed = baseline.approved.to_string();
        // By the document's digest: what was signed is exactly this config of exactly this document.
        query.extend([("digest", service.digest.as_str()), ("signed", &signed)]);
        query.extend([("key_id", signature.key_id.as_str()), ("signature", &signature.value)]);
        self.told(client.approve(&self.service, &query).await.with_context(refused)?)
    }

    /// The digest of the current document, if its config is what a snapshot file holds; else what differs is printed.
    async fn seen_in(&self, file: &str) -> Result<Option<String>> {
        let mut held = rig_client::writer::read(file, rig_client::writer::LIMIT).await?;
        let at = self.source.state(None).await?;
        let service = at.service(&self.service)?;
        let mut current = SnapshotFile { config: (*service.config).clone(), ..SnapshotFile::default() };
        let policy = Policy::default();
        // A file from elsewhere may hold secrets as they are: under a key of their own they are not compared, and not shown.
        let text = held.config.get("text").and_then(Value::as_str).filter(|_| held.config.len() == 1);
        let (format, is_blank) = text
            .map_or((Format::Json, false), |text| (Format::Text, text.contains(rig_config::redact::RIGGING)));
        held.redact(&Redactor::new(crate::keys::run_key()?, &policy), format);
        if is_blank {
            held.forget_fingerprints();
            current.forget_fingerprints();
        }
        let mut changes = rig_config::diff(&held.config, &current.config, &policy).changes;
        let all = changes.len();
        changes.retain(|change| match (&change.before, &change.after) {
            (Some(before), Some(after)) => are_comparable(before, after),
            _ => true,
        });
        if all > changes.len() {
            let secrets = output::count((all - changes.len()) as u64, "secret");
            output::note(format!("{secrets} not compared: the file's are not under the hub's key"));
        }
        changes.retain(|change| change.op.is_difference());
        if changes.is_empty() {
            return Ok(Some(service.digest.clone()));
        }
        let mut out = Out::new();
        changes.iter().try_for_each(|change| out.line(output::change(change)))?;
        output::note(format!("the config of {} was not approved: it is not what {file} holds", self.service));
        Ok(None)
    }

    /// What was approved of a service, in the form that is signed.
    fn approved(&self, at: &Moment, service: &Service) -> Result<Baseline> {
        let Some(approved) = &service.baseline else {
            bail!("{} has no baseline; `rig baseline approve` makes one", self.service)
        };
        let signature = approved.key_id.as_ref().zip(approved.signature.as_ref());
        Ok(Baseline {
            stream: Some(at.stream.clone()),
            service: Some(self.service.to_string()),
            digest: Some(approved.digest.clone()),
            config_digest: approved.config_digest.clone(),
            approved: approved.signed.unwrap_or_default(),
            actor: approved.actor.clone(),
            reason: approved.reason.clone(),
            meta: Default::default(),
            config: approved.config.clone(),
            signature: signature.map(|(key_id, value)| Signature {
                key_id: key_id.clone(),
                alg: rig_config::baseline::ALGORITHM.to_owned(),
                value: value.clone(),
            }),
        })
    }

    async fn show(&self, file: Option<PathBuf>, sign: bool, keys: &KeyArgs) -> Result<Answer> {
        let at = self.source.state(None).await?;
        let service = at.service(&self.service)?;
        let mut approved = self.approved(&at, service)?;
        if sign {
            approved.approved = recording::now();
            approved.sign(&keys.require("--sign")?)?;
        }
        if let Some(file) = &file {
            if approved.signature.is_none() {
                bail!("the baseline of {} is not signed: say --sign to sign what is written", self.service);
            }
            let cannot = || format!("cannot write {}", file.display());
            std::fs::write(file, approved.to_json()).with_context(cannot)?;
        }
        let Some(baseline) = &service.baseline else { return Ok(Answer::Fine) };
        let shown = serde_json::json!({
            "digest": baseline.digest,
            "config_digest": baseline.config_digest,
            "captured": baseline.captured,
            "approved_seq": baseline.approved_seq,
            "actor": baseline.actor,
            "reason": baseline.reason,
            "key_id": baseline.key_id,
            "signed": baseline.signed,
            "signature": baseline.signature,
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
        let signed = baseline.key_id.as_ref().zip(baseline.signed);
        let signed = signed.map(|(key, when)| format!("with key {key} at {when}"));
        for (what, said) in [("by", &baseline.actor), ("because", &baseline.reason), ("signed", &signed)] {
            if let Some(said) = said {
                out.line(format!("{what:<14} {}", output::plain(said)))?;
            }
        }
        Ok(Answer::Fine)
    }

    async fn verify(&self, file: Option<PathBuf>, keys: &KeyArgs) -> Result<Answer> {
        let keys = keys.load()?;
        let at = self.source.state(None).await?;
        let service = at.service(&self.service)?;
        let baseline = match &file {
            Some(path) => {
                let shown = path.display().to_string();
                let (_, bytes) = snapshot::read(&shown)?;
                let baseline = Baseline::parse(&bytes, &Limits::default()).context(shown.clone())?;
                if baseline.service.as_deref().is_some_and(|name| name != self.service.as_str()) {
                    bail!("{shown} is the baseline of another service than {}", self.service);
                }
                baseline
            }
            None => self.approved(&at, service)?,
        };
        let trust = keys.map(|keys| baseline.verify(&keys));
        let (approved, current) = (&baseline.config_digest, &service.config_digest);
        let same = approved == current;
        let mut out = Out::new();
        if self.json {
            out.json(&serde_json::json!({
                "stream": at.stream, "service": self.service, "seq": at.state.seq,
                "same": same, "approved": approved, "current": current, "signature": trust,
                "key_id": baseline.signature.as_ref().map(|signature| &signature.key_id),
            }))?;
        } else {
            if same {
                out.line(format!("{} is what was approved: {}", self.service, output::plain(approved)))?;
            } else {
                out.line(format!("{} is not what was approved", self.service))?;
                out.line(format!(
                    "  approved {}\n  current  {}",
                    output::plain(approved),
                    output::plain(current)
                ))?;
            }
            if let Some(trust) = trust {
                out.line(told(trust, &baseline))?;
            }
        }
        Ok(if same && trust.is_none_or(|trust| trust == Trust::Valid) {
            Answer::Fine
        } else {
            Answer::Difference
        })
    }
}

fn told(trust: Trust, baseline: &Baseline) -> String {
    let key =
        baseline.signature.as_ref().map(|signature| output::plain(&signature.key_id)).unwrap_or_default();
    match trust {
        Trust::Valid => format!("valid: signed with key {key} at {}", baseline.approved),
        Trust::Unsigned => "unsigned: nobody vouches for the baseline".to_owned(),
        Trust::Altered => "altered: the baseline is not what was signed".to_owned(),
        Trust::UnknownKey => format!("unknown-key: signed with key {key}, which is none of those given"),
    }
}
