//! Where a field came from, and whether everything from there is secret.

use crate::secrets::names::{Sense, sense};

/// Returns true if the source holds secrets: an environment variable whose name says so, a file in a folder
/// for secrets, a store made for them.
///
/// Sources are named as provenance names them: `env:APP_DB_PASSWORD`, `file:secrets/db.yaml` (a line may follow:
/// `file:a.yaml:12`), `default`, or a URL of a store.
pub(super) fn is_secret_source(source: &str) -> bool {
    let (scheme, rest) = source.split_once(':').unwrap_or(("", source));
    match scheme.to_ascii_lowercase().as_str() {
        "env" | "environment" => sense(rest) == Sense::Secret,
        "vault" | "secret" | "secrets" | "keyring" | "keychain" | "sops" | "awssm" | "aws-sm" | "gcpsm"
        | "azurekv" | "secretsmanager" | "secretmanager" | "keyvault" | "onepassword" | "op" | "bao"
        | "openbao" | "doppler" => true,
        _ => is_secret_file(if scheme == "file" { rest } else { source }),
    }
}

/// Returns true if the file holds secrets, by a folder it is in or by its name.
fn is_secret_file(path: &str) -> bool {
    const FOLDERS: [&str; 8] =
        ["secrets", "secret", ".secrets", ".secret", "credentials", ".ssh", ".aws", ".gnupg"];
    const NAMES: [&str; 12] = [
        "secret",
        "secrets",
        "credentials",
        "credential",
        ".pgpass",
        ".netrc",
        "_netrc",
        ".npmrc",
        ".pypirc",
        ".htpasswd",
        "id_rsa",
        "id_ed25519",
    ];
    let steps: Vec<String> = path.split(['/', '\\']).map(str::to_ascii_lowercase).collect();
    let Some((file, folders)) = steps.split_last() else { return false };
    // A line number may follow.
    let file = file.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(':');
    let stem = file.trim_start_matches('.').split('.').next().unwrap_or(file);
    let stem = stem.rsplit(['-', '_']).next().unwrap_or(stem);
    folders.iter().any(|folder| FOLDERS.contains(&folder.as_str()))
        || NAMES.contains(&file)
        || NAMES.contains(&stem)
        || file.split('.').skip(1).any(|part| matches!(part, "secret" | "secrets"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_secrets_are_known() {
        for source in [
            "env:APP_DB_PASSWORD",
            "env:GITHUB_TOKEN",
            "file:secrets/db.yaml",
            "file:/run/secrets/db",
            "file:config/secrets.yaml:12",
            "file:app-secrets.json",
            "file:values.secret.yaml",
            "vault:kv/data/api",
            "file:/home/a/.aws/credentials",
            "/run/secrets/x",
        ] {
            assert!(is_secret_source(source), "{source}");
        }
        for source in [
            "env:APP_PORT",
            "env:TOKEN_TTL",
            "file:config.yaml",
            "file:config/base.toml:3",
            "default",
            "file:secretary.yaml",
            "flag:--port",
            "file:docs/tokens.md",
            "",
        ] {
            assert!(!is_secret_source(source), "{source}");
        }
    }
}
