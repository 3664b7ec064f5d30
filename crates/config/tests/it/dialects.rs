//! Documents as programs have them, in fixtures/dialects/cases.txt: what is read of each is there.

use std::fmt::Write as _;

use rig_config::{Limits, Policy, Reading, RedactionKey, Redactor};

/// A document and what is expected of it, as the file has both.
fn cases(text: &str) -> Vec<(String, String)> {
    let mut cases = Vec::new();
    let mut lines = text.lines().skip_while(|line| !line.starts_with("#### ")).peekable();
    while let Some(head) = lines.next() {
        let mut document = String::new();
        for line in lines.by_ref().take_while(|line| *line != "####") {
            document.push_str(line);
            document.push('\n');
        }
        let mut expected = format!("{head}\n");
        while let Some(field) = lines.next_if(|line| !line.starts_with("#### ")) {
            expected.push_str(field);
            expected.push('\n');
        }
        cases.push((document, expected));
    }
    cases
}

#[test]
fn documents_are_read_as_their_programs_read_them() {
    let text = std::fs::read_to_string("../../fixtures/dialects/cases.txt").unwrap();
    let cases = cases(&text);
    assert!(cases.len() > 80, "{}", cases.len());
    for (document, expected) in cases {
        let name = expected.split(' ').nth(1).unwrap();
        let reading = Reading { name: Some(name), ..Reading::default() };
        let doc = reading
            .read(document.as_bytes(), &Limits::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut found = format!("#### {name} {}", doc.format);
        doc.notes.iter().for_each(|note| write!(found, " {}", note.code()).unwrap());
        found.push('\n');
        doc.config.iter().for_each(|(path, value)| writeln!(found, "{path} = {value}").unwrap());
        assert_eq!(found, expected);
    }
}

/// The formats that are read since, with a secret in each place that a reader takes one from.
#[test]
fn secrets_of_every_dialect_are_hidden() {
    let secret = "zqHidden-77";
    let mut leaks = Vec::new();
    for (name, document) in [
        (".npmrc", "//registry.npmjs.org/:_authToken=$S\n//r.example/:_password=$S\n_auth=$S\n"),
        (".pypirc", "[pypi]\nusername = __token__\npassword = $S\n"),
        (
            "pip.conf",
            "[global]\nindex-url = https://ci:$S@pypi.example/simple\nextra-index-url =\n    https://ci:$S@a.example/\n",
        ),
        (".my.cnf", "[client]\nuser=root\npassword=\"$S\"\npassword = $S # c\n"),
        (
            "app.service",
            "[Service]\nEnvironment=DB_PASSWORD=$S\nEnvironment=\"API_TOKEN=$S\" X=1\nExecStart=/bin/x --password $S \\\n  --b\n",
        ),
        (
            "wg0.ini",
            "[Interface]\nPrivateKey = $S\n[Peer]\nPresharedKey = $S\n[Peer]\nPresharedKey = $S # c\n",
        ),
        (
            ".gitconfig",
            "[http]\n\textraHeader = \"Authorization: Bearer $S\"\n[credential \"x\"]\n\tpassword = $S\n\tpassword = \"$S\"\n",
        ),
        (
            "hosts.ini",
            "[web]\nh1 ansible_password=$S ansible_host=192.0.2.1\nh2 ansible_become_pass='$S'\n[web:vars]\nansible_ssh_pass=$S\n",
        ),
        ("inventory", "h1 ansible_password=$S\n"),
        ("krb5.conf", "[realms]\n EX = {\n  password = $S\n  password = $S\n }\n"),
        ("smb.conf", "[global]\n\tldap admin password = $S\n"),
        (
            "supervisord.conf",
            "[inet_http_server]\nusername=a\npassword=$S ; c\n[program:x]\nenvironment=DB_PASSWORD=\"$S\"\n",
        ),
        (".env", "DB_PASSWORD=`$S`\nexport API_TOKEN: $S\nSECRET=\"zq\"Hidden-77\n"),
        ("php.ini", "[PHP]\nmysqli.default_pw = $S\nmysqli.default_password[] = $S\n"),
        ("a.properties", "db.password=$S\ndb.password=$S\n"),
        ("odd.service", "DB_PASSWORD=$S\n"),
        ("credentials.ini", "[default]\naws_secret_access_key = $S\n"),
        (".netrc", "machine a login b password $S\n"),
        ("some-name", "password: $S\nenable secret 0 $S\n"),
        ("x.tofu", "db_password = \"$S\"\n"),
        ("entity.xml", "<!DOCTYPE a [<!ENTITY pw \"$S\">]><a><password>&pw;</password></a>"),
        ("tabs.yaml", "password:\tS\na:\n  <<: {x: 1}\n  <<: {token:\tS}\n"),
    ] {
        let document = document.replace("$S", secret);
        let reading = Reading { name: Some(name), ..Reading::default() };
        let mut doc =
            reading.read(document.as_bytes(), &Limits::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let redactor = Redactor::new(RedactionKey::new("k1", [7; 32]).unwrap(), &Policy::default());
        redactor.redact(&mut doc);
        let shown = format!("{:?}", doc.config);
        if shown.contains(secret) {
            leaks.push(format!("{name}: {shown}"));
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}
