//! The walls between the crates, read from `cargo metadata`: who may depend on whom.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// For each walled crate, the rig crates that it may name. What is not listed here may name any that do not name it.
const ALLOWED: &[(&str, &[&str])] = &[
    ("rig-event", &[]),
    ("rig-outbound", &["rig-event"]),
    ("rig-config", &["rig-event"]),
    ("rig-recorder", &["rig-event"]),
    ("rig-process", &[]),
    ("rig-replay", &["rig-event", "rig-config"]),
    ("rig-results", &["rig-event"]),
    ("rig-hub", &["rig-event", "rig-outbound", "rig-config", "rig-recorder", "rig-replay"]),
    ("rig-ingest", &["rig-event", "rig-outbound", "rig-config", "rig-recorder", "rig-hub"]),
    ("rig-notify", &["rig-event", "rig-outbound", "rig-config", "rig-recorder", "rig-replay", "rig-hub"]),
    ("rig-query", &["rig-event", "rig-config", "rig-recorder", "rig-replay", "rig-hub"]),
    ("rig-web", &["rig-hub"]),
    ("rig-client", &["rig-event", "rig-config"]),
    ("rig-tui", &["rig-event", "rig-config", "rig-replay"]),
    // A hub for tests.
    ("rig-testhub", &["rig-recorder", "rig-hub"]),
];

/// The crates without I/O, and what must not come near them, not even through others.
const PURE: &[&str] = &["rig-event", "rig-config", "rig-replay", "rig-results"];
const IMPURE: &[&str] = &["tokio", "hyper", "sled", "rig-recorder"];

/// Every edge that breaks a wall, in words.
pub fn broken(metadata: &[u8]) -> Result<Vec<String>> {
    let metadata: Value = serde_json::from_slice(metadata).context("cargo metadata is not JSON")?;
    let graph = Graph::read(&metadata).context("cargo metadata has not the fields of format 1")?;
    let mut broken = Vec::new();
    for (krate, allowed) in ALLOWED {
        for dependency in graph.direct(krate) {
            if (dependency == "rig" || dependency.starts_with("rig-")) && !allowed.contains(&dependency) {
                broken.push(format!("{krate} must not depend on {dependency}"));
            }
        }
    }
    for krate in PURE {
        let reached = graph.reached(krate);
        for impure in IMPURE.iter().filter(|impure| reached.contains(**impure)) {
            broken.push(format!("{krate} is pure and must not reach {impure}"));
        }
    }
    Ok(broken)
}

/// Package name to the names of what its library links; dependencies of tests and build scripts are not walled.
struct Graph<'a>(BTreeMap<&'a str, Vec<&'a str>>);

impl<'a> Graph<'a> {
    fn read(metadata: &'a Value) -> Option<Self> {
        let mut names = BTreeMap::new();
        for package in metadata["packages"].as_array()? {
            names.insert(package["id"].as_str()?, package["name"].as_str()?);
        }
        let mut graph = BTreeMap::<_, Vec<_>>::new();
        for node in metadata["resolve"]["nodes"].as_array()? {
            let links = graph.entry(*names.get(node["id"].as_str()?)?).or_default();
            for dependency in node["deps"].as_array()? {
                let normal = dependency["dep_kinds"].as_array()?.iter().any(|kind| kind["kind"].is_null());
                if normal {
                    links.push(*names.get(dependency["pkg"].as_str()?)?);
                }
            }
        }
        Some(Graph(graph))
    }

    fn direct(&self, krate: &str) -> impl Iterator<Item = &'a str> {
        self.0.get(krate).into_iter().flatten().copied()
    }

    fn reached(&self, krate: &str) -> BTreeSet<&'a str> {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&str> = self.direct(krate).collect();
        while let Some(name) = next.pop() {
            if seen.insert(name) {
                next.extend(self.direct(name));
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(edges: &[(&str, &str, &str)]) -> Vec<u8> {
        let names: BTreeSet<&str> = edges.iter().flat_map(|(from, to, _)| [*from, *to]).collect();
        let packages: Vec<String> =
            names.iter().map(|name| format!(r#"{{"id":"{name}","name":"{name}"}}"#)).collect();
        let nodes: Vec<String> = edges
            .iter()
            .map(|(from, to, kind)| {
                format!(r#"{{"id":"{from}","deps":[{{"pkg":"{to}","dep_kinds":[{{"kind":{kind}}}]}}]}}"#)
            })
            .collect();
        format!(r#"{{"packages":[{}],"resolve":{{"nodes":[{}]}}}}"#, packages.join(","), nodes.join(","))
            .into_bytes()
    }

    #[test]
    fn an_upward_edge_is_named() {
        let broken = broken(&metadata(&[("rig-event", "rig-config", "null")])).unwrap();
        assert_eq!(broken, ["rig-event must not depend on rig-config"]);
    }

    #[test]
    fn tokio_is_found_through_others() {
        let edges =
            [("rig-replay", "rig-config", "null"), ("rig-config", "a", "null"), ("a", "tokio", "null")];
        let broken = broken(&metadata(&edges)).unwrap();
        assert_eq!(broken.len(), 2, "{broken:?}");
        assert!(broken.iter().all(|line| line.ends_with("tokio")));
    }

    #[test]
    fn what_only_tests_need_is_free() {
        assert!(broken(&metadata(&[("rig-replay", "tokio", "\"dev\"")])).unwrap().is_empty());
        assert!(broken(b"{}").is_err());
    }
}
