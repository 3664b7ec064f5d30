//! Fields that are secret because the document says so: `sensitive: true` beside a value, Terraform's states and plans,
//! `NoEcho`, `SecureString`, a Kubernetes Secret.

use std::collections::BTreeSet;

use rig_event::FlatConfig;
use serde_json::Value;

use crate::path::Segment;
use crate::secrets::looks::{is_mode, is_reference};

/// Keys whose `true` says that what stands beside them is a secret.
const FLAGS: &[&str] = &[
    "sensitive",
    "Sensitive",
    "NoEcho",
    "noEcho",
    "masked",
    "isSecret",
    "is_secret",
    "IsSecret",
    "secured",
    "secure",
    "Secure",
    "isSensitive",
    "is_sensitive",
    "IsSensitive",
    "secret",
    "isEncrypted",
    "is_encrypted",
    "encrypted",
    "isPassword",
    "is_password",
    "writeOnly",
    "write_only",
    "writeonly",
    "confidential",
    "hidden",
    "private",
    "no_log",
    "@sensitive",
    "@secure",
    "@secret",
    "@encrypted",
    "@masked",
    "@password",
    "is_secure",
    "isSecure",
    "IsSecure",
    "redact",
    "mask",
    "obfuscate",
];

/// Keys and values that say it as a word: `Type: SecureString`, `format: password`.
const WORDS: &[(&str, &[&str])] = &[
    ("Type", &["SecureString", "Password", "Secret"]),
    (
        "type",
        &[
            "SecureString",
            "secret",
            "Secret",
            "SECRET",
            "secureString",
            "securestring",
            "secureObject",
            "secureobject",
            "encrypted",
            "secure",
            "password",
            "Password",
            "PASSWORD",
            "secret_text",
            "hidden",
        ],
    ),
    ("string_type", &["SecureString"]),
    ("parameter_type", &["SecureString"]),
    ("@type", &["password", "secret", "hidden"]),
    ("@spec", &["password"]),
    ("format", &["password"]),
    ("widget", &["password"]),
    ("x-secret", &["true"]),
    ("visibility", &["secret"]),
];

/// Keys that stand beside such a flag and hold the value.
const VALUES: &[&str] = &[
    "value",
    "Value",
    "values",
    "default",
    "Default",
    "defaultValue",
    "DefaultValue",
    "example",
    "examples",
    "enum",
    "const",
    "content",
    "Content",
    "result",
    "data",
    "raw",
    "current",
    "text",
    "val",
    "#text",
    "@value",
    "@default",
    "secureValue",
    "secure_value",
    "initial",
    "initialValue",
    "string_value",
    "stringValue",
    "plaintext",
];

/// Maps all of whose values are secrets.
const MAPS: &[&str] = &[
    "secureJsonData",
    "secure_json_data",
    "secureSettings",
    "secure_settings",
    "secureJSONData",
    "stringData",
    "secretEnv",
    "secretEnvs",
    "extraSecretEnv",
    "secretEnvVars",
    "secretData",
    "secretStringData",
    "sensitiveEnv",
];

/// Attributes of Terraform's resources that are secret whether the state marks them or not, by type; `*` stands for the rest of a type.
const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("random_password", &["result", "bcrypt_hash"]),
    ("random_string", &["result"]),
    ("random_bytes", &["base64", "hex"]),
    ("aws_api_gateway_api_key", &["value"]),
    ("vault_approle_auth_backend_role_secret_id", &["secret_id", "wrapping_token"]),
    ("helm_release", &["set_sensitive"]),
    ("tls_private_key", &["private_key_pem", "private_key_openssh", "private_key_pem_pkcs8"]),
    ("aws_iam_access_key", &["secret", "ses_smtp_password_v4", "encrypted_secret"]),
    ("aws_secretsmanager_secret_version", &["secret_string", "secret_binary"]),
    ("aws_ssm_parameter", &["value"]),
    ("azurerm_key_vault_secret", &["value"]),
    (
        "azurerm_storage_account",
        &[
            "primary_access_key",
            "secondary_access_key",
            "primary_connection_string",
            "secondary_connection_string",
        ],
    ),
    ("google_service_account_key", &["private_key"]),
    ("google_secret_manager_secret_version", &["secret_data"]),
    ("kubernetes_secret", &["data", "binary_data"]),
    ("kubernetes_secret_v1", &["data", "binary_data"]),
    ("vault_generic_secret", &["data", "data_json"]),
    ("vault_kv_secret", &["data", "data_json"]),
    ("vault_kv_secret_v2", &["data", "data_json"]),
    ("github_actions_secret", &["plaintext_value", "encrypted_value"]),
    ("github_actions_organization_secret", &["plaintext_value", "encrypted_value"]),
    ("gitlab_project_variable", &["value"]),
    ("gitlab_group_variable", &["value"]),
    ("docker_registry_image", &["auth_config"]),
    ("env0_configuration_variable", &["value"]),
    ("tfe_variable", &["value"]),
    ("doppler_secret", &["value"]),
    ("heroku_config", &["sensitive_vars"]),
];

/// Returns the paths of the fields that the document says are secret.
pub(super) fn told(config: &FlatConfig) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    let has_resources =
        config.range("resource.".to_owned()..).next().is_some_and(|(path, _)| path.starts_with("resource."));
    let mut says = Says { config, told: &mut told };
    for (path, value) in config {
        let Some((parent, last)) = split(path) else { continue };
        match value {
            Value::Bool(true) => says.flag(parent, last, path),
            Value::String(text) if matches!(text.as_str(), "true" | "True" | "yes") => {
                says.flag(parent, last, path)
            }
            Value::String(text) => says.word(parent, last, text, path),
            _ => {}
        }
    }
    for (path, value) in config {
        let Some((parent, last)) = split(path) else { continue };
        // RFC 7517 and 7518: the private members of a key.
        let is_jwk = || config.get(&format!("{parent}kty")).is_some_and(Value::is_string);
        let is_member = matches!(last, "d" | "p" | "q" | "dp" | "dq" | "qi" | "k") && value.is_string();
        // Travis and Pulumi write what they encrypted as the value of `secure`, Jenkins and Maven in braces.
        let is_long =
            |least: usize| value.as_str().is_some_and(|text| text.len() >= least && !text.contains(' '));
        let is_encrypted = matches!(last, "secure" | "encrypt" | "secureValue") && is_long(20)
            || value.as_str().is_some_and(is_in_braces)
            || value.as_str().is_some_and(is_mysql_hash)
            || value
                .as_str()
                .is_some_and(|text| text.starts_with("${sensitive(\"") || text.starts_with("sensitive(\""));
        let is_key = matches!(last, "prv" | "tls") && is_long(60);
        if is_member && is_jwk() || is_encrypted || is_key {
            told.insert(path.clone());
        }
    }
    for (kind, names) in ATTRIBUTES.iter().filter(|_| has_resources) {
        let resources = format!("resource.{kind}.");
        for (path, _) in
            config.range(resources.clone()..).take_while(|(path, _)| path.starts_with(&resources))
        {
            let attribute = path[resources.len()..].split_once('.').map_or("", |(_, attribute)| attribute);
            let is_reference = config[path].as_str().is_some_and(is_reference);
            if names.contains(&attribute.split(['.', '[']).next().unwrap_or_default()) && !is_reference {
                told.insert(path.clone());
            }
        }
    }
    // Kustomize writes `name=value`.
    for (path, value) in config {
        let is_literal = path.contains("secretGenerator[") && path.contains(".literals[");
        if is_literal && value.as_str().is_some_and(|text| text.contains('=')) {
            told.insert(path.clone());
        }
    }
    // Packer lists the names of those of its variables.
    for (_, value) in config
        .range("sensitive-variables".to_owned()..)
        .take_while(|(path, _)| path.starts_with("sensitive-variables["))
    {
        let variable = value
            .as_str()
            .map(|name| format!("variables.{name}"))
            .filter(|variable| config.contains_key(variable));
        told.extend(variable);
    }
    for map in MAPS {
        let is_below = |path: &str| {
            path.match_indices(map).any(|(at, _)| {
                let begins = at == 0 || path.as_bytes()[at - 1] == b'.';
                begins && path[at + map.len()..].starts_with('.')
            })
        };
        told.extend(config.keys().filter(|path| is_below(path)).cloned());
    }
    told
}

/// Returns true for `{base64=}`, as Maven and Jenkins write what they encrypted.
fn is_in_braces(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    inner.is_some_and(|inner| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
        inner.len() >= 24 && inner.bytes().all(fine) && inner.bytes().any(|b| b.is_ascii_digit() || b == b'=')
    })
}

/// Returns true for `*` and 40 digits, as MySQL hashes a password.
fn is_mysql_hash(text: &str) -> bool {
    text.len() == 41
        && text.starts_with('*')
        && text.bytes().skip(1).all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
}

/// Splits the last key from a path; nothing if the path ends in an index. The parent ends in what separates them.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.ends_with(']') {
        return None;
    }
    if let Some(quoted) = path.strip_suffix('"') {
        let open = quoted.rfind('"')?;
        return Some((&path[..open], &quoted[open + 1..]));
    }
    Some(path.rfind('.').map_or(("", path), |dot| (&path[..=dot], &path[dot + 1..])))
}

struct Says<'a> {
    config: &'a FlatConfig,
    told: &'a mut BTreeSet<String>,
}

impl Says<'_> {
    /// Adds a field and all below it.
    fn add(&mut self, path: &str) {
        let below = self.config.range(path.to_owned()..).take_while(|(known, _)| known.starts_with(path));
        for (known, value) in below {
            let rest = &known[path.len()..];
            let is_value = value.as_str().is_none_or(|text| !is_reference(text) && !is_mode(text))
                && !value.is_boolean();
            if (rest.is_empty() || rest.starts_with(['.', '['])) && is_value {
                self.told.insert(known.clone());
            }
        }
    }

    fn flag(&mut self, parent: &str, last: &str, path: &str) {
        if FLAGS.contains(&last) {
            VALUES.iter().for_each(|name| self.add(&format!("{parent}{name}")));
            // The variables of a plan stand apart from their declarations.
            if let Some((_, name)) =
                parent.trim_end_matches('.').split_once("configuration.root_module.variables.")
            {
                self.add(&format!("variables.{name}.value"));
            }
        }
        if last == "no_log" && !parent.contains("options.") && !parent.contains("argument_spec") {
            self.task(parent);
        }
        // Terraform's plans have a tree of flags beside a tree of values.
        const TREES: [(&str, &str); 3] =
            [("after_sensitive", "after"), ("before_sensitive", "before"), ("sensitive_values", "values")];
        for (flags, values) in TREES {
            if let Some(at) = path.rfind(flags).filter(|at| *at == 0 || path.as_bytes()[at - 1] == b'.') {
                self.add(&format!("{}{values}{}", &path[..at], &path[at + flags.len()..]));
            }
        }
    }

    /// Adds the arguments of an Ansible task whose output is not to be logged.
    fn task(&mut self, parent: &str) {
        const OTHERS: [&str; 14] = [
            "name",
            "when",
            "register",
            "tags",
            "no_log",
            "become",
            "become_user",
            "loop",
            "with_items",
            "notify",
            "delegate_to",
            "vars",
            "until",
            "retries",
        ];
        let fields: Vec<String> = self
            .config
            .range(parent.to_owned()..)
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(parent))
            .cloned()
            .collect();
        for path in fields {
            let rest = &path[parent.len()..];
            let first = rest.split(['.', '[']).next().unwrap_or_default();
            let said = rest.rsplit('.').next().unwrap_or_default();
            const OPEN: [&str; 16] = [
                "name",
                "state",
                "path",
                "dest",
                "src",
                "mode",
                "owner",
                "group",
                "user",
                "host",
                "port",
                "url",
                "method",
                "login_user",
                "login_host",
                "update_password",
            ];
            if rest.len() > first.len() && !OTHERS.contains(&first) && !OPEN.contains(&said) {
                self.add(&path);
            }
        }
    }

    fn word(&mut self, parent: &str, last: &str, text: &str, path: &str) {
        let says = WORDS.iter().any(|(key, words)| *key == last && words.contains(&text));
        // A Kubernetes Secret has a type too, and its kind says more.
        if says {
            VALUES.iter().for_each(|name| self.add(&format!("{parent}{name}")));
        }
        match last {
            "kind" if matches!(text, "Secret" | "ClusterSecret") => {
                ["data", "stringData"].iter().for_each(|name| self.add(&format!("{parent}{name}")));
            }
            "kind" if text == "SecretList" => {
                for item in 0.. {
                    let item = format!("{parent}items[{item}].");
                    if self
                        .config
                        .range(item.clone()..)
                        .next()
                        .is_none_or(|(path, _)| !path.starts_with(&item))
                    {
                        break;
                    }
                    ["data", "stringData"].iter().for_each(|name| self.add(&format!("{item}{name}")));
                }
            }
            "type" => self.resource(parent, text),
            "value" => self.attribute(path),
            // A secret of a store, as its service answers: the value stands beside its address.
            "id" if text.contains(".vault.azure.net/secrets/") => self.add(&format!("{parent}value")),
            "name" if text.starts_with("projects/") && text.contains("/secrets/") => {
                self.add(&format!("{parent}payload.data"))
            }
            "lease_id" | "request_id"
                if self.config.contains_key(&format!("{parent}lease_duration"))
                    || self.config.contains_key(&format!("{parent}data.metadata.version")) =>
            {
                let data = format!("{parent}data.data");
                let nested =
                    self.config.range(data.clone()..).next().is_some_and(|(path, _)| path.starts_with(&data));
                self.add(if nested { &data } else { &data[..data.len() - 5] });
            }
            _ => {}
        }
    }

    /// Adds what is secret in a resource of this type: in a state `resources[0].instances[0].attributes`, in a plan
    /// `change.after` and `values`.
    fn resource(&mut self, parent: &str, kind: &str) {
        let Some((_, names)) = ATTRIBUTES.iter().find(|(known, _)| *known == kind) else { return };
        for name in *names {
            for place in ["change.after.", "change.before.", "values."] {
                self.add(&format!("{parent}{place}{name}"));
            }
            for instance in 0.. {
                let attributes = format!("{parent}instances[{instance}].");
                let known = self.config.range(attributes.clone()..).next();
                if known.is_none_or(|(path, _)| !path.starts_with(&attributes)) {
                    break;
                }
                self.add(&format!("{attributes}attributes.{name}"));
            }
        }
    }

    /// Adds the attribute that an entry of a state's `sensitive_attributes` leads to: a list of steps.
    fn attribute(&mut self, path: &str) {
        const LIST: &str = ".sensitive_attributes[";
        let Some(at) = path.find(LIST) else { return };
        let Some(end) = path[at + LIST.len()..].find(']').map(|end| at + LIST.len() + end + 1) else {
            return;
        };
        let Some(("[0]", _)) = path[end..].split_once('.') else { return };
        let entry = &path[..end];
        let mut attribute = format!("{}.attributes", &path[..at]);
        for step in 0.. {
            match self.config.get(&format!("{entry}[{step}].value")) {
                Some(Value::String(key)) => Segment::Key(key.clone()).print(&mut attribute),
                Some(Value::Number(index)) => {
                    attribute.push_str(&format!("[{index}]"));
                }
                _ => match self.config.get(&format!("{entry}[{step}].value.value")) {
                    // An index is a typed value.
                    Some(Value::Number(index)) => attribute.push_str(&format!("[{index}]")),
                    Some(Value::String(key)) => Segment::Key(key.clone()).print(&mut attribute),
                    _ => break,
                },
            }
        }
        self.add(&attribute);
    }
}
