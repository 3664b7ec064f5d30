//! Passwords, which an OpenSSH server takes only with PAM, and devices that end a conversation in their own way: a server in this process.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Response, Session, run_stream};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::router::{left_out, make_key};
use super::{collect, events, hub, own_events};
use rig_testhub::TestHub;

const PASSWORD: &str = "planted Pa55word";

/// The manner in which the device asks for a password and ends its output.
#[derive(Clone, Copy)]
enum Manner {
    /// It takes a password, and tells a status.
    Password,
    /// It asks for a code and for the password in its own words, and tells no status.
    Prompts,
    /// It hangs up in the middle of its output.
    Breaks,
    /// It runs no commands.
    Refuses,
    /// It takes keys only.
    Keys,
}

#[derive(Clone)]
struct Device {
    manner: Manner,
    /// The attempts, without the asking which ways there are.
    tried: Arc<Mutex<Vec<String>>>,
}

impl Device {
    fn ways(&self) -> MethodSet {
        MethodSet::from(match self.manner {
            Manner::Prompts => &[MethodKind::PublicKey, MethodKind::KeyboardInteractive][..],
            Manner::Keys => &[MethodKind::PublicKey],
            _ => &[MethodKind::PublicKey, MethodKind::Password, MethodKind::KeyboardInteractive],
        })
    }

    fn answer(&self, tried: &[&str], right: &[&str]) -> Auth {
        self.tried.lock().unwrap().push(tried.join("|"));
        if tried == right {
            return Auth::Accept;
        }
        Auth::Reject { proceed_with_methods: Some(self.ways()), partial_success: false }
    }
}

impl Handler for Device {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, russh::Error> {
        Ok(Auth::Reject { proceed_with_methods: Some(self.ways()), partial_success: false })
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(self.answer(&[user, password], &["rig", PASSWORD]))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let Some(response) = response else {
            let prompts = vec![("Your name again: ".into(), true), ("Passphrase, please: ".into(), false)];
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: Cow::Owned(prompts),
            });
        };
        let answers: Vec<String> = response.map(|a| String::from_utf8(a.to_vec()).unwrap()).collect();
        let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
        Ok(self.answer(&answers, &["", PASSWORD]))
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if matches!(self.manner, Manner::Refuses) {
            return session.channel_failure(channel);
        }
        session.channel_success(channel)?;
        session.data(channel, [b"! ", command, b"\nhostname r1\n"].concat())?;
        if matches!(self.manner, Manner::Breaks) {
            return Err(russh::Error::Disconnect);
        }
        session.eof(channel)?;
        if matches!(self.manner, Manner::Password) {
            // After the end of the output, as OpenSSH does it too.
            session.exit_status_request(channel, 0)?;
        }
        session.close(channel)
    }
}

/// A device, a hub that knows it as `r1`, and what was tried at the device.
async fn device(manner: Manner, password: &str) -> (TestHub, Arc<Mutex<Vec<String>>>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (host_key, secret) = (folder.path().join("host_key"), folder.path().join("password"));
    make_key(&host_key, &["ed25519"], "");
    std::fs::write(&secret, password).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let device = Device { manner, tried: Arc::default() };
    let tried = device.tried.clone();
    let config = Config {
        keys: vec![russh::keys::load_secret_key(&host_key, None).unwrap()],
        auth_rejection_time: std::time::Duration::ZERO,
        ..Config::default()
    };
    let config = Arc::new(config);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(session) = run_stream(config.clone(), stream, device.clone()).await {
                tokio::spawn(session);
            }
        }
    });
    let settings = format!(
        "[[device]]\nservice = \"r1\"\naddress = \"localhost:{port}\"\nuser = \"rig\"\npassword_file = {secret:?}\nkind = \"cisco\"\n\
         interval = \"9w\"\njitter = \"9w\"\n"
    );
    (hub(&settings).await, tried, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_given_once_and_shows_up_nowhere() {
    if left_out() {
        return;
    }
    let (right, wrong) = (format!("{PASSWORD}\n"), "another Pa55word");
    for (manner, password, status, tried) in [
        (Manner::Password, right.as_str(), 201, format!("rig|{PASSWORD}")),
        (Manner::Password, wrong, 502, format!("rig|{wrong}")),
        (Manner::Prompts, &right, 201, format!("|{PASSWORD}")),
        (Manner::Prompts, wrong, 502, format!("|{wrong}")),
    ] {
        let (hub, seen, _folder) = device(manner, password).await;
        let (got, answer) = collect(&hub).await;
        assert_eq!(got, status, "{answer}");
        assert_eq!(*seen.lock().unwrap(), [tried]);
        let (code, kind) = match status {
            201 => (json!(null), "snapshot.captured"),
            _ => (json!("authentication-failed"), "collect.failed"),
        };
        let told = events(&hub).await;
        assert_eq!((&answer["code"], &told[0]["type"], told.len()), (&code, &json!(kind), 1));
        let all = json!([answer, told, own_events(&hub).await]).to_string();
        assert!(!all.contains("Pa55word"), "{all}");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_breaks_off_is_not_captured() {
    if left_out() {
        return;
    }
    for (manner, code) in [
        (Manner::Breaks, "output-incomplete"),
        (Manner::Refuses, "command-failed"),
        (Manner::Keys, "authentication-failed"),
    ] {
        let (hub, tried, _folder) = device(manner, PASSWORD).await;
        let (status, answer) = collect(&hub).await;
        assert_eq!((status, answer["code"].as_str().unwrap()), (502, code), "{answer}");
        assert_eq!(tried.lock().unwrap().is_empty(), matches!(manner, Manner::Keys));
        assert_eq!(events(&hub).await[0]["type"], "collect.failed");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_never_gets_to_the_point_is_given_up_and_its_connection_cut() {
    for talks in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let talking = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            if talks {
                // Lines that may come before a server says who it is.
                while stream.write_all(b"welcome\r\n").await.is_ok() {
                    tokio::task::yield_now().await;
                }
            } else {
                // It says who it is and then nothing: by now the library has the connection to itself.
                stream.write_all(b"SSH-2.0-Silence\r\n").await.unwrap();
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        });
        let settings = format!(
            "[[device]]\nservice = \"r1\"\naddress = \"127.0.0.1:{port}\"\nuser = \"rig\"\npassword_file = \"/dev/null\"\n\
             kind = \"cisco\"\ninterval = \"9w\"\njitter = \"9w\"\ntimeout = \"1s\"\n"
        );
        let hub = hub(&settings).await;
        let (_, answer) = collect(&hub).await;
        let code = answer["code"].as_str().unwrap();
        assert!(code == "device-timeout" || talks && code == "ssh-failed", "{answer}");
        tokio::time::timeout(std::time::Duration::from_secs(20), talking).await.expect("it goes on").unwrap();
        hub.stop().await;
    }
}
