//! What can be proven of a recording: one of six answers.
//!
//! A chain alone proves that the lines belong together, to whoever trusts one of its later hashes. Only a signature proves that
//! they are what the hub wrote, and only a signed footer proves that nothing is missing at the end.

use std::collections::BTreeSet;

use anyhow::Result;
use rig_event::event::{LogSealed, Signature};
use rig_event::session::{Checkpoint, Header};
use rig_event::{Event, Seq};
use rig_recorder::seal::{Checked, Claim, Keyring};
use rig_recorder::session::{Ending, Problem, SessionError};
use rig_recorder::{Chain, Point};
use rig_replay::State;
use serde::Serialize;

use crate::output;
use crate::source::{NoRecording, Recording};

/// What was found, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is not what was recorded.
    Altered,
    /// It is signed, and not by a key that was given.
    WrongKey,
    /// Its end is missing, or the header that says whose it is.
    Truncated,
    /// Nobody signed it: whoever could write the file could have written anything.
    Unsigned,
    /// It is signed up to a seal; what comes after, and that nothing is missing at the end, is not proven.
    Unsealed,
    /// Every line is what the hub wrote, from the header to the end.
    Verified,
}

impl Verdict {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Altered => "altered",
            Verdict::WrongKey => "wrong-key",
            Verdict::Truncated => "truncated",
            Verdict::Unsigned => "unsigned",
            Verdict::Unsealed => "unsealed",
            Verdict::Verified => "verified",
        }
    }
}

/// What can be said about a recording.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The answer.
    pub verdict: Verdict,
    /// Why it is not a better one.
    pub why: Option<String>,
    /// Events that could be read and folded.
    pub events: u64,
    /// The last of them.
    pub last_seq: Seq,
    /// The state hash there.
    pub hash: String,
    /// Seals found.
    pub seals: u64,
    /// Up to where a valid signature covers every line.
    pub signed_upto: Seq,
    /// The keys whose signatures are valid.
    pub signed_by: BTreeSet<String>,
}

/// What the signatures came to.
#[derive(Default)]
struct Signatures {
    valid: BTreeSet<String>,
    forged: Vec<(Seq, String)>,
    unknown: BTreeSet<String>,
    upto: Seq,
    any: bool,
}

impl Signatures {
    /// Whether a signature proves the claim.
    fn check(&mut self, keys: &Keyring, claim: &Claim<'_>, signatures: &[Signature]) -> bool {
        let mut proven = false;
        for signature in signatures {
            self.any = true;
            let key = signature.key_id.clone();
            match keys.check(claim, signature) {
                Checked::Valid => {
                    proven = true;
                    self.upto = claim.upto;
                    self.valid.insert(key);
                }
                Checked::Forged => self.forged.push((claim.upto, key)),
                Checked::UnknownKey => drop(self.unknown.insert(key)),
            }
        }
        proven
    }
}

/// Reads a recording to its end and says what can be proven of it.
///
/// # Errors
/// When it cannot be read at all.
pub fn verify(recording: &mut Recording, keys: &Keyring) -> Result<Report> {
    let (mut found, mut events, mut seals) = (Signatures::default(), 0, 0);
    let header = recording.header().cloned();
    let mut altered = header.as_ref().and_then(|header| beginning(header, recording));
    let mut unproven = None;
    if let (Some(header), Some(checkpoint)) = (&header, recording.checkpoint()) {
        unproven = beginning_unproven(header, checkpoint, recording.state(), keys, &mut found);
    }
    while altered.is_none() {
        let before = recording.chain();
        match recording.step() {
            Ok(None) => break,
            Ok(Some(event)) => {
                events += 1;
                let (Event::LogSealed(seal), Some(header), Some(before)) =
                    (&event.envelope.event, &header, before)
                else {
                    continue;
                };
                seals += 1;
                altered = misfit(seal, event.envelope.seq, before);
                found.check(
                    keys,
                    &claim(header, seal.upto, &seal.chain, &seal.state, Point::Seal),
                    &seal.signatures,
                );
            }
            // Cut so short that nothing is left to read.
            Err(error) if error.is::<NoRecording>() => break,
            Err(error) => altered = Some(output::plain(&output::chain(&error))),
        }
    }
    let (last_seq, hash) = (recording.state().seq, recording.state().hash());
    let sealed_upto = found.upto;
    let mut end_proven = false;
    match (recording.ending(), &header) {
        (Some(Ending::Altered { why, .. }), _) => drop(altered.get_or_insert_with(|| why.clone())),
        (Some(Ending::Finished(footer)), Some(header)) if altered.is_none() => {
            let claim = claim(header, footer.last_seq, &footer.chain, &hash, Point::End(footer.outcome));
            end_proven = found.check(keys, &claim, &footer.signatures);
        }
        _ => {}
    }
    if let Some(line) = recording.reworded() {
        altered.get_or_insert_with(|| {
            format!("its {line} is not as it was written: its words or their order are others")
        });
    }
    if let Some(scrubbed) = header.as_ref().and_then(|header| header.scrubbed.as_ref()) {
        // It says so itself, and honestly: it is not what was recorded, however well it fits together.
        altered = Some(match altered {
            Some(why) => format!("it is a scrubbed copy, and was changed since: {why}"),
            None => format!(
                "it is a scrubbed copy: secrets were taken out of {} after they were recorded; up to seq {} every line is as recorded",
                output::count(scrubbed.changed.len() as u64, "event"),
                scrubbed.intact_upto
            ),
        });
    }
    let truncated = match recording.ending() {
        Some(Ending::Finished(_) | Ending::Altered { .. }) => None,
        Some(Ending::Bare) => {
            Some("it has no header and no footer: nothing says whose it is and where it ends".to_owned())
        }
        Some(Ending::Torn { bytes: 0 }) => Some("it cannot be decompressed to its end".to_owned()),
        Some(Ending::Torn { bytes }) => {
            Some(format!("it ends within a line ({bytes} bytes of it are there) and has no footer"))
        }
        _ => Some("it ends without a footer".to_owned()),
    };
    let (verdict, why) = if let Some(why) = altered {
        (Verdict::Altered, Some(why))
    } else if let Some((seq, key)) = found.forged.iter().find(|(_, key)| found.valid.contains(key)) {
        (
            Verdict::Altered,
            Some(format!("the signature at seq {seq} is not by key {key}, which signed the rest")),
        )
    } else if let Some((seq, key)) = found.forged.first() {
        (
            Verdict::WrongKey,
            Some(format!(
                "the signature at seq {seq} names key {key}, and the key of that name did not make it"
            )),
        )
    } else if found.valid.is_empty()
        && let Some(key) = found.unknown.first()
    {
        (
            Verdict::WrongKey,
            Some(format!("it is signed by key {key}, which is not among the keys given with --keys")),
        )
    } else if let Some(why) = truncated {
        (Verdict::Truncated, Some(why))
    } else if !found.any {
        (Verdict::Unsigned, Some("neither its seals nor its footer are signed".to_owned()))
    } else if !end_proven {
        let why = format!(
            "signed up to seq {sealed_upto} of {last_seq}, and the footer is not: the end is not proven"
        );
        (Verdict::Unsealed, Some(why))
    } else if let Some(why) = unproven {
        (Verdict::Unsealed, Some(why.to_owned()))
    } else {
        (Verdict::Verified, None)
    };
    Ok(Report {
        verdict,
        why,
        events,
        last_seq,
        hash,
        seals,
        signed_upto: found.upto,
        signed_by: found.valid,
    })
}

/// The answer for a session file whose beginning is there and cannot be read: its header, or the state that it begins with.
/// `None` where the error says nothing of the kind, such as a version that is not known.
pub fn unreadable(error: &anyhow::Error) -> Option<Report> {
    let damaged = match error.downcast_ref::<SessionError>() {
        Some(error) => matches!(
            error.problem,
            Problem::NotAnEvent { .. } | Problem::NoCheckpoint { .. } | Problem::TooLong { .. }
        ),
        None => error.is::<rig_replay::Error>(),
    };
    damaged.then(|| Report {
        verdict: Verdict::Altered,
        why: Some(output::plain(&output::chain(error))),
        events: 0,
        last_seq: 0,
        hash: State::default().hash(),
        seals: 0,
        signed_upto: 0,
        signed_by: BTreeSet::new(),
    })
}

/// What is wrong with where a recording says that it begins.
fn beginning(header: &Header, recording: &Recording) -> Option<String> {
    let genesis = Chain::genesis(&header.stream, &header.epoch).to_string();
    if header.first_seq == 1 && header.chain != genesis {
        return Some("the header's hash chain is not that of its stream and epoch".to_owned());
    }
    match recording.checkpoint() {
        Some(checkpoint)
            if checkpoint.hash != recording.state().hash() || checkpoint.seq != recording.state().seq =>
        {
            Some("the checkpoint's hash and seq are not those of its state".to_owned())
        }
        // The hash covers what the state is, not how it is written: a key that stands there twice, or one that is not known.
        Some(checkpoint) if !is_as_written(checkpoint, header, recording.state()) => {
            Some("the state in the checkpoint is not as it was written".to_owned())
        }
        _ => None,
    }
}

fn is_as_written(checkpoint: &Checkpoint, header: &Header, state: &State) -> bool {
    let written = serde_json::to_string(&state.view(header.stream.as_str()));
    written.is_ok_and(|written| written == checkpoint.state.get())
}

/// Why it is not proven that the recording begins with that state; `None`: it is.
fn beginning_unproven(
    header: &Header,
    checkpoint: &Checkpoint,
    state: &State,
    keys: &Keyring,
    found: &mut Signatures,
) -> Option<&'static str> {
    let at = |point| claim(header, checkpoint.seq, &header.chain, &checkpoint.hash, point);
    let with_time = at(Point::Beginning(state.ts));
    let by_seal = |signature: &Signature| keys.check(&at(Point::Seal), signature) == Checked::Valid;
    // Earlier versions signed it like a seal, which says nothing of its time.
    let (old, new): (Vec<_>, Vec<_>) = checkpoint.signatures.iter().cloned().partition(by_seal);
    let proven = found.check(keys, &with_time, &new);
    let old = found.check(keys, &at(Point::Seal), &old);
    match (proven, old) {
        (true, _) => None,
        (false, true) => Some("the time of the state that it begins with is not signed"),
        (false, false) => Some("the state that it begins with is not signed by a key that was given"),
    }
}

/// What is wrong with a seal; its state hash was checked by folding it.
fn misfit(seal: &LogSealed, seq: Seq, before: Chain) -> Option<String> {
    if seal.upto + 1 != seq {
        return Some(format!("the seal at seq {seq} covers seq {}: it was moved", seal.upto));
    }
    (seal.chain != before.to_string())
        .then(|| format!("the seal at seq {seq} states another hash chain: a line before it was changed"))
}

fn claim<'a>(header: &'a Header, upto: Seq, chain: &'a str, state: &'a str, point: Point) -> Claim<'a> {
    Claim { stream: &header.stream, epoch: &header.epoch, upto, chain, state, point }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use rig_event::event::Lifecycle;
    use rig_event::session::{Footer, Outcome, VERSION};
    use rig_event::{Draft, StreamName, Timestamp};

    use super::*;

    const KEY: &str = "s1 hmac-sha256 0101010101010101010101010101010101010101010101010101010101010101\n";
    const OTHER: &str = "s1 hmac-sha256 0202020202020202020202020202020202020202020202020202020202020202\n";
    const ED25519: &str = "e1 ed25519 0303030303030303030303030303030303030303030303030303030303030303\n";

    /// How a session is to be written.
    struct Write<'a> {
        stream: &'a str,
        keys: &'a str,
        sign_footer: bool,
        seal_every: u64,
        services: &'a [&'a str],
    }

    const WRITE: Write<'_> =
        Write { stream: "main", keys: KEY, sign_footer: true, seal_every: 4, services: &["a"] };

    /// The lines of a session of twelve events.
    fn session(write: &Write<'_>) -> Vec<String> {
        let keys = Keyring::parse(write.keys).unwrap();
        let stream: StreamName = write.stream.parse().unwrap();
        let epoch = "e1".parse().unwrap();
        let mut chain = Chain::genesis(&stream, &epoch);
        let mut state = State::default();
        let header = Header {
            v: VERSION,
            session: "test".into(),
            stream: stream.clone(),
            epoch: epoch.clone(),
            first_seq: 1,
            chain: chain.to_string(),
            started: Timestamp::default(),
            rig: "0".into(),
            scrubbed: None,
        };
        let mut lines = vec![serde_json::to_string(&header).unwrap()];
        let sign = |upto, chain: &str, state: &str, point| -> Vec<Signature> {
            keys.sign(&Claim { stream: &stream, epoch: &epoch, upto, chain, state, point })
                .into_iter()
                .collect()
        };
        for seq in 1..=12 {
            let event = if seq % write.seal_every == 0 {
                let (chain, state) = (chain.to_string(), state.hash());
                Event::LogSealed(LogSealed {
                    upto: seq - 1,
                    signatures: sign(seq - 1, &chain, &state, Point::Seal),
                    chain,
                    state,
                })
            } else {
                Event::ServiceReady(Lifecycle {
                    message: Some(format!("step {seq}")),
                    ..Lifecycle::default()
                })
            };
            let service = write.services[seq as usize % write.services.len()];
            let service = matches!(event, Event::ServiceReady(_)).then(|| service.parse().unwrap());
            let body = Draft::new(service, event).encode().unwrap();
            let mut line = Vec::new();
            body.write_line(seq, &Timestamp::default().to_string(), 0, &mut line);
            line.pop();
            chain.push(&line);
            state.apply(&body.into_envelope(seq, Timestamp::default())).unwrap();
            lines.push(String::from_utf8(line).unwrap());
        }
        let signatures = if write.sign_footer {
            sign(12, &chain.to_string(), &state.hash(), Point::End(Outcome::Passed))
        } else {
            vec![]
        };
        let footer = Footer {
            last_seq: 12,
            events: 12,
            chain: chain.to_string(),
            outcome: Outcome::Passed,
            duration_ms: 0,
            signatures,
        };
        lines.push(serde_json::to_string(&footer).unwrap());
        lines
    }

    fn check(lines: &[String], keys: &str) -> (Verdict, String) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let mut recording =
            Recording::new(Box::new(Cursor::new(text)), "test".into(), "test".into()).unwrap();
        let report = verify(&mut recording, &Keyring::parse(keys).unwrap()).unwrap();
        (report.verdict, report.why.unwrap_or_default())
    }

    #[test]
    fn six_answers() {
        for keys in [KEY, ED25519] {
            assert_eq!(check(&session(&Write { keys, ..WRITE }), keys).0, Verdict::Verified);
        }
        let signed = session(&WRITE);
        assert_eq!(check(&signed, OTHER).0, Verdict::WrongKey);
        assert_eq!(check(&signed, "").0, Verdict::WrongKey);
        assert_eq!(check(&signed, ED25519).0, Verdict::WrongKey);
        assert_eq!(check(&session(&Write { keys: "", ..WRITE }), KEY).0, Verdict::Unsigned);
        assert_eq!(check(&session(&Write { sign_footer: false, ..WRITE }), KEY).0, Verdict::Unsealed);
        assert_eq!(check(&signed[..signed.len() - 1], KEY).0, Verdict::Truncated);
        assert_eq!(check(&signed[1..signed.len() - 1], KEY).0, Verdict::Truncated);
    }

    /// The footer made to fit the lines again, as a forger without the key can.
    fn refit(lines: &mut [String]) {
        let header: Header = serde_json::from_str(&lines[0]).unwrap();
        let mut chain: Chain = header.chain.parse().unwrap();
        let last = lines.len() - 1;
        lines[1..last].iter().for_each(|line| chain.push(line.as_bytes()));
        let mut footer: Footer = serde_json::from_str(&lines[last]).unwrap();
        footer.chain = chain.to_string();
        footer.events = last as u64 - 1;
        footer.last_seq = footer.events;
        lines[last] = serde_json::to_string(&footer).unwrap();
    }

    fn renumber(lines: &mut [String]) {
        let last = lines.len() - 1;
        for (seq, line) in (1..).zip(&mut lines[1..last]) {
            let rest = line[line.find(",\"ts\"").unwrap()..].to_owned();
            *line = format!("{{\"seq\":{seq}{rest}");
        }
    }

    #[test]
    fn every_forgery_is_told_apart_from_valid() {
        type Forge = fn(&mut Vec<String>);
        let forgeries: [(&str, Forge); 9] = [
            ("a dropped tail", |l| drop(l.drain(9..13))),
            ("a dropped middle", |l| drop(l.drain(5..8))),
            ("a dropped middle, closed up", |l| {
                l.drain(5..8);
                renumber(l);
            }),
            ("two lines re-numbered", |l| {
                l.swap(2, 3);
                renumber(l);
            }),
            ("a changed line", |l| l[6] = l[6].replace("step", "stop")),
            ("a moved seal", |l| {
                l.swap(4, 5);
                renumber(l);
            }),
            ("a stripped seal", |l| {
                l.remove(8);
                renumber(l);
            }),
            ("another stream's seal", |l| l[8] = session(&Write { stream: "other", ..WRITE })[8].clone()),
            ("a header of another epoch", |l| l[0] = l[0].replace("\"e1\"", "\"e2\"")),
        ];
        for (name, forge) in forgeries {
            for refitted in [false, true] {
                let mut lines = session(&WRITE);
                forge(&mut lines);
                if refitted {
                    refit(&mut lines);
                }
                let (verdict, why) = check(&lines, KEY);
                assert!(verdict <= Verdict::WrongKey, "{name}, footer refitted: {refitted}: {verdict:?}");
                assert!(!why.is_empty());
            }
        }
    }

    #[test]
    fn stripped_signatures_are_never_verified() {
        let strip = |line: &mut String| {
            let start = line.find(",\"signatures\":[").unwrap();
            let end = start + line[start..].find(']').unwrap() + 1;
            line.replace_range(start..end, "");
        };
        let mut footer = session(&WRITE);
        strip(footer.last_mut().unwrap());
        assert_eq!(check(&footer, KEY).0, Verdict::Unsealed);
        let mut tail = session(&WRITE);
        tail.drain(9..13);
        strip(tail.last_mut().unwrap());
        refit(&mut tail);
        assert_eq!(
            check(&tail, KEY).0,
            Verdict::Unsealed,
            "a tail cut at a seal, with a footer of the forger's"
        );
        // Cut just before a seal, whose signature is over the very chain and state that the footer states.
        let mut reused = session(&WRITE);
        let value = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let signatures = value(&reused[8])["signatures"].clone();
        reused.drain(8..13);
        let footer = reused.last_mut().unwrap();
        let mut value = value(footer);
        value["signatures"] = signatures;
        *footer = value.to_string();
        refit(&mut reused);
        let (verdict, why) = check(&reused, KEY);
        assert!(verdict <= Verdict::WrongKey, "a seal's signature moved to the footer: {verdict:?} {why}");
        let mut outcome = session(&WRITE);
        let footer = outcome.last_mut().unwrap();
        *footer = footer.replace("passed", "failed");
        assert!(check(&outcome, KEY).0 <= Verdict::WrongKey);
        let mut downgraded = session(&WRITE);
        downgraded[0] = downgraded[0].replace("\"v\":1", "\"v\":0");
        let text = downgraded.join("\n");
        assert!(Recording::new(Box::new(Cursor::new(text)), "test".into(), "test".into()).is_err());
    }

    /// A session like that, from event 7 on.
    fn later_session() -> Vec<String> {
        let mut lines = session(&WRITE);
        let header: Header = serde_json::from_str(&lines[0]).unwrap();
        let mut chain: Chain = header.chain.parse().unwrap();
        let mut state = State::default();
        for line in &lines[1..7] {
            chain.push(line.as_bytes());
            state.apply(&rig_event::Envelope::parse(line.as_bytes()).unwrap()).unwrap();
        }
        state.ts = "2026-11-20T10:30:05.412803Z".parse().unwrap();
        let header = Header { first_seq: 7, chain: chain.to_string(), ..header };
        let (text, hash) = (chain.to_string(), state.hash());
        let claim = claim(&header, 6, &text, &hash, Point::Beginning(state.ts));
        let checkpoint = Checkpoint {
            seq: 6,
            hash: hash.clone(),
            state: serde_json::value::to_raw_value(&state.view("main")).unwrap(),
            signatures: Keyring::parse(KEY).unwrap().sign(&claim).into_iter().collect(),
        };
        let mut footer: Footer = serde_json::from_str(lines.last().unwrap()).unwrap();
        footer.events = 6;
        let last = lines.len() - 1;
        lines[last] = serde_json::to_string(&footer).unwrap();
        let head = [serde_json::to_string(&header).unwrap(), serde_json::to_string(&checkpoint).unwrap()];
        lines.splice(0..7, head);
        lines
    }

    #[test]
    fn what_no_signature_covers_must_be_written_as_a_recording_writes_it() {
        let whole = later_session();
        assert_eq!(check(&whole, KEY), (Verdict::Verified, String::new()));
        let last = whole.len() - 1;
        for (line, from, to) in [
            (0, "{", "{\"more\":1,"),
            (0, "\"v\":1", "\"v\": 1"),
            (1, "10:30:05.412803Z", "10:30:06.412803Z"),
            (1, "\"stream\":\"main\"", "\"stream\":\"prod\""),
            (1, "\"services\":{", "\"services\":{\"a\":{\"config_digest\":\"\"},"),
            (1, "\"environment\":{", "\"by\":\"me\",\"environment\":{"),
            (1, "\"seq\":6", "\"seq\":6,\"note\":1"),
            (1, "\"edges\":{}", "\"edges\":{},\"edges\":{}"),
            (last, "\"events\":6", "\"events\":6,\"of\":6"),
        ] {
            let mut lines = whole.clone();
            assert!(lines[line].contains(from), "{from}: {}", lines[line]);
            lines[line] = lines[line].replacen(from, to, 1);
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let opened = Recording::new(Box::new(Cursor::new(text)), "test".into(), "test".into());
            let report = match opened {
                Ok(mut recording) => verify(&mut recording, &Keyring::parse(KEY).unwrap()).unwrap(),
                Err(error) => unreadable(&error).unwrap(),
            };
            assert!(report.verdict <= Verdict::WrongKey, "{to}: {report:?}");
        }
    }

    #[test]
    fn a_damaged_header_is_an_answer_and_a_later_version_is_none() {
        let open = |text: String| {
            Recording::new(Box::new(Cursor::new(text)), "test".into(), "test".into()).map(drop)
        };
        let text = session(&WRITE).join("\n");
        for (from, to) in [
            ("\"epoch\"", "\"epoci\""),
            ("session.header", "session.headez"),
            ("\"chain\":\"sha256:", "\"chain\":\"sha25v:"),
            ("\"first_seq\":1", "\"first_seq\":3"),
        ] {
            let report = unreadable(&open(text.replacen(from, to, 1)).unwrap_err());
            assert_eq!(report.map(|report| report.verdict), Some(Verdict::Altered), "{to}");
        }
        let error = open(text.replacen("\"v\":1", "\"v\":3", 1)).unwrap_err();
        assert!(unreadable(&error).is_none(), "{error:#}");
    }

    #[test]
    fn a_flipped_bit_at_any_offset_is_never_verified() {
        let text: String = session(&WRITE).iter().map(|line| format!("{line}\n")).collect();
        let keys = Keyring::parse(KEY).unwrap();
        for at in 0..text.len() - 1 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << (at % 8);
            let Ok(mut recording) =
                Recording::new(Box::new(Cursor::new(bytes.clone())), "test".into(), "test".into())
            else {
                continue;
            };
            let Ok(report) = verify(&mut recording, &keys) else { continue };
            // Not signed is what only names the recording: its name, its time, the version of rig, the duration.
            let named = |value: &mut serde_json::Value| {
                for key in ["session", "started", "rig", "duration_ms"] {
                    value.as_object_mut().unwrap().remove(key);
                }
            };
            let signed_part = |text: &str| -> Vec<serde_json::Value> {
                let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
                lines.map(|mut line| (named(&mut line), line).1).collect()
            };
            if report.verdict == Verdict::Verified {
                let flipped = String::from_utf8(bytes).unwrap();
                assert_eq!(signed_part(&flipped), signed_part(&text), "offset {at}");
            }
        }
    }
}
