//! Packs the files of `web/` for the program: their list, their gzip, and a hash of all of them that is in their addresses.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../web");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut names = Vec::new();
    for folder in ["", "js", "js/pages"] {
        let place = root.join(folder);
        println!("cargo::rerun-if-changed={}", place.display());
        for entry in std::fs::read_dir(&place)? {
            let path = entry?.path();
            let is_served =
                path.extension().is_some_and(|ext| ["html", "css", "js", "svg"].iter().any(|e| ext == *e));
            if let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| is_served) {
                names.push(if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") });
            }
        }
    }
    names.sort();
    let mut hash = Sha256::new();
    let mut code = "&[\n".to_owned();
    for (number, name) in names.iter().enumerate() {
        let path = root.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        let mut content = std::fs::read(&path)?;
        if name.ends_with(".js") {
            content = without_comments(&String::from_utf8(content)?).into_bytes();
        }
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(&content);
        let packed = out.join(format!("{number}.gz"));
        pack(&content, &packed)?;
        writeln!(code, "    ({name:?}, include_bytes!({:?})),", packed.display().to_string())?;
    }
    code.push(']');
    std::fs::write(out.join("files.rs"), code)?;
    let hash: String = hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    println!("cargo::rustc-env=RIG_WEB_HASH={hash}");
    Ok(())
}

/// Returns a script without the comments that have lines of their own. The lines stay, so that an error names the line of the source.
fn without_comments(script: &str) -> String {
    let mut inside = false;
    let lines = script.lines().map(|line| {
        let text = line.trim_start();
        let begins = text.starts_with("/**") || text.starts_with("/*");
        let is_comment = inside || begins || text.starts_with("//");
        if inside || begins {
            inside = !line.contains("*/");
        }
        // Code may follow on the line: `/** @type {any} */ (x)`.
        let is_whole = !text.contains("*/") || text.trim_end().ends_with("*/");
        if is_comment && is_whole { "" } else { line }
    });
    lines.fold(String::new(), |all, line| all + line + "\n")
}

fn pack(content: &[u8], to: &Path) -> Result<()> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(content)?;
    Ok(std::fs::write(to, packed.finish()?)?)
}
