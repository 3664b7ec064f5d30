//! Metrics of a hub with every component.

use std::collections::BTreeSet;

use rig_testhub::unsealed;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_asks_for_metrics_that_there_are() {
    let page = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/grafana/rig.json")).unwrap();
    let dashboard: Value = serde_json::from_slice(&page).unwrap();
    // Metrics of notifications are there where somebody is notified.
    let endpoint = "allow = [\"127.0.0.1\"]\n[[notify]]\nname = \"ops\"\nurl = \"https://127.0.0.1:1/\"\n";
    let hub = crate::hub(endpoint, unsealed()).await;
    let told = hub.metrics().await;
    let there: BTreeSet<&str> =
        told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let mut asked = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have the id {}", panel["id"]);
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            asked.extend(
                words.filter(|word| word.starts_with("rig_")).map(|w| w.strip_suffix("_bucket").unwrap_or(w)),
            );
        }
    }
    assert!(asked.len() > 10, "{asked:?}");
    let unknown: Vec<_> = asked.difference(&there).collect();
    assert!(unknown.is_empty(), "{unknown:?} is in no answer of /metrics");
    hub.stop().await;
}
