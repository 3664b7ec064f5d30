//! An nginx in front of a hub, as somebody who knows nothing of event streams would set it up.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::program;
use crate::harness::{Hub, PATIENCE, text};

pub struct Nginx {
    child: Child,
    pub url: String,
}

impl Nginx {
    /// Starts one with its files in `folder`; below `/page/` it serves what lies in `folder/page`.
    pub fn start(folder: &Path, hub: &Hub) -> Nginx {
        std::fs::create_dir_all(folder.join("page")).unwrap();
        // It cannot be told to take any free port. One that was free a moment ago may be taken: then the next.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let file = folder.join("nginx.conf");
            std::fs::write(&file, config(folder, port, hub.address())).unwrap();
            let mut child = Command::new(program("nginx"))
                .args(["-p", text(folder), "-c", text(&file), "-e", "stderr"])
                .stdin(Stdio::null())
                .spawn()
                .unwrap();
            let begun = Instant::now();
            while child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Nginx { child, url: format!("http://127.0.0.1:{port}") };
                }
                assert!(begun.elapsed() < PATIENCE, "nginx does not get ready");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        panic!("nginx does not start");
    }
}

fn config(folder: &Path, port: u16, hub: &str) -> String {
    let folder = text(folder);
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"))
        .collect();
    // While there is no hub, the connection is closed without an answer: an EventSource gives up for good on an error that it
    // is answered, and comes back after a connection that broke.
    format!(
        "daemon off;
        master_process off;
        pid {folder}/nginx.pid;
        error_log stderr crit;
        events {{ worker_connections 64; }}
        http {{
            access_log off;
            {temporary}
            types {{ text/html html; }}
            proxy_buffering on;
            server {{
                listen 127.0.0.1:{port};
                location / {{
                    proxy_pass http://{hub};
                    proxy_set_header Host $http_host;
                    error_page 502 504 = @gone;
                }}
                location @gone {{ return 444; }}
                location /1.1/ {{
                    proxy_pass http://{hub}/;
                    proxy_set_header Host $http_host;
                    proxy_http_version 1.1;
                    proxy_set_header Connection '';
                }}
                location /deaf/ {{
                    proxy_pass http://{hub}/;
                    proxy_set_header Host $http_host;
                    proxy_ignore_headers X-Accel-Buffering;
                }}
                location /page/ {{ root {folder}; }}
            }}
        }}
        "
    )
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Without a master there is one process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
