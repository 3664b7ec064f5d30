//! The servers that are measured, as children: the hub, and nginx with nchan.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::machine;

/// Longest wait for a server to be ready or to end.
const PATIENCE: Duration = Duration::from_secs(300);

/// A server that runs.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// How long it took from its start until it was ready.
    pub ready_after: Duration,
    child: Child,
}

impl Server {
    /// Starts a hub on a free port and waits for its first line.
    pub fn hub(rig: &Path, data: &Path) -> Result<Server> {
        Server::hub_with(rig, data, &[])
    }

    /// As [`Server::hub`], with options that name files.
    pub fn hub_with(rig: &Path, data: &Path, more: &[(&str, &Path)]) -> Result<Server> {
        let mut command = Command::new(rig);
        command.args(["hub", "--listen", "127.0.0.1:0", "--data"]).arg(data).env("RIG_LOG", "warn");
        for (option, path) in more {
            command.arg(option).arg(path);
        }
        let begun = Instant::now();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", rig.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the hub has no output")?;
        BufReader::new(stdout).read_line(&mut line).context("the hub's first line")?;
        let ready_after = begun.elapsed();
        let address = line.trim().strip_prefix("http://").and_then(|address| address.parse().ok());
        match address {
            Some(address) => Ok(Server { address, ready_after, child }),
            None => {
                let _ = child.kill();
                bail!("the hub did not come up; `rig hub --data {}` tells why", data.display())
            }
        }
    }

    /// Starts nginx in `folder` with a `server` block of its own and waits until it answers.
    pub fn nginx(nginx: &Nginx, folder: &Path, server: &str) -> Result<Server> {
        // A port that was free a moment ago; loopback only.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        fs::create_dir_all(folder)?;
        let config = folder.join("nginx.conf");
        fs::write(&config, nginx.config(port, server))?;
        let begun = Instant::now();
        let mut child = Command::new(&nginx.program)
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start nginx")?;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("nginx ended with {status}; {} tells why", folder.join("error.log").display());
            }
            ensure!(begun.elapsed() < PATIENCE, "nginx does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Server { address, ready_after: begun.elapsed(), child })
    }

    /// The processes that do the work.
    pub fn pids(&self) -> Vec<u32> {
        machine::family(self.child.id())
    }

    /// Ends it in an orderly way and waits for that.
    pub fn stop(mut self) -> Result<Duration> {
        let begun = Instant::now();
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            kill_process(pid, Signal::TERM).context("cannot stop the server")?;
        }
        while self.child.try_wait()?.is_none() {
            ensure!(begun.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(begun.elapsed())
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("cannot kill the server")?;
        self.child.wait().context("the killed server")?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` and `kill` there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// nginx with the module nchan.
pub struct Nginx {
    program: PathBuf,
    module: PathBuf,
}

const INSTALL: &str = "apt-get install --yes --no-install-recommends nginx libnginx-mod-nchan";

impl Nginx {
    /// Finds it; as root on Debian it is installed where it is missing. Else says how to get it.
    pub fn find() -> Result<Nginx> {
        if let Some(found) = Self::look() {
            return Ok(found);
        }
        let root = rustix::process::geteuid().is_root();
        if root && Path::new("/etc/debian_version").exists() {
            println!("nginx with nchan is missing; {INSTALL}");
            let script = format!("apt-get update --quiet && {INSTALL} --quiet");
            Command::new("sh")
                .args(["-c", &script])
                .env("DEBIAN_FRONTEND", "noninteractive")
                .stdout(Stdio::null())
                .status()?;
        }
        Self::look().with_context(|| format!("nginx with nchan is missing; on Debian: sudo {INSTALL}"))
    }

    fn look() -> Option<Nginx> {
        let programs = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
        let modules =
            ["/usr/lib/nginx/modules/ngx_nchan_module.so", "/usr/lib64/nginx/modules/ngx_nchan_module.so"];
        let here = |paths: &[&str]| paths.iter().map(PathBuf::from).find(|path| path.is_file());
        Some(Nginx { program: here(&programs)?, module: here(&modules)? })
    }

    fn config(&self, port: u16, server: &str) -> String {
        let files = machine::open_files();
        let connections = files.saturating_sub(200);
        // One worker: nchan is measured as it is quickest on few cores, without passing messages between workers.
        format!(
            "load_module {};
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  nchan_shared_memory_size 256M;
  keepalive_requests 100000000;
  tcp_nodelay on;
  sendfile on;
  server {{
    listen 127.0.0.1:{port} backlog=8192;
    {server}
  }}
}}
",
            self.module.display()
        )
    }
}
