//! Tokens and TLS as a person meets them: the binaries, and curl.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Hub, Running, Said, file, finish, folder, rig, run, text};

/// `rig` with a token in its environment.
fn rig_as(token: &str, args: &[&str]) -> Command {
    let mut command = rig(args);
    command.env("RIG_TOKEN", token);
    command
}

/// Makes a token on the data directory of a hub that does not run.
fn token(data: &Path, scope: &str, stream: &str, name: &str) -> String {
    let place = ["--data", text(data), "--name", name];
    let said = run(0, &[&["token", "new", "--scope", scope, "--stream", stream], &place[..]].concat());
    assert!(said.stdout.starts_with("rig_") && said.stdout.lines().count() == 1, "{said:?}");
    assert!(!said.stderr.contains(said.stdout.trim()), "{said:?}");
    said.stdout.trim().to_owned()
}

#[test]
fn commands_show_their_token_and_never_tell_it() {
    let folder = folder();
    // The folder is made: the token may come before the hub's first start.
    let data = folder.path().join("data");
    let root = token(&data, "admin", "*", "root");
    let hub = Hub::on(&data);
    let document = file(folder.path(), "api.yaml", "port: 8080\n");

    let snapshot = ["snapshot", "api", &document, "--hub", &hub.url];
    let refused = run(2, &snapshot);
    assert!(refused.stderr.contains("RIG_TOKEN") && refused.stderr.contains("[no-token]"), "{refused:?}");
    finish(0, rig_as(&root, &snapshot), b"");
    for args in [
        &["state", &hub.main()][..],
        &["ls", &hub.main()],
        &["tail", &hub.main(), "--no-follow"],
        &["record", &hub.main(), "--until-caught-up", "-o", text(&folder.path().join("s.jsonl"))],
        &["drift", &hub.main()],
        &["blame", &hub.main(), "api", "port"],
        &["diff", &format!("{}@1", hub.main()), &format!("{}@1", hub.main())],
        &["token", "list", "--hub", &hub.url],
    ] {
        let refused = run(2, args);
        assert!(refused.stderr.contains("[no-token]"), "{args:?}: {refused:?}");
        let said = finish(0, rig_as(&root, args), b"");
        assert!(!said.stdout.contains(&root) && !said.stderr.contains(&root), "{said:?}");
    }
    let kept = file(folder.path(), "token", format!("{root}\n"));
    let mut by_file = rig(&["state", &hub.main()]);
    by_file.env("RIG_TOKEN_FILE", &kept);
    finish(0, by_file, b"");
    let other_end = if root.ends_with('f') { 'e' } else { 'f' };
    for bad in [
        format!("{}{other_end}", &root[..root.len() - 1]),
        format!("{root} x"),
        "hunter2-hunter2\n2".to_owned(),
    ] {
        let said = finish(2, rig_as(&bad, &["state", &hub.main()]), b"");
        assert!(!said.stderr.contains(&bad) && !said.stderr.contains("hunter2"), "{said:?}");
    }
    let elsewhere = finish(2, rig_as(&root, &["state", "http://192.0.2.1:7070/main"]), b"");
    assert!(elsewhere.stderr.contains("https://") && !elsewhere.stderr.contains(&root), "{elsewhere:?}");

    let made = ["token", "new", "--scope", "read,write", "--stream", "ci-*", "--expires", "12h", "--json"];
    let made = finish(0, rig_as(&root, &[&made[..], &["--hub", &hub.url]].concat()), b"").json();
    let (bot, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    let refused = finish(2, rig_as(bot, &snapshot), b"");
    assert!(refused.stderr.contains("[other-stream]"), "{refused:?}");
    let listed = finish(0, rig_as(&root, &["token", "list", "--hub", &hub.url]), b"");
    assert!(listed.stdout.contains(id) && !listed.stdout.contains(bot), "{listed:?}");
    finish(0, rig_as(&root, &["token", "revoke", id, "--hub", &hub.url]), b"");
    let refused = finish(2, rig_as(bot, &snapshot), b"");
    assert!(refused.stderr.contains("[revoked-token]"), "{refused:?}");

    let own = format!("{}/_hub", hub.url);
    let told = finish(0, rig_as(&root, &["ls", &own, "--types", "audit.*"]), b"");
    assert!(told.stdout.contains("audit.token.issued") && told.stdout.contains("by root"), "{told:?}");
    assert!(!told.stdout.contains(bot), "{told:?}");
}

#[test]
fn the_first_token_may_be_made_while_the_hub_runs() {
    let hub = Hub::in_memory();
    let place = ["--hub", hub.url.as_str()];
    let said = run(2, &[&["token", "new", "--scope", "read", "--stream", "*"], &place[..]].concat());
    assert!(said.stderr.contains("[first-token]"), "{said:?}");
    let said = run(0, &[&["token", "new", "--scope", "admin", "--stream", "*"], &place[..]].concat());
    let token = said.stdout.trim();
    run(2, &["state", &hub.main()]);
    finish(0, rig_as(token, &["state", &hub.main()]), b"");
}

#[test]
fn a_hub_listens_for_others_only_as_it_should() {
    let folder = folder();
    let beyond = |more: &[&str]| -> Vec<String> {
        let args = [&["hub", "--listen", "0.0.0.0:0", "--data", text(folder.path())], more].concat();
        args.iter().map(|arg| (*arg).to_owned()).collect()
    };
    let refused = |more: &[&str]| -> Said {
        let args = beyond(more);
        run(2, &args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let said = refused(&[]);
    assert!(
        said.stderr.contains("without tokens") && said.stderr.contains("--insecure-no-tokens"),
        "{said:?}"
    );
    assert!(refused(&["--insecure-no-tls"]).stderr.contains("without tokens"));
    let said = refused(&["--insecure-no-tokens"]);
    assert!(said.stderr.contains("without TLS") && said.stderr.contains("--insecure-no-tls"), "{said:?}");
    let said = refused(&["--tls-cert", "x.pem"]);
    assert!(said.stderr.contains("key"), "{said:?}");

    let starts = |more: &[&str]| {
        let args = beyond(more);
        let running = Running::start(rig(&args.iter().map(String::as_str).collect::<Vec<_>>()));
        let url = running.line();
        running.signal("TERM");
        assert_eq!(running.wait(), 0);
        url
    };
    assert!(starts(&["--insecure-no-tokens", "--insecure-no-tls"]).starts_with("http://0.0.0.0:"));
    token(folder.path(), "admin", "*", "root");
    assert!(refused(&[]).stderr.contains("without TLS"));
    assert!(starts(&["--insecure-no-tls"]).starts_with("http://0.0.0.0:"));
    assert!(starts(&["--tls-self-signed"]).starts_with("https://0.0.0.0:"));

    let session = file(folder.path(), "s.jsonl", "");
    let said = run(2, &["serve", &session, "--listen", "0.0.0.0:0"]);
    assert!(!said.stderr.is_empty());
}

/// A hub with a certificate of its own, and its address.
fn with_tls(data: &Path, more: &[&str]) -> (Running, String) {
    let args = [&["hub", "--listen", "127.0.0.1:0", "--data", text(data)], more].concat();
    let running = Running::start(rig(&args));
    let url = running.line();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    (running, url)
}

fn curl(args: &[&str]) -> Said {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"]).args(args);
    finish(None, command, b"")
}

#[test]
fn commands_and_curl_speak_tls() {
    let folder = folder();
    let root = token(folder.path(), "admin", "*", "root");
    let (hub, url) = with_tls(folder.path(), &["--tls-self-signed"]);
    let ca = folder.path().join("keys/tls-cert.pem");
    let main = format!("{url}/main");
    let trusting = |args: &[&str]| {
        let mut command = rig_as(&root, args);
        command.env("RIG_CA", &ca);
        command
    };
    let said = finish(2, rig_as(&root, &["state", &main]), b"");
    assert!(said.stderr.contains("certificate") && said.stderr.contains("RIG_CA"), "{said:?}");
    let document = file(folder.path(), "api.yaml", "port: 8080\n");
    finish(0, rig_as(&root, &["snapshot", "api", &document, "--hub", &url, "--ca", text(&ca)]), b"");
    let state = finish(0, trusting(&["state", &main, "--json"]), b"");
    assert_eq!(state.json()["services"]["api"]["config"]["port"], 8080);
    let tail = Running::start(trusting(&["tail", &main, "--from", "1", "--json"]));
    assert!(tail.line().contains("snapshot.captured"));
    let sent = ["--cacert", text(&ca), "--oauth2-bearer", &root, "--data", r#"{"type":"shop.sold"}"#];
    let said = curl(&[&sent[..], &[&format!("{url}/v1/streams/main/events")]].concat());
    assert!(said.stdout.contains("\"actor\":\"root\""), "{said:?}");
    let live = std::iter::repeat_with(|| tail.line()).find(|line| line.contains("shop.sold"));
    assert!(live.unwrap().contains("\"actor\":\"root\""));

    assert_ne!(curl(&[&format!("{url}/healthz")]).code, 0, "nobody vouches for the certificate");
    let plain = url.replace("https://", "http://");
    assert_ne!(curl(&[&format!("{plain}/healthz")]).stdout, "ok\n");
    let old = curl(&["--cacert", text(&ca), "--tls-max", "1.1", &format!("{url}/healthz")]);
    assert_ne!(old.code, 0, "{old:?}");
    hub.signal("TERM");
    assert_eq!(hub.wait(), 0);

    let (hub, url) = with_tls(folder.path(), &["--tls-self-signed"]);
    let said = curl(&["--cacert", text(&ca), &format!("{url}/healthz")]);
    assert_eq!(said.stdout, "ok\n", "the certificate is the one it was");
    hub.kill();
}

#[test]
fn a_new_certificate_is_taken_up_while_the_hub_runs() {
    let (first, second) = (folder(), folder());
    let pair = |data: &Path| {
        let (hub, _) = with_tls(data, &["--tls-self-signed"]);
        hub.kill();
        ["keys/tls-cert.pem", "keys/tls-key.pem"].map(|name| std::fs::read(data.join(name)).unwrap())
    };
    let (old, new) = (pair(first.path()), pair(second.path()));
    let served = folder();
    let (cert, key) = (file(served.path(), "cert.pem", &old[0]), file(served.path(), "key.pem", &old[1]));
    let data = folder();
    let (hub, url) = with_tls(data.path(), &["--tls-cert", &cert, "--tls-key", &key]);
    let health = format!("{url}/healthz");
    let trusts = |ca: &Path| curl(&["--cacert", text(ca), &health]).stdout == "ok\n";
    let (old_ca, new_ca) = (first.path().join("keys/tls-cert.pem"), second.path().join("keys/tls-cert.pem"));
    assert!(trusts(&old_ca) && !trusts(&new_ca));

    std::fs::write(&cert, "rubbish").unwrap();
    hub.signal("HUP");
    assert!(trusts(&old_ca), "what cannot be used is not used");
    std::fs::write(&key, &new[1]).unwrap();
    std::fs::write(&cert, &new[0]).unwrap();
    hub.signal("HUP");
    assert!((0..200).any(|_| trusts(&new_ca)), "the new one is not taken up");
    assert!(!trusts(&old_ca));
    hub.signal("TERM");
    assert_eq!(hub.wait(), 0);
}

#[test]
fn no_secret_of_a_hub_is_told_by_it() {
    let folder = folder();
    let root = token(folder.path(), "admin", "*", "root");
    let (hub, url) = with_tls(folder.path(), &["--tls-self-signed"]);
    let ca = folder.path().join("keys/tls-cert.pem");
    let ask = |args: &[&str]| curl(&[&["--cacert", text(&ca)], args].concat()).stdout;
    let ticket =
        ask(&["--oauth2-bearer", &root, "--request", "POST", &format!("{url}/v1/streams/main/tickets")]);
    let ticket: Value = serde_json::from_str(&ticket).unwrap();
    let ticket = ticket["ticket"].as_str().unwrap().to_owned();
    let replayed = format!("{url}/v1/streams/main/events?from=1&ticket={ticket}");
    ask(&[&replayed]);
    assert!(ask(&[&replayed]).contains("bad-ticket"));
    ask(&["--oauth2-bearer", "rig_wrong_hunter2hunter2", &format!("{url}/v1/streams")]);
    hub.signal("TERM");
    assert_eq!(hub.wait(), 0);
    for found in crate::harness::files(folder.path()) {
        let content = std::fs::read(&found).unwrap();
        for secret in [&root[17..], &ticket[5..], "hunter2"] {
            let at = content.windows(secret.len()).position(|window| window == secret.as_bytes());
            assert_eq!(at, None, "{}", found.display());
        }
    }
}
