//! A device: a real OpenSSH server that runs one command, whatever it is asked for.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

/// Returns true if tests with real servers are left out.
pub(super) fn left_out() -> bool {
    let out = std::env::var_os("RIG_NO_SERVICES").is_some();
    if out {
        println!("left out: RIG_NO_SERVICES is set");
    }
    out
}

/// A program of OpenSSH.
#[track_caller]
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed; `cargo xtask services` installs it"))
}

/// Makes a key pair at `path` and `path`.pub.
pub(super) fn make_key(path: &Path, kind: &[&str], passphrase: &str) {
    let _ = fs::remove_file(path);
    let mut command = Command::new(program("ssh-keygen"));
    command.args(["-q", "-N", passphrase, "-f"]).arg(path).arg("-t").args(kind);
    assert!(command.status().unwrap().success());
}

/// Returns the user that the tests run as: nobody else can be logged in.
fn user() -> String {
    let out = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// The server. Each connection has an sshd of its own on a socket that the test accepts, so no port is guessed.
pub(super) struct Router {
    pub(super) folder: tempfile::TempDir,
    pub(super) port: u16,
    pub(super) user: String,
    /// Something for each connection that was accepted.
    pub(super) connected: Mutex<mpsc::Receiver<()>>,
    down: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
    accepting: Option<JoinHandle<Vec<Child>>>,
}

impl Router {
    pub(super) fn start() -> Router {
        Router::with("")
    }

    /// One with more lines in its configuration.
    pub(super) fn with(more: &str) -> Router {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        make_key(&at("host_key"), &["ed25519"], "");
        make_key(&at("id"), &["ed25519"], "");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (down, stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (connected, accepted) = mpsc::channel();
        let accepting = {
            let (down, stopped, config, sshd) =
                (down.clone(), stopped.clone(), at("sshd_config"), program("sshd"));
            std::thread::spawn(move || {
                let mut children = Vec::new();
                for stream in listener.incoming().map_while(Result::ok) {
                    if stopped.load(SeqCst) {
                        break;
                    }
                    let _ = connected.send(());
                    if down.load(SeqCst) {
                        continue;
                    }
                    let socket = OwnedFd::from(stream);
                    let mut sshd = Command::new(&sshd);
                    sshd.args(["-i", "-e", "-f"])
                        .arg(&config)
                        .stdin(socket.try_clone().unwrap())
                        .stdout(socket);
                    children.push(sshd.stderr(Stdio::null()).spawn().unwrap());
                }
                children
            })
        };
        let router = Router {
            port,
            user: user(),
            connected: Mutex::new(accepted),
            down,
            stopped,
            accepting: Some(accepting),
            folder,
        };
        router.configure(more);
        router.authorize("id");
        router.says("/ip dns\nset servers=1.1.1.1\n");
        router
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The treatment of new connections.
    pub(super) fn configure(&self, more: &str) {
        // Started as root, sshd wants this folder, which a service would have.
        if self.user == "root" {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let mut config = format!(
            "UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n\
             AuthorizedKeysFile {}\n",
            self.path("authorized_keys")
        );
        if !more.contains("HostKey ") {
            writeln!(config, "HostKey {}", self.path("host_key")).unwrap();
        }
        config.push_str(&more.replace("FOLDER", &self.folder.path().display().to_string()));
        fs::write(self.path("sshd_config"), config).unwrap();
    }

    /// Lets one key in, for one command.
    pub(super) fn authorize(&self, key: &str) {
        let public = fs::read_to_string(self.path(&format!("{key}.pub"))).unwrap();
        let line = format!("command=\"sh {}\",restrict {public}", self.path("command"));
        fs::write(self.path("authorized_keys"), line).unwrap();
    }

    /// The command prints this.
    pub(super) fn says(&self, text: &str) {
        fs::write(self.path("config"), text).unwrap();
        self.does(&format!("cat {}", self.path("config")));
    }

    /// The command does this.
    pub(super) fn does(&self, script: &str) {
        let new = self.path("command.new");
        fs::write(&new, script).unwrap();
        fs::rename(new, self.path("command")).unwrap();
    }

    /// Hangs up on whoever calls, or no longer.
    pub(super) fn is_down(&self, down: bool) {
        self.down.store(down, SeqCst);
    }

    /// Gives it another host key.
    pub(super) fn change_host_key(&self) {
        make_key(&self.folder.path().join("host_key"), &["ed25519"], "");
    }

    /// The fingerprint of its host key, as OpenSSH tells it.
    pub(super) fn fingerprint(&self) -> String {
        let out = Command::new(program("ssh-keygen"))
            .args(["-l", "-f", &self.path("host_key.pub")])
            .output()
            .unwrap();
        String::from_utf8(out.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
    }

    /// `hub.toml` with this device as service `r1`, which is asked only by hand.
    pub(super) fn device(&self, more: &str) -> String {
        let key = if more.contains("key_file") {
            String::new()
        } else {
            format!("key_file = {:?}\n", self.path("id"))
        };
        format!(
            "[[device]]\nservice = \"r1\"\naddress = \"127.0.0.1:{}\"\nuser = {:?}\nkind = \"routeros\"\ninterval = \"9w\"\njitter = \"9w\"\n{key}{more}\n",
            self.port, self.user
        )
    }

    /// Waits until somebody connects.
    pub(super) async fn is_called(self: &Arc<Self>) {
        let router = self.clone();
        let waiting =
            move || router.connected.lock().unwrap().recv_timeout(std::time::Duration::from_secs(20));
        tokio::task::spawn_blocking(waiting).await.unwrap().expect("nobody connects");
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.stopped.store(true, SeqCst);
        let _ = std::net::TcpStream::connect(("127.0.0.1", self.port));
        let children = self.accepting.take().and_then(|thread| thread.join().ok());
        for mut child in children.into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
