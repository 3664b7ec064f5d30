//! Documents in files that `[[watch]]` of `hub.toml` names: captured at the start and on every change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rig_config::{Encoding, Format};
use rig_event::{ServiceName, StreamName};
use rig_hub::{Component, Core, Document, Problem, SNAPSHOT};
use serde::Deserialize;
use tokio::task::{JoinSet, block_in_place};

use crate::files::{Pattern, Watch};

/// The actor of events.
const ACTOR: &str = "watch";

/// The pause before a file that could not be kept through no fault of its own is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// The quiet time before a file is read, unless `debounce` says otherwise.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// The number of files that are remembered before those that are gone are forgotten.
const MAX_TOLD: usize = 50_000;

/// A `[[watch]]` that was checked.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The service of a file. `{{name}}`, `{{stem}}` and `{{folder}}` in it stand for the file's name, its name without the
    /// extension, and the name of its folder.
    pub service: String,
    /// The stream; created if it does not exist.
    pub stream: StreamName,
    /// The files.
    pub paths: Vec<Pattern>,
    /// Their format; by default, name and content tell it.
    pub format: Option<String>,
    /// Their encoding; by default, it is found.
    pub encoding: Option<Encoding>,
    /// The quiet time before a file is read: 10 ms to a minute.
    pub debounce: Duration,
    /// True if links may lead out of the folder of their pattern.
    pub links: bool,
}

/// A `[[watch]]` as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    service: String,
    #[serde(default = "StreamName::main")]
    stream: StreamName,
    paths: Vec<String>,
    format: Option<String>,
    encoding: Option<String>,
    debounce: Option<String>,
    #[serde(default)]
    links: bool,
}

impl TryFrom<Entry> for Watched {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Watched, String> {
        let which = format!("[[watch]] `{}`", entry.service.escape_debug());
        Watched::checked(entry).map_err(|why| format!("{which}: {why}"))
    }
}

impl Watched {
    fn checked(entry: Entry) -> Result<Watched, String> {
        let Entry { service, stream, paths, format, encoding, debounce, links } = entry;
        let paths = paths.iter().map(|path| Pattern::new(path).map_err(|e| e.to_string()));
        let paths = paths.collect::<Result<Vec<_>, _>>()?;
        let one = service_of(&service, Path::new("folder/file.ending"))?;
        let is_one = matches!(paths.as_slice(), [path] if path.literal().is_some());
        if paths.is_empty() {
            return Err("name the files: paths = [\"/etc/app/*.yaml\"]".to_owned());
        }
        if !is_one && one.as_str() == service {
            return Err("these can be several files, and each is a service: put {{name}}, {{stem}} or {{folder}} into `service`".to_owned());
        }
        if stream.is_internal() {
            return Err("streams whose names begin with `_` belong to the hub".to_owned());
        }
        if let Some(format) = format.as_deref().filter(|&format| format != SNAPSHOT) {
            format.parse::<Format>().map_err(|e| e.to_string())?;
        }
        let encoding =
            encoding.map(|name| name.parse::<Encoding>()).transpose().map_err(|e| e.to_string())?;
        let debounce = debounce.map_or(Some(DEBOUNCE), |text| {
            let number = |unit| text.strip_suffix(unit)?.parse::<u64>().ok();
            let span = number("ms").or_else(|| number("s").map(|s| s.saturating_mul(1_000)));
            span.map(Duration::from_millis).filter(|span| (10..=60_000).contains(&span.as_millis()))
        });
        let debounce = debounce.ok_or("`debounce` is 10ms to 60s, written so")?;
        Ok(Watched { service, stream, paths, format, encoding, debounce, links })
    }
}

/// Returns the service that a file belongs to.
fn service_of(template: &str, path: &Path) -> Result<ServiceName, String> {
    let name = |part: Option<&std::ffi::OsStr>| {
        part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let variables = [
        ("{{name}}", name(path.file_name())),
        ("{{stem}}", name(path.file_stem())),
        ("{{folder}}", name(path.parent().and_then(Path::file_name))),
    ];
    // From the left, so that variables in a file's name are not replaced.
    let (mut rest, mut service) = (template, String::new());
    while let Some(at) = rest.find("{{") {
        service.push_str(&rest[..at]);
        rest = &rest[at..];
        let known =
            variables.iter().find_map(|(variable, value)| Some((rest.strip_prefix(variable)?, value)));
        let (behind, value) = known.ok_or("`service` knows {{name}}, {{stem}} and {{folder}}")?;
        service.push_str(value);
        rest = behind;
    }
    service.push_str(rest);
    service.parse().map_err(|e: rig_event::Error| e.to_string())
}

/// Returns the component that captures these files.
pub fn component(entries: Vec<Watched>) -> Component {
    Component::new(ACTOR).task(|core| async move {
        let mut running = JoinSet::new();
        for watched in entries {
            running.spawn(run(core.clone(), watched));
        }
        while running.join_next().await.is_some() {}
    })
}

async fn run(core: Core, watched: Watched) {
    let limit = core.limits().bytes + 1;
    let mut watch = match Watch::new(watched.paths.clone(), watched.debounce, limit, watched.links) {
        Ok(watch) => watch,
        Err(e) => return tracing::error!(service = watched.service, error = %e, "files cannot be watched"),
    };
    let mut told = Told::default();
    loop {
        let paths = block_in_place(|| {
            told.forget();
            watch.scan()
        });
        for why in watch.warnings() {
            tracing::warn!(service = watched.service, why, "files are watched only in part");
        }
        for path in paths {
            if core.is_stopping() {
                return;
            }
            capture(&core, &watched, &mut watch, &mut told, &path).await;
        }
        tokio::select! {
            goes_on = watch.changed() => if !goes_on {
                return tracing::error!(service = watched.service, "the system stopped reporting changes of files");
            },
            () = core.stopping() => return,
        }
    }
}

/// Warnings that were given, and the file of each service. Files that are gone are forgotten once in a while.
#[derive(Default)]
struct Told {
    troubles: BTreeSet<(PathBuf, String)>,
    files: BTreeMap<ServiceName, PathBuf>,
}

impl Told {
    fn forget(&mut self) {
        if self.files.len() + self.troubles.len() > MAX_TOLD {
            self.files.retain(|_, path| path.exists());
            self.troubles.retain(|(path, _)| path.exists());
        }
    }

    /// Logs a warning, once until the file is fine again.
    fn warn(&mut self, path: &Path, code: &str, why: &str) {
        if self.troubles.insert((path.to_owned(), code.to_owned())) {
            tracing::warn!(?path, code, why, "a file was not captured");
        }
    }
}

async fn capture(core: &Core, watched: &Watched, watch: &mut Watch, told: &mut Told, path: &Path) {
    let service = match service_of(&watched.service, path) {
        Ok(service) if core.redactor().is_secret_name(service.as_str()) => {
            return told.warn(path, "secret-in-name", "the service's name looks like a secret");
        }
        Ok(service) => service,
        Err(why) => return told.warn(path, "bad-service-name", &why),
    };
    let other = told.files.get(&service).filter(|other| *other != path && other.exists());
    if let Some(other) = other {
        let why = format!("{} is service {service} already", other.display());
        return told.warn(path, "two-files", &why);
    }
    told.files.insert(service.clone(), path.to_owned());
    let captured = async {
        let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let _budget = core.reserve(bytes.min(core.limits().bytes)).await?;
        let content = match block_in_place(|| watch.read(path)) {
            Some(Ok(content)) => content,
            Some(Err(why)) => {
                told.warn(path, "unreadable", &why);
                return Ok(false);
            }
            None => return Ok(false),
        };
        let stream = core.streams().get_or_make(&watched.stream).await?;
        let document = Document {
            format: watched.format.clone(),
            name: rig_config::name_of(path),
            encoding: watched.encoding.map(|encoding| encoding.to_string()),
            actor: Some(ACTOR.to_owned()),
            meta: BTreeMap::from([("file".to_owned(), path.to_string_lossy().into_owned())]),
            // After a restart most files are unchanged.
            quiet: true,
            ..Document::new(service, content)
        };
        core.capture(&stream, document).await.map(|_| true)
    };
    match captured.await {
        Ok(false) => {}
        Ok(true) => told.troubles.retain(|(known, _)| known != path),
        Err(problem) => {
            told.warn(path, problem.code(), problem.detail());
            if is_passing(&problem) {
                watch.again(path, RETRY);
            }
        }
    }
}

/// Returns true if the same document may be captured a moment later.
fn is_passing(problem: &Problem) -> bool {
    problem.status().is_server_error()
}

#[cfg(test)]
mod tests {
    use super::{Entry, Watched};

    fn parse(service: &str, rest: &str) -> Result<Watched, String> {
        let entry: Entry = toml::from_str(&format!("service = \"{service}\"\n{rest}"))
            .map_err(|e| e.message().to_owned())?;
        entry.try_into()
    }

    #[test]
    fn an_entry_is_checked() {
        for (service, rest) in [
            ("api", "paths = ['/etc/api.yaml']"),
            (
                "edge/{{stem}}",
                "paths = ['/etc/*.yaml', '/x']\nformat = 'yaml'\ndebounce = '2s'\nstream = 'edge'",
            ),
            ("{{folder}}.{{name}}", "paths = ['/etc/**/x']\nformat = 'snapshot'\ndebounce = '50ms'"),
        ] {
            parse(service, rest).unwrap();
        }
        for (service, rest, word) in [
            ("api", "paths = ['/etc/*.yaml']", "{{stem}}"),
            ("api", "paths = ['/a', '/b']", "{{stem}}"),
            ("api", "paths = []", "name the files"),
            ("api", "paths = ['/etc/**']", "**"),
            ("{{user}}", "paths = ['/a']", "{{name}}"),
            ("", "paths = ['/a']", "service"),
            ("api", "paths = ['/a']\nformat = 'doc'", "doc"),
            ("api", "paths = ['/a']\nencoding = 'ebcdic'", "utf-16le"),
            ("api", "paths = ['/a']\nstream = '_hub'", "belong to the hub"),
            ("api", "paths = ['/a']\ndebounce = '1h'", "debounce"),
            ("api", "paths = ['/a']\nevery = '1h'", "every"),
        ] {
            let error = parse(service, rest).unwrap_err();
            assert!(error.contains(word), "{rest}: {error}");
        }
    }

    #[test]
    fn what_a_name_brings_in_is_no_variable() {
        let service = super::service_of("a/{{name}}/{{stem}}", std::path::Path::new("/x/{{stem}}.y"));
        assert!(service.is_err() || service.is_ok_and(|s| s.as_str().contains("{{stem}}.y")));
    }
}
