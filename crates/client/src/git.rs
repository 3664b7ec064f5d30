//! The commit that a repository has checked out, read from its files.
//!
//! Own code of a page instead of `gix`: HEAD, loose and packed refs and linked worktrees are all that is asked for here, and
//! the crate would bring some hundred others to every service that uses the SDK.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The most that is read of `packed-refs`.
const MAX_PACKED: u64 = 16 << 20;

/// The commit of the repository that `path` lies in, if it lies in one and that has a commit.
pub fn commit(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let git = path.ancestors().find_map(|folder| {
        let git = folder.join(".git");
        git.exists().then_some(git)
    })?;
    let git = if git.is_dir() { git } else { linked(&git)? };
    let head = read(&git.join("HEAD"), 4096)?;
    let Some(name) = head.trim().strip_prefix("ref:") else { return hash(&head) };
    let name = name.trim();
    // A ref is a path below the repository and leads nowhere else.
    if name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return None;
    }
    // A linked worktree has HEAD of its own and shares the refs.
    let common = read(&git.join("commondir"), 4096).map(|common| git.join(common.trim()));
    let homes: Vec<PathBuf> = [Some(git), common].into_iter().flatten().collect();
    let loose = homes.iter().find_map(|home| hash(&read(&home.join(name), 4096)?));
    loose.or_else(|| homes.iter().find_map(|home| packed(home, name)))
}

/// Where the file `.git` of a linked worktree or a submodule leads.
fn linked(file: &Path) -> Option<PathBuf> {
    let text = read(file, 4096)?;
    Some(file.parent()?.join(text.trim().strip_prefix("gitdir:")?.trim()))
}

fn packed(home: &Path, name: &str) -> Option<String> {
    let refs = read(&home.join("packed-refs"), MAX_PACKED)?;
    refs.lines().find_map(|line| {
        let (commit, found) = line.split_once(' ')?;
        (found == name).then(|| hash(commit)).flatten()
    })
}

/// SHA-1 or SHA-256 in hex.
fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    let fine = matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
    fine.then(|| text.to_ascii_lowercase())
}

fn read(path: &Path, limit: u64) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(limit).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn put(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_commit_is_found_however_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(commit(root), None);
        put(root, "conf/a.yaml", "");
        put(root, ".git/HEAD", "ref: refs/heads/main\n");
        assert_eq!(commit(root), None);
        put(
            root,
            ".git/packed-refs",
            &format!("# pack-refs\n{B} refs/heads/maintenance\n{A} refs/heads/main\n"),
        );
        assert_eq!(commit(&root.join("conf/a.yaml")).as_deref(), Some(A));
        put(root, ".git/refs/heads/main", &format!("{B}\n"));
        assert_eq!(commit(&root.join("conf")).as_deref(), Some(B));
        put(root, ".git/HEAD", &format!("{A}\n"));
        assert_eq!(commit(root).as_deref(), Some(A));
        // A linked worktree.
        put(root, ".git/worktrees/w/HEAD", "ref: refs/heads/main\n");
        put(root, ".git/worktrees/w/commondir", "../..\n");
        put(root, "w/.git", "gitdir: ../.git/worktrees/w\n");
        assert_eq!(commit(&root.join("w")).as_deref(), Some(B));
    }

    #[test]
    fn a_head_that_leads_elsewhere_gives_nothing() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "secret", A);
        for head in ["ref: ../secret", "ref: /secret", "ref: refs/../../secret", "hunter2", ""] {
            put(folder.path(), ".git/HEAD", head);
            assert_eq!(commit(folder.path()), None, "{head}");
        }
    }
}
