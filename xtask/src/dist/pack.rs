//! A release archive: the program, what belongs to it, and what it is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

/// Files of the workspace that go along.
const ALONG: [&str; 3] = ["README.md", "LICENSE", "CHANGELOG.md"];

/// The parts of an archive.
pub struct Parts<'a> {
    /// The program.
    pub program: &'a Path,
    /// The program again, for this machine, which writes completions and man pages.
    pub asked: &'a Path,
    /// The target of the program.
    pub target: &'a str,
    /// The folder that the archive goes to.
    pub out: &'a Path,
}

/// Makes the archive, and a file with its SHA-256 sum beside it. The same parts give the same bytes.
pub fn pack(root: &Path, parts: &Parts) -> Result<PathBuf> {
    let name = format!("rig-{}", parts.target);
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    for file in ALONG {
        files.insert(file.to_owned(), read(&root.join(file))?);
    }
    files.insert("bin/rig".to_owned(), read(parts.program)?);
    fs::create_dir_all(parts.out).with_context(|| format!("cannot make {}", parts.out.display()))?;
    let generated = parts.out.join(format!(".{name}"));
    // Left from a run that broke off.
    let _ = fs::remove_dir_all(&generated);
    let asked = Command::new(parts.asked).arg("generate").arg(&generated).status();
    if !asked.with_context(|| format!("{} cannot be started", parts.asked.display()))?.success() {
        bail!("{} wrote no completions", parts.asked.display());
    }
    for (path, bytes) in below(&generated, "")? {
        files.insert(path, bytes);
    }
    fs::remove_dir_all(&generated)?;
    let packages = packages(root, parts.target)?;
    files.insert("LICENSES.md".to_owned(), licences(&packages).into_bytes());
    files.insert("sbom.cdx.json".to_owned(), serde_json::to_vec_pretty(&bill(root, &packages)?)?);

    let archive = parts.out.join(format!("{name}.tar.gz"));
    let packed = packed(&name, &files)?;
    fs::write(&archive, &packed).with_context(|| format!("cannot write {}", archive.display()))?;
    let sum = format!("{}  {name}.tar.gz\n", hex(&Sha256::digest(&packed)));
    fs::write(parts.out.join(format!("{name}.tar.gz.sha256")), sum)?;
    Ok(archive)
}

/// Reads every file below a folder.
fn below(folder: &Path, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            files.extend(below(&entry.path(), &format!("{path}/"))?);
        } else {
            files.push((path, fs::read(entry.path())?));
        }
    }
    Ok(files)
}

fn packed(name: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    let header = |kind: EntryType, mode: u32, size: usize| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size as u64);
        header
    };
    for (path, bytes) in files {
        let mode = if path.starts_with("bin/") { 0o755 } else { 0o644 };
        let mut header = header(EntryType::Regular, mode, bytes.len());
        archive.append_data(&mut header, format!("{name}/{path}"), bytes.as_slice())?;
    }
    // Its other name, by which it is `rig diff` alone.
    archive.append_link(&mut header(EntryType::Symlink, 0o777, 0), format!("{name}/bin/rig-diff"), "rig")?;
    let mut packed = archive.into_inner()?;
    packed.flush()?;
    Ok(packed.finish()?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A package that is linked into the program.
struct Package {
    id: String,
    name: String,
    version: String,
    licence: String,
    repository: Option<String>,
    is_ours: bool,
    folder: PathBuf,
    uses: BTreeSet<String>,
}

/// Lists what the program links on a target: not what only builds or tests it.
fn packages(root: &Path, target: &str) -> Result<Vec<Package>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target])
        .current_dir(root);
    let out = command.output().context("cargo could not be started")?;
    if !out.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    }
    let metadata: Value = serde_json::from_slice(&out.stdout)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        let linked = list(&node["deps"])
            .into_iter()
            .filter(|dependency| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()));
        uses.insert(text(&node["id"]), linked.map(|dependency| text(&dependency["pkg"])).collect());
    }
    let all = list(&metadata["packages"]);
    let rig = all.iter().find(|package| package["name"] == "rig" && package["source"].is_null());
    let mut next = vec![text(&rig.context("there is no package rig")?["id"])];
    let mut linked = BTreeSet::new();
    while let Some(id) = next.pop() {
        if linked.insert(id.clone()) {
            next.extend(uses.get(&id).into_iter().flatten().cloned());
        }
    }
    let mut packages: Vec<Package> = all
        .iter()
        .filter(|package| linked.contains(&text(&package["id"])))
        .map(|package| Package {
            id: text(&package["id"]),
            name: text(&package["name"]),
            version: text(&package["version"]),
            // Older manifests write a slash for OR.
            licence: text(&package["license"]).replace('/', " OR "),
            repository: package["repository"].as_str().map(str::to_owned),
            is_ours: package["source"].is_null(),
            folder: Path::new(&text(&package["manifest_path"])).parent().unwrap_or(root).to_owned(),
            uses: uses.get(&text(&package["id"])).cloned().unwrap_or_default(),
        })
        .collect();
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(packages)
}

/// Writes a page with the licence of each package, and each licence text once, with the packages that it comes with.
fn licences(packages: &[Package]) -> String {
    let mut page = String::from(
        "# Licences of what is linked into rig\n\n| package | version | licence | source |\n|---|---|---|---|\n",
    );
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages.iter().filter(|package| !package.is_ours) {
        let source = package.repository.as_deref().unwrap_or_default();
        let _ = writeln!(page, "| {} | {} | {} | {source} |", package.name, package.version, package.licence);
        for text in texts_of(&package.folder) {
            texts.entry(text).or_default().push(format!("{} {}", package.name, package.version));
        }
    }
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|a, b| a.1.cmp(&b.1));
    for (text, of) in texts {
        let fence = if text.contains("```") { "~~~~~~" } else { "```" };
        let _ = writeln!(page, "\n## {}\n\n{fence}\n{text}\n{fence}", of.join(", "));
    }
    page
}

/// Reads the licence texts of a package.
fn texts_of(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_text = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        let begins = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
        path.is_file() && begins.iter().any(|begin| name.starts_with(begin))
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_text).collect();
    paths.sort();
    let texts = paths.iter().filter_map(|path| fs::read_to_string(path).ok());
    texts.map(|text| text.replace("\r\n", "\n").trim().to_owned()).collect()
}

/// Makes the bill of materials, CycloneDX 1.5.
fn bill(root: &Path, packages: &[Package]) -> Result<Value> {
    let lock: toml::Table = fs::read_to_string(root.join("Cargo.lock"))?.parse()?;
    let mut sums = BTreeMap::new();
    for locked in lock.get("package").and_then(toml::Value::as_array).into_iter().flatten() {
        let field = |name: &str| locked.get(name).and_then(toml::Value::as_str).map(str::to_owned);
        if let (Some(name), Some(version), Some(sum)) = (field("name"), field("version"), field("checksum")) {
            sums.insert((name, version), sum);
        }
    }
    let purl = |package: &Package| format!("pkg:cargo/{}@{}", package.name, package.version);
    let names: BTreeMap<&str, String> =
        packages.iter().map(|package| (package.id.as_str(), purl(package))).collect();
    let component = |package: &Package| {
        let mut component = json!({
            "type": if package.name == "rig" { "application" } else { "library" },
            "bom-ref": purl(package),
            "name": package.name,
            "version": package.version,
            "purl": purl(package),
            "licenses": [{ "expression": package.licence }],
        });
        if let Some(sum) = sums.get(&(package.name.clone(), package.version.clone())) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
        }
        component
    };
    let rig = packages.iter().find(|package| package.is_ours && package.name == "rig");
    let rig = component(rig.context("there is no package rig")?);
    let others = packages.iter().filter(|package| !(package.is_ours && package.name == "rig"));
    let dependencies = packages.iter().map(|package| {
        let on: Vec<_> = package.uses.iter().filter_map(|id| names.get(id.as_str())).collect();
        json!({ "ref": purl(package), "dependsOn": on })
    });
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": rig },
        "components": others.map(component).collect::<Vec<_>>(),
        "dependencies": dependencies.collect::<Vec<_>>(),
    }))
}
