//! What the libraries tell: on standard error as text or JSON, and as traces to a collector where rig was built for that.

use anyhow::Result;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::output;

/// How the log on standard error is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people
    #[default]
    Text,
    /// A JSON object a line
    Json,
}

impl LogFormat {
    /// Tells something that is no event of a library.
    pub fn note(self, text: &str) {
        match self {
            LogFormat::Text => output::note(text),
            LogFormat::Json => tracing::info!("{text}"),
        }
    }
}

/// Sends what is told where it belongs; when it goes, what is not sent yet is sent.
pub struct Telling {
    #[cfg(feature = "otlp")]
    _traces: Option<otlp::Traces>,
}

/// Begins to tell where `RIG_LOG` is set, for commands that say nothing otherwise; as JSON with `RIG_LOG_FORMAT=json`.
///
/// # Errors
/// As [`begin`].
pub fn begin_if_asked() -> Result<Option<Telling>> {
    let said = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let format = match said("RIG_LOG_FORMAT").as_deref() {
        Some("json") => LogFormat::Json,
        _ => LogFormat::Text,
    };
    said("RIG_LOG").map(|_| begin(format)).transpose()
}

/// Begins to tell. `RIG_LOG` says what goes to standard error; traces go to `RIG_OTLP_ENDPOINT`, if that is set.
///
/// # Errors
/// When there is an endpoint that cannot be used, or this rig was built without the feature `otlp`.
pub fn begin(format: LogFormat) -> Result<Telling> {
    let filter = EnvFilter::builder()
        .with_env_var("RIG_LOG")
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(output::is_coloured(&std::io::stderr())).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let told = tracing_subscriber::registry().with(lines.with_filter(filter));
    let endpoint = std::env::var("RIG_OTLP_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty());
    // Somebody else's subscriber is as good.
    #[cfg(feature = "otlp")]
    {
        let (layer, traces) = endpoint.map(|endpoint| otlp::begin(&endpoint)).transpose()?.unzip();
        let _ = told.with(layer).try_init();
        Ok(Telling { _traces: traces })
    }
    #[cfg(not(feature = "otlp"))]
    {
        if endpoint.is_some() {
            anyhow::bail!("RIG_OTLP_ENDPOINT is set, and this rig was built without `--features otlp`");
        }
        let _ = told.try_init();
        Ok(Telling {})
    }
}

#[cfg(feature = "otlp")]
mod otlp {
    //! Traces over OTLP (HTTP, protobuf).

    use std::time::Duration;

    use anyhow::{Context as _, Result};
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::Subscriber;
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::registry::LookupSpan;

    /// How long the end waits for a collector.
    const LAST: Duration = Duration::from_secs(5);

    /// The way to the collector.
    pub(super) struct Traces(SdkTracerProvider);

    pub(super) fn begin<S>(endpoint: &str) -> Result<(impl Layer<S> + use<S>, Traces)>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let address = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let exporter = SpanExporter::builder().with_http().with_endpoint(address).build();
        let exporter = exporter
            .context("RIG_OTLP_ENDPOINT is no address of a collector, such as http://127.0.0.1:4318")?;
        let resource = Resource::builder().with_service_name("rig").build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("rig"));
        // Not those of the exporter's own client.
        let own = Targets::new().with_target("rig", LevelFilter::INFO);
        Ok((layer.with_filter(own), Traces(provider)))
    }

    impl Drop for Traces {
        fn drop(&mut self) {
            if let Err(error) = self.0.shutdown_with_timeout(LAST) {
                tracing::warn!(%error, "the last traces could not be sent");
            }
        }
    }
}
