//! A service that starts with a typed, layered configuration and leaves a snapshot of it behind.
//!
//! ```text
//! SHOP_DATABASE__HOST=db1 cargo run -p rig-client --example service -- crates/client/examples/shop.yaml /somewhere/shop
//! ```
//!
//! The first run writes `/somewhere/shop/TIMESTAMP.json`. Copy it to `/somewhere/shop/baseline.json`, and the next run says
//! what has changed since.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::Path;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format as _, Serialized, Yaml};
use rig_client::{FigmentExt as _, OnDrift, Outcome, Secret, Writer};
use serde::{Deserialize, Serialize};

/// What the service is configured with.
#[derive(Debug, Serialize, Deserialize)]
struct Settings {
    listen: String,
    workers: u16,
    database: Database,
}

#[derive(Debug, Serialize, Deserialize)]
struct Database {
    host: String,
    port: u16,
    /// In no snapshot, log or `{:?}`.
    password: Secret<String>,
}

fn main() -> Result<(), rig_client::Error> {
    let mut args = std::env::args().skip(1);
    let (Some(config), Some(folder)) = (args.next(), args.next()) else {
        println!("usage: service CONFIG.yaml FOLDER");
        return Ok(());
    };
    let baseline = format!("{folder}/baseline.json");

    let mut recorder = Figment::new()
        .merge(Serialized::default("listen", "127.0.0.1:8080"))
        .merge(Serialized::default("workers", 4))
        .merge(Yaml::file(&config))
        .merge_variables("SHOP_")
        .recorded("shop")
        .with_snapshot_writer(Writer::new(&format!("{folder}/{{{{timestamp}}}}.json"))?.keep(10));
    if Path::new(&baseline).exists() {
        let report = |drifted: &rig_client::Drifted| {
            for change in &drifted.changes {
                println!("not as approved: {}", change.path);
            }
        };
        recorder = recorder.with_baseline_snapshot(&baseline, OnDrift::Call(Box::new(report)));
    }
    let (settings, recording) = recorder.extract::<Settings>()?;

    // The service is up already; the snapshot is written meanwhile.
    println!("listening on {}, database {:?}", settings.listen, settings.database);

    // At the end, whatever is still under way gets some time.
    for outcome in recording.flush(Duration::from_secs(30))? {
        match outcome {
            Outcome::Written(written) => println!("wrote {}", written.name),
            Outcome::Failed(error) => println!("{error}"),
            _ => {}
        }
    }
    Ok(())
}
