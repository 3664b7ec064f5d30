//! The methods that this crate adds to a [`Figment`].

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::Recorder;

/// Methods for a [`Figment`].
pub trait FigmentExt {
    /// Merges the environment variables whose names begin with `prefix`: `APP_DATABASE__HOST` is `database.host`.
    ///
    /// Unlike figment's own `Env`, each variable is a source of its own, so that a snapshot can name it.
    fn merge_variables(self, prefix: &str) -> Figment;

    /// Begins to record the configuration of a service.
    fn recorded(self, service: &str) -> Recorder;
}

impl FigmentExt for Figment {
    fn merge_variables(mut self, prefix: &str) -> Figment {
        let ours: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.len() > prefix.len() && name.starts_with(prefix))
            .collect();
        for (name, value) in ours {
            let path = name[prefix.len()..].to_lowercase().replace("__", ".");
            self = self.merge(Variable { name, path, value });
        }
        self
    }

    fn recorded(self, service: &str) -> Recorder {
        Recorder::new(self, service)
    }
}

/// One environment variable.
struct Variable {
    name: String,
    path: String,
    value: String,
}

impl Provider for Variable {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("`{}` environment variable", self.name))
            .source(figment::Source::Custom(format!("env:{}", self.name)))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        // Reading as a value cannot fail: what is nothing else is a string.
        let value = match self.value.parse::<Value>() {
            Ok(value) => value,
            Err(never) => match never {},
        };
        let dict = figment::util::nest(&self.path, value).into_dict().unwrap_or_default();
        Ok(Map::from([(Profile::Default, dict)]))
    }
}
