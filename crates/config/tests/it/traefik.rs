//! 120 versions of one Helm chart's values, in the order they were written.

use std::path::PathBuf;

use rig_config::{Document, FlatConfig, Format, Limits, Policy, RedactionKey, Redactor};
use rig_config::{apply, apply_hunks, config_digest, diff, parse, text_diff};

/// The versions as text, oldest first; none where the data is not there.
fn versions() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/traefik-values");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is not there", folder.display());
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

fn read(text: &str, format: Format) -> Document {
    parse(text.as_bytes(), format, &Limits::default()).unwrap()
}

#[test]
fn every_version_reads_as_another_parser_reads_it() {
    let configs: Vec<FlatConfig> = versions().iter().map(|text| read(text, Format::Yaml).config).collect();
    let (Some(first), Some(last)) = (configs.first(), configs.last()) else { return };
    // Counted with PyYAML.
    assert_eq!((configs.len(), first.len(), last.len()), (120, 317, 609));
    assert_eq!(configs.iter().map(FlatConfig::len).sum::<usize>(), 56_355);
    assert_eq!(first["image.registry"], "docker.io");
    assert_eq!(first["image.tag"], serde_json::Value::Null);
    assert_eq!(first["commonLabels"], serde_json::json!({}));
    assert_eq!(first["deployment.replicas"], 1);
}

#[test]
fn the_diffs_lead_from_the_first_version_to_the_last() {
    let policy = Policy::default();
    let redactor = Redactor::new(RedactionKey::new("k1", [1; 32]).unwrap(), &policy);
    let mut state = FlatConfig::new();
    let mut text = String::new();
    for version in versions() {
        let mut doc = read(&version, Format::Yaml);
        redactor.redact(&mut doc);
        assert_eq!(redactor.redact(&mut doc), 0);
        let diff = diff(&state, &doc.config, &policy);
        apply(&mut state, &diff.changes).unwrap();
        assert_eq!(config_digest(&state), config_digest(&doc.config));
        let read_back: FlatConfig = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        assert_eq!(read_back, state);
        text = apply_hunks(&text, &text_diff(&text, &version).hunks).unwrap();
        assert_eq!(text, version);
    }
}
