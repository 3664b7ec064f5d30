//! Session files: written, cut, changed, and of other dialects.

use std::io::Write;
use std::time::Duration;

use proptest::prelude::*;
use rig_event::session::{Checkpoint, Footer, Header, Outcome, VERSION};
use rig_event::{MAX_LINE, Seq, StreamName, Timestamp};
use rig_recorder::{
    Chain, Dialect, Ending, Lines, Output, Problem, Record, SessionError, SessionReader, SessionWriter,
};

use crate::support::{batch, batches};

fn header(first_seq: Seq) -> Header {
    let (stream, epoch) = (StreamName::main(), "e0".parse().unwrap());
    let mut chain = Chain::genesis(&stream, &epoch);
    (1..first_seq).for_each(|seq| chain.push(seq.to_string().as_bytes()));
    Header {
        v: VERSION,
        session: "s1".into(),
        stream,
        epoch,
        first_seq,
        chain: chain.to_string(),
        started: Timestamp::from_micros(0),
        rig: "0.1.0".into(),
        scrubbed: None,
    }
}

fn checkpoint(seq: Seq) -> Checkpoint {
    let text = format!(r#"{{"type":"session.checkpoint","seq":{seq},"hash":"sha256:0","state":{{"a": 1}}}}"#);
    serde_json::from_str(&text).unwrap()
}

/// A finished session of these batches.
fn session(batches: &[Lines]) -> Vec<u8> {
    let first_seq = batches.first().map_or(1, |lines| lines.first_seq);
    let checkpoint = (first_seq > 1).then(|| checkpoint(first_seq - 1));
    let mut writer = SessionWriter::new(Vec::new(), &header(first_seq), checkpoint.as_ref()).unwrap();
    batches.iter().for_each(|lines| writer.write(lines).unwrap());
    writer.finish(Outcome::Passed, Duration::from_millis(7)).unwrap()
}

fn compressed(text: &[u8]) -> Vec<u8> {
    let mut output = Output::zstd(Vec::new()).unwrap();
    output.write_all(text).unwrap();
    output.finish().unwrap()
}

/// What a file gives: its events, what was wrong, and how it ended.
fn read(file: &[u8]) -> Result<(Vec<Record>, Vec<SessionError>, Ending), SessionError> {
    let mut reader = SessionReader::new(file)?;
    let (mut records, mut problems) = (Vec::new(), Vec::new());
    for item in reader.by_ref() {
        match item {
            Ok(record) => records.push(record),
            Err(problem) => problems.push(problem),
        }
    }
    assert!(reader.next().is_none());
    Ok((records, problems, reader.ending().unwrap().clone()))
}

fn seqs(records: &[Record]) -> Vec<Seq> {
    records.iter().map(|record| record.seq).collect()
}

#[test]
fn what_is_written_is_read() {
    for first_seq in [1, 5] {
        let lines = [batch(first_seq, 2), batch(first_seq + 2, 3)];
        let file = session(&lines);
        for bytes in [file.clone(), compressed(&file)] {
            let mut reader = SessionReader::new(&bytes[..]).unwrap();
            assert_eq!(reader.header(), Some(&header(first_seq)));
            assert_eq!(reader.checkpoint().map(|at| at.seq), (first_seq > 1).then(|| first_seq - 1));
            assert_eq!(reader.dialect(), Some(Dialect::Session));
            let records: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
            assert_eq!(seqs(&records), (first_seq..first_seq + 5).collect::<Vec<_>>());
            for record in &records {
                let line_end = record.offset as usize + record.line.len();
                assert_eq!(&file[record.offset as usize..=line_end], [&record.line[..], b"\n"].concat());
            }
            let Some(Ending::Finished(footer)) = reader.ending() else { panic!("{:?}", reader.ending()) };
            assert_eq!((footer.last_seq, footer.events, footer.duration_ms), (first_seq + 4, 5, 7));
        }
    }
}

#[test]
fn an_empty_session_is_finished_too() {
    let (records, problems, ending) = read(&session(&[])).unwrap();
    assert!(records.is_empty() && problems.is_empty());
    assert!(matches!(ending, Ending::Finished(Footer { last_seq: 0, events: 0, .. })), "{ending:?}");
}

#[test]
fn a_writer_takes_only_what_follows_and_the_state_where_it_is_needed() {
    assert!(SessionWriter::new(Vec::new(), &header(5), None).is_err());
    assert!(SessionWriter::new(Vec::new(), &header(5), Some(&checkpoint(3))).is_err());
    let mut writer = SessionWriter::new(Vec::new(), &header(1), None).unwrap();
    assert!(writer.write(&batch(2, 1)).is_err());
    writer.write(&batch(1, 1)).unwrap();
    assert!(writer.write(&batch(1, 1)).is_err());
    assert_eq!(writer.last_seq(), 1);
}

/// Every byte: the events are a prefix, and it is said that the file is not whole.
#[test]
fn a_session_cut_anywhere_is_a_prefix() {
    let lines = [batch(5, 2), batch(7, 3)];
    let file = session(&lines);
    let (whole, ..) = read(&file).unwrap();
    let squeezed = compressed(&file);
    for (bytes, is_compressed) in [(&file, false), (&squeezed, true)] {
        for len in 0..bytes.len() {
            let (records, problems, ending) =
                read(&bytes[..len]).unwrap_or_else(|e| panic!("cut at {len}: {e}"));
            assert!(whole.starts_with(&records), "cut at {len}");
            assert!(problems.is_empty(), "cut at {len}: {problems:?}");
            let line_start = bytes[..len].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            match ending {
                Ending::Torn { bytes } if !is_compressed => assert_eq!(bytes as usize, len - line_start),
                Ending::Torn { .. } => {}
                Ending::Unfinished => assert!(!is_compressed, "cut at {len}"),
                // What is missing is the last line end, or the checksum of the compressed frame.
                Ending::Finished(_) if is_compressed => assert!(len >= bytes.len() - 4, "cut at {len}"),
                Ending::Finished(_) => assert!(len == bytes.len() - 1, "cut at {len}"),
                Ending::Bare => assert_eq!(len, 0),
                Ending::Altered { .. } => panic!("cut at {len}: {ending:?}"),
            }
        }
    }
}

#[test]
fn dropping_the_writer_leaves_an_unfinished_file() {
    let mut file = Vec::new();
    let mut writer = SessionWriter::new(&mut file, &header(1), None).unwrap();
    writer.write(&batch(1, 3)).unwrap();
    drop(writer);
    let (records, _, ending) = read(&file).unwrap();
    assert_eq!((seqs(&records), ending), (vec![1, 2, 3], Ending::Unfinished));

    let mut writer = SessionWriter::new(Output::zstd(Vec::new()).unwrap(), &header(1), None).unwrap();
    writer.write(&batch(1, 3)).unwrap();
    writer.flush().unwrap();
    let file = writer.get_mut().get_mut().clone();
    let (records, _, ending) = read(&file).unwrap();
    assert_eq!((seqs(&records), ending), (vec![1, 2, 3], Ending::Torn { bytes: 0 }));
}

#[test]
fn a_changed_file_is_altered() {
    let file = String::from_utf8(session(&batches(&[1, 1, 1, 1]))).unwrap();
    let lines: Vec<&str> = file.lines().collect();
    let join = |lines: &[&str]| lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
    let edited = file.replace("3 xxxx", "3 xxxy");
    let without_last = join(&[&lines[..4], &lines[5..]].concat());
    let without_first = join(&[&lines[..1], &lines[2..]].concat());
    let twice = join(&[&lines[..3], &lines[2..]].concat());
    let swapped = join(&[lines[0], lines[1], lines[3], lines[2], lines[4], lines[5]]);
    let after = format!("{file}{}\n", lines[1]);
    for (name, text) in [
        ("edited", edited),
        ("without its last event", without_last),
        ("without its first event", without_first),
        ("an event twice", twice),
        ("two events swapped", swapped),
        ("an event after the footer", after),
        ("another outcome of the chain", file.replace(&header(1).chain[..12], "sha256:00000")),
    ] {
        let (.., ending) = read(text.as_bytes()).unwrap();
        assert!(matches!(ending, Ending::Altered { .. }), "{name}: {ending:?}");
    }
}

#[test]
fn problems_have_a_place_and_reading_goes_on() {
    let line = |seq: Seq| String::from_utf8(batch(seq, 1).bytes.to_vec()).unwrap();
    let long = format!("\"{}\"\n", "x".repeat(3 << 20));
    let parts = [line(1), "no event\n".into(), line(2), line(5), line(4), long, line(6)];
    let mut file = parts.concat().into_bytes();
    let bad_text_at = file.len();
    file.extend_from_slice(b"\xff\xfe\n");
    file.extend_from_slice(line(7).as_bytes());
    let (records, problems, ending) = read(&file).unwrap();
    assert_eq!(seqs(&records), [1, 2, 5, 6, 7]);
    let offset = |n: usize| parts[..n].iter().map(String::len).sum::<usize>() as u64;
    let places: Vec<_> = problems.iter().map(|problem| (problem.line_no, problem.offset)).collect();
    assert_eq!(
        places,
        [(2, offset(1)), (4, offset(3)), (5, offset(4)), (6, offset(5)), (8, bad_text_at as u64)]
    );
    assert!(matches!(problems[0].problem, Problem::NotAnEvent { .. }));
    assert!(matches!(problems[1].problem, Problem::Gap { expected: 3, found: 5 }));
    assert!(matches!(problems[2].problem, Problem::Repeat { expected: 6, found: 4 }));
    assert!(matches!(problems[3].problem, Problem::TooLong { limit: MAX_LINE }));
    assert!(matches!(problems[4].problem, Problem::NotUtf8));
    assert_eq!(
        problems[1].to_string(),
        format!("line 4 (offset {}): seq 5 follows 2: 2 events are missing", offset(3))
    );
    assert_eq!(ending, Ending::Bare);
}

#[test]
fn headers_that_cannot_be_read_on_are_errors() {
    let text = String::from_utf8(session(&[batch(5, 1)])).unwrap();
    let without_state: String =
        text.lines().filter(|line| !line.contains("checkpoint")).flat_map(|line| [line, "\n"]).collect();
    for (file, expected) in [
        (text.replace(r#""v":1"#, r#""v":2"#), "version 2"),
        (r#"{"type":"session.header","v":3,"new":true}"#.to_owned() + "\n", "version 3"),
        (r#"{"type":"session.header","v":1}"#.to_owned() + "\n", "session.header"),
        (without_state, "state before that is missing"),
        (text.replacen("sha256:", "md5:", 1), "chain hash"),
    ] {
        let error = read(file.as_bytes()).map(drop).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn lines_of_a_session_in_the_wrong_place_are_said() {
    let first = session(&[batch(1, 1)]);
    let (records, problems, ending) = read(&[&first[..], &first].concat()).unwrap();
    assert_eq!((seqs(&records), problems.len()), (vec![1], 3));
    assert!(problems.iter().all(|problem| matches!(problem.problem, Problem::Misplaced { .. })));
    assert!(matches!(ending, Ending::Altered { .. }));
    let footer = first.split(|&byte| byte == b'\n').nth(2).unwrap();
    let (_, problems, ending) = read(&[&batch(1, 1).bytes[..], footer, b"\n"].concat()).unwrap();
    assert!(matches!(problems[0].problem, Problem::Misplaced { what: "a footer without a header" }));
    assert_eq!(ending, Ending::Bare);
}

#[test]
fn rigd_logs_are_read_with_and_without_their_header() {
    let header = r#"{"type":"log.header","environment":"TestApp","outcome":"failed","services":["api"],"duration_ms":14,"timestamp":"2026-02-28T20:37:23.422424+11:00"}"#;
    let event = |seq: Seq, body: &str| {
        format!(
            r#"{{"seq":{seq},"type":"service.log","timestamp":"2026-02-23T10:00:00Z","log":{{"stream":"stdout","data":"{body}"}}}}"#
        )
    };
    // Bodies may be longer than any line of rig.
    let events = [event(1, "a"), event(2, &"x".repeat(3 << 20)), event(3, "b")].join("\n");
    for (file, has_header) in [(events.clone(), false), (format!("{header}\n{events}\n"), true)] {
        let mut reader = SessionReader::new(file.as_bytes()).unwrap();
        assert_eq!(reader.rigd_header().is_some_and(|header| header.environment == "TestApp"), has_header);
        let records: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
        assert_eq!((seqs(&records), reader.dialect()), (vec![1, 2, 3], Some(Dialect::Rigd)));
        assert!(records.iter().all(|record| rig_event::rigd::parse(&record.line).is_ok()));
        assert_eq!(reader.ending(), Some(&Ending::Bare));
    }
    let (records, problems, _) =
        read(b"{\"seq\":1,\"type\":\"request.completed\"}\nnot valid json\n").unwrap();
    assert_eq!((records.len(), problems.len()), (0, 2), "neither dialect");
}

#[test]
fn a_line_without_end_is_not_taken_into_memory() {
    /// An endless line, counted.
    struct Endless(u64);
    impl std::io::Read for Endless {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            let n = bytes.len().min(self.0 as usize);
            bytes[..n].fill(b'x');
            self.0 -= n as u64;
            Ok(n)
        }
    }
    let start = std::io::Cursor::new(batch(1, 1).bytes);
    let endless = std::io::Read::chain(start, std::io::BufReader::new(Endless(200 << 20)));
    let mut reader = SessionReader::new(endless).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().seq, 1);
    let error = reader.next().unwrap().unwrap_err();
    assert!(matches!(error.problem, Problem::TooLong { limit: MAX_LINE }), "{error}");
    assert!(reader.next().is_none());
    assert_eq!(reader.ending(), Some(&Ending::Torn { bytes: 200 << 20 }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// No byte of a finished session can be changed unnoticed, compressed or not.
    #[test]
    fn a_changed_byte_shows(sizes in prop::collection::vec(1u64..4, 1..5), at in 0.0..1.0f64, xor in 1u8..=255, zstd: bool) {
        let file = session(&batches(&sizes));
        let (whole, _, finished) = read(&file).unwrap();
        let mut bytes = if zstd { compressed(&file) } else { file.clone() };
        let at = (bytes.len() as f64 * at) as usize;
        bytes[at] ^= xor;
        if let Ok((records, problems, ending)) = read(&bytes) {
            let same = records == whole && ending == finished;
            // What no chain covers are the words of the header and the footer.
            let first_event = file.iter().position(|&byte| byte == b'\n').unwrap() + 1;
            let last_event = file[..file.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap();
            let in_events = !zstd && (first_event..last_event).contains(&at);
            let said = !problems.is_empty() || !matches!(ending, Ending::Finished(_));
            prop_assert!(said || same || !in_events && !zstd, "byte {at}: {ending:?}");
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), zstd: bool) {
        let bytes = if zstd { compressed(&bytes) } else { bytes };
        if let Ok((records, ..)) = read(&bytes) {
            prop_assert!(records.is_empty());
        }
    }
}

#[test]
fn a_recording_in_several_frames_with_some_to_be_skipped_is_read_and_other_packers_are_named() {
    let text = session(&[batch(1, 3)]);
    let (front, back) = text.split_at(text.len() / 2);
    // As pzstd writes it: before each frame one that says how long it is.
    let mut packed = Vec::new();
    for part in [front, back] {
        let frame = compressed(part);
        packed.extend([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0]);
        packed.extend((frame.len() as u32).to_le_bytes());
        packed.extend(frame);
    }
    let mut reader = SessionReader::new(&packed[..]).unwrap();
    assert_eq!(reader.by_ref().map(|record| record.unwrap().seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(matches!(reader.ending(), Some(Ending::Finished(_))));
    for (start, packer) in [(&b"\x1f\x8b\x08\x00"[..], "gzip"), (b"PK\x03\x04", "zip"), (b"BZh9", "bzip2")] {
        let refused = SessionReader::new(start).map(drop).unwrap_err().to_string();
        assert!(refused.contains(packer), "{refused}");
    }
}
