//! A real nats-server with JetStream, which can be killed and started again.

use std::path::Path;
use std::process::Command;

use async_nats::jetstream::{self, Context};

use crate::harness::{Running, text};
use crate::interop::program;

pub const STREAM: &str = "DEVICE_EVENTS";

pub struct Server {
    running: Running,
    pub port: u16,
}

impl Server {
    pub fn start(store: &Path) -> Server {
        Server::at(store, -1, &[])
    }

    /// On that port; -1 takes a free one.
    pub fn at(store: &Path, port: i32, more: &[&str]) -> Server {
        let mut command = Command::new(program("nats-server"));
        command.args([
            "-a",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-js",
            "-sd",
            text(store),
            "-l",
            "/dev/stdout",
        ]);
        command.args(more);
        let running = Running::start(command);
        let mut port = None;
        loop {
            let line = running.line();
            if let Some((_, address)) = line.split_once("Listening for client connections on 127.0.0.1:") {
                port = Some(address.trim().parse().unwrap());
            }
            if line.contains("Server is ready") {
                return Server { running, port: port.unwrap() };
            }
        }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends it as a power cut would.
    pub fn kill(self) {
        self.running.kill();
    }

    pub async fn context(&self) -> Context {
        jetstream::new(async_nats::connect(self.url()).await.unwrap())
    }
}

/// Makes the stream that snapshots come by.
pub async fn make_stream(context: &Context, subjects: &[&str]) {
    let subjects = subjects.iter().map(|subject| (*subject).to_owned()).collect();
    let config = jetstream::stream::Config { name: STREAM.to_owned(), subjects, ..Default::default() };
    context.create_stream(config).await.unwrap();
}
