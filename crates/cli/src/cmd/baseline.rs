//! `rig baseline`: what a service's config should be.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use rig_config::redact::are_comparable;
use rig_config::{
    Baseline, Change, FlatConfig, Format, Limits, Policy, Redactor, SnapshotFile, Trust, config_digest,
};
use rig_event::ServiceName;
use rig_event::event::Signature;
use rig_replay::Service;
use serde_json::Value;

use super::snapshot;
use crate::client::Appended;
use crate::keys::KeyArgs;
use crate::output::{self, Out};
use crate::source::{Moment, Source};
use crate::{Answer, recording, telemetry};

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
  rig baseline approve http://127.0.0.1:7070/main api --signed api.baseline.json
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
        /// Approve what this signed baseline approves: its signature, actor and reason go with it
        #[arg(
            long,
            value_name = "FILE",
            conflicts_with_all = ["digest", "snapshot", "sign", "reason", "actor"]
        )]
        signed: Option<String>,
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
        /// Compare with this baseline or snapshot file, and not with what was approved at the hub
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
    let _telling = telemetry::begin_if_asked()?;
    match args.action {
        Action::Approve { of, because, mut digest, snapshot, signed, sign, keys } => {
            if let Some(file) = signed {
                return of.approve_signed(&file).await;
            }
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
        redact_held(&mut held)?;
        let Compared { changes, not_compared } = Compared::of(&held.config, &service.config);
        tell_uncompared(&not_compared);
        if changes.is_empty() {
            return Ok(Some(service.digest.clone()));
        }
        let mut out = Out::new();
        changes.iter().try_for_each(|change| out.line(output::change(change)))?;
        output::note(format!("the config of {} was not approved: it is not what {file} holds", self.service));
        Ok(None)
    }

    /// Approves with the signature in a file: of this very stream, service and document.
    async fn approve_signed(&self, file: &str) -> Result<Answer> {
        let client = self.source.hub("a baseline is approved")?;
        let (_, bytes) = snapshot::read(file)?;
        let limits = Limits::of_file(Limits::default().bytes);
        let baseline = Baseline::parse(&bytes, &limits).with_context(|| file.to_owned())?;
        let Some(signature) = &baseline.signature else { bail!("{file} is not signed") };
        let at = self.source.state(None).await?;
        let service = at.service(&self.service)?;
        let is_of_this = baseline.stream.as_ref() == Some(&at.stream)
            && baseline.service.as_deref() == Some(self.service.as_str());
        if !is_of_this || !baseline.meta.is_empty() {
            bail!(
                "{file} is signed for no service of this hub: `rig baseline approve --sign` or `rig baseline show --sign --out` \
                 signs for the stream {} and the service {}",
                at.stream,
                self.service
            );
        }
        if baseline.digest.as_ref() != Some(&service.digest)
            || baseline.config_digest != service.config_digest
        {
            bail!(
                "{} moved on: its digest is {}, and {file} approves another; look at it before you approve it",
                self.service,
                service.digest
            );
        }
        let approved = baseline.approved.to_string();
        let mut query = vec![("digest", service.digest.as_str()), ("signed", &approved)];
        query.extend([("key_id", signature.key_id.as_str()), ("signature", &signature.value)]);
        let said = [("reason", &baseline.reason), ("actor", &baseline.actor)];
        query.extend(said.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))));
        let refused = || format!("the config of {} was not approved", self.service);
        self.told(client.approve(&self.service, &query).await.with_context(refused)?)
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
                let baseline = baseline_in(&shown)?;
                if baseline.service.as_deref().is_some_and(|name| name != self.service.as_str()) {
                    bail!("{shown} is the baseline of another service than {}", self.service);
                }
                baseline
            }
            None => self.approved(&at, service)?,
        };
        let trust = keys.map(|keys| baseline.verify(&keys));
        let (approved, current) = (&baseline.config_digest, &service.config_digest);
        let Compared { changes, not_compared } = Compared::of(&baseline.config, &service.config);
        // Digests of equal configs differ where secrets were hidden under different keys.
        let same =
            approved == current || (changes.is_empty() && *approved == config_digest(&baseline.config));
        let mut out = Out::new();
        if self.json {
            out.json(&serde_json::json!({
                "stream": at.stream, "service": self.service, "seq": at.state.seq,
                "same": same, "not_compared": not_compared.len(), "not_compared_paths": not_compared,
                "approved": approved, "current": current, "signature": trust,
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
        tell_uncompared(&not_compared);
        Ok(if same && trust.is_none_or(|trust| trust == Trust::Valid) {
            Answer::Fine
        } else {
            Answer::Difference
        })
    }
}

/// The comparison of a config with an approved one.
struct Compared {
    changes: Vec<Change>,
    /// The paths of what is hidden under different keys, or by a foreign marker.
    not_compared: Vec<String>,
}

impl Compared {
    fn of(approved: &FlatConfig, current: &FlatConfig) -> Compared {
        let diff = rig_config::diff(approved, current, &Policy::default());
        let mut changes = diff.changes;
        changes.retain(|change| {
            let sides = change.before.as_ref().zip(change.after.as_ref());
            change.op.is_difference() && sides.is_none_or(|(before, after)| are_comparable(before, after))
        });
        Compared { changes, not_compared: diff.not_compared }
    }
}

/// Says on standard error what was not compared.
fn tell_uncompared(paths: &[String]) {
    if !paths.is_empty() {
        let (count, paths) = (output::count(paths.len() as u64, "secret"), output::places(paths, 10));
        output::note(format!("{count} not compared, not under the hub's key: {paths}"));
    }
}

/// Hides what a file from elsewhere may show: under a key of this run it is not compared, and not told either. A value that is
/// a secret in one field is one in the others, as at the hub.
fn redact_held(held: &mut SnapshotFile) -> Result<()> {
    const MOST_KNOWN: usize = 10_000;
    let is_text = held.config.len() == 1 && held.config.get("text").is_some_and(Value::is_string);
    let format = if is_text { Format::Text } else { Format::Json };
    let redactor =
        Redactor::new(crate::keys::run_key()?, &Policy::default()).with_known(MOST_KNOWN).learning();
    held.redact(&redactor, format);
    held.redact(&redactor, format);
    Ok(())
}

/// The baseline in a file; a snapshot file is one that nobody signed.
fn baseline_in(file: &str) -> Result<Baseline> {
    let (_, bytes) = snapshot::read(file)?;
    let limits = Limits::of_file(Limits::default().bytes);
    if !Baseline::looks_like(&bytes)
        && let Some(mut held) = SnapshotFile::read(&bytes, &limits).with_context(|| file.to_owned())?
    {
        redact_held(&mut held)?;
        return Ok(Baseline::new(held.config.into(), held.timestamp));
    }
    Baseline::parse(&bytes, &limits).with_context(|| file.to_owned())
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
