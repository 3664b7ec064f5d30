//! Secrets leave, everything else stays, and redacting twice changes nothing.

use proptest::prelude::*;

use serde_json::json;

use super::*;
use crate::{Format, Limits, parse};

fn redactor(policy: &str) -> Redactor {
    Redactor::new(RedactionKey::new("k1", [7; 32]).unwrap(), &Policy::parse(policy).unwrap())
}

fn document(text: &str, format: Format) -> Document {
    parse(text.as_bytes(), format, &Limits::default()).unwrap()
}

/// Redacts lines in which every secret is written with `hunter2` in it, and checks that all of them leave, that
/// nothing else does, and that a second time finds nothing.
fn check_text(lines: &[&str]) {
    for text in lines {
        let (redacted, count) = redactor("").redact_text(text);
        assert_eq!(count > 0, text.contains("hunter2"), "{text}\n{redacted}");
        assert!(!redacted.contains("hunter2"), "{text}\n{redacted}");
        assert!(!text.contains("KEEP") || redacted.contains("KEEP"), "{text}\n{redacted}");
        assert_eq!(redactor("").redact_text(&redacted), (redacted.clone(), 0), "{text}");
    }
}

#[test]
fn lines_of_routeros() {
    check_text(&[
        "add name=KEEP password=hunter2 service=KEEP",
        "add name=vpn password=\"hunter2 with \\\"blanks\\\" hunter2\" service=KEEP",
        "set wpa2-pre-shared-key=hunter2 KEEP=1",
        "add name=x password=\\\n    hunter2 comment=KEEP",
        "add name=x password=\"abc\\\n    hunter2\" comment=KEEP",
        "add address=10.0.0.1 secret=hunter2 \\\n    timeout=KEEP",
        "/snmp community\nset [ find default=yes ] name=hunter2 addresses=KEEP",
        "/ip firewall filter\nadd chain=input action=accept comment=\"KEEP\"",
        "add private-key=\"hunter2=\" public-key=\"KEEP\"",
        "set password-policy=KEEP",
    ]);
}

#[test]
fn lines_of_cisco_like_devices() {
    check_text(&[
        "enable secret 5 $1$hunter2",
        "username KEEP privilege 15 password 7 hunter2",
        "username KEEP secret \"hunter2 hunter2\" KEEP",
        "snmp-server community hunter2 RO",
        "snmp-server user KEEP grp v3 auth sha hunter2 priv aes 128 hunter2",
        " key-string 7 hunter2",
        " key 7 hunter2",
        "tacacs-server host 10.0.0.1 key hunter2",
        "crypto isakmp key hunter2 address 10.0.0.1",
        "ip ospf message-digest-key 1 md5 hunter2",
        "neighbor 10.0.0.2 password hunter2",
        "service password-encryption",
        "interface KEEP\n description uplink",
    ]);
}

#[test]
fn lines_of_other_files() {
    check_text(&[
        "DB_PASSWORD=hunter2",
        "export API_KEY='hunter2 x' # KEEP",
        "password: hunter2",
        "  \"password\": \"hunter2\", \"user\": \"KEEP\"",
        "password: |\n  hunter2\n  hunter2\nother: KEEP",
        "auth_pass hunter2;",
        "proxy_set_header Authorization \"Basic hunter2\";",
        "Authorization: Bearer hunter2",
        "proxy_pass http://KEEP:8080;",
        "url = postgres://u:hunter2@KEEP/x",
        "redis://:hunter2@KEEP",
        "amqp://u:hunter2@KEEP:1,amqp://u:hunter2@KEEP:2",
        "requirepass hunter2",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----\nKEEP",
        "-----BEGIN CERTIFICATE-----\nKEEP\n-----END CERTIFICATE-----",
        "token_ttl=3600\nPASSWORD_FILE=/KEEP\nshow_password=false",
        "password=",
        "password=***redacted***",
        "mysql -u KEEP -phunter2 db",
        "/usr/bin/mysqldump -p'hunter2 hunter2' KEEP",
        "mkdir -pKEEP",
        "curl -u KEEP:hunter2 https://h",
        "curl --user \"KEEP:hunter2 hunter2\" https://h",
        "sshpass -p hunter2 ssh KEEP",
        "<user>KEEP</user><password>hunter2</password><x>KEEP</x>",
        "<passwordFile>KEEP</passwordFile>",
        "password\nhunter2\nKEEP",
        "db:\n  password:\n    hunter2\n  host: KEEP",
        "secrets:\n  KEEP",
        "get https://KEEP/c?sv=1&sig=hunter2%3D&se=KEEP",
        "get https://KEEP/?token=hunter2",
        "KEEP:hunter2@tcp(h:3306)/KEEP",
        "url https://hunter2hunter2hunter2@KEEP/x",
        "{\"auths\": {\"KEEP\": {\"auth\": \"hunter2\"}}}",
        "cmd --password=hunter2 --user KEEP",
        "cmd --user KEEP --password hunter2",
    ]);
}

/// Redacts a YAML document and names the fields that were redacted as a whole.
fn redacted(policy: &str, text: &str) -> Vec<String> {
    let mut doc = document(text, Format::Yaml);
    let count = redactor(policy).redact(&mut doc);
    let partly =
        doc.config.values().filter_map(Value::as_str).filter(|text| text.contains("<redacted:")).count();
    let hidden: Vec<_> = doc
        .config
        .iter()
        .filter(|(_, value)| marker_key(value).is_some())
        .map(|(path, _)| path.clone())
        .collect();
    assert_eq!(count, hidden.len() + partly, "{:?}", doc.config);
    assert_eq!(redactor(policy).redact(&mut doc), 0, "{:?}", doc.config);
    hidden
}

#[test]
fn fields_are_secret_by_name_with_sense() {
    let secrets = "db: {password: x, port: 5, password_file: /x}\nPIN_CODE: 1\nauth: {token: 51234, token_ttl: 60}\n\
                   apiKeys: {a: x, name: y}\npassword: {value: x}\nshow_password: true\npwd: ''\nsecretName: x\n\
                   max_tokens: 5\nsecret: ~\nlist: {tokens: [x1y2z3w4]}\n";
    assert_eq!(
        redacted("", secrets),
        ["apiKeys.a", "auth.token", "db.password", "list.tokens[0]", "password.value"]
    );
}

#[test]
fn names_split_into_steps_are_joined() {
    let secrets = "api: {key: X}\nprivate: {key: X}\naws: {access: {key: X}, secret.key: X}\nencryption: {key: X}\n\
                   jwt: {key: X, signing: {key: X}}\nencrypt: {key: X}\nauth: {keys: {a: X}}\n";
    let hidden = redacted("", secrets);
    assert_eq!(hidden.len(), secrets.matches('X').count(), "{hidden:?}");
    let kept = "api: {keyboard: x, monkey: x}\nkeys: {total: x, a: x}\nkey: value\nmap: {key: value}\npublic: {key: x}\n\
                ssl: {key: /etc/x.pem}\nsecretRef: {name: x, key: x}\nsecretKeyRef: {name: x, key: x}\n\
                list: [{key: HOME, value: x}]\njwt: {issuer: x, claim: x}\ncookie: {sameSite: lax}\n";
    assert!(redacted("", kept).is_empty(), "{:?}", redacted("", kept));
    let mut doc = document(
        "api.key=X\naws.secret.key=X\nstripe.secret.key=X\njwt.signing.key=X\nencrypt.key=X\n\
         secret.main=X\nsecrets.nested.deep=X\ntoken.a.b=X\npasswordList.a=X\nsecret.name=KEEP\napi.keyboard=KEEP",
        Format::Properties,
    );
    assert_eq!(redactor("").redact(&mut doc), 9, "{:?}", doc.config);
}

#[test]
fn what_stands_below_a_secret_is_one() {
    let secrets = "password: {x: X, y: [X, {z: X}]}\nsecrets: {nested: {deep: X}}\ntoken: {a: {b: X}, ttl: 5, url: x}\n\
                   passwordList: {a: X}\nPasswort: X\nbearer: X\notp_seed: X\nrandom_seed: x\n\
                   auths: {index.docker.io: {auth: X}}\nsecret: {name: x, labels: {app: x}, defaultMode: 5}\n\
                   list: [{key: DB_TOKEN, val: X}, {Name: DB_TOKEN, Value: X}]\nauth: none\n";
    let hidden = redacted("", secrets);
    assert_eq!(hidden.len(), secrets.matches('X').count(), "{hidden:?}");
}

#[test]
fn fields_are_secret_by_what_stands_beside_them() {
    let kubernetes = "env:\n- {name: DB_PASSWORD, value: x}\n- {name: HOME, value: y}\nargs: [--token, abc, --v, '2']\n\
                      ---\nkind: Secret\ndata: {a.b: eA==}\n";
    let hidden = ["[0].args[1]", "[0].env[0].value", "[1].data.\"a.b\""];
    assert_eq!(redacted("", kubernetes), hidden);
}

#[test]
fn fields_are_secret_by_policy_and_by_looks() {
    let policy = "[[secret]]\npath = \"**.Private*\"\n";
    let text = "a: {private_stuff: {x: 1, on: true}}\nurl: postgres://u:p@h/x\naws: AKIAIOSFODNN7EXAMPLE\n\
                pem: |\n  -----BEGIN PRIVATE KEY-----\n  MII\n  -----END PRIVATE KEY-----\nhost: KEEP\n";
    assert_eq!(redacted(policy, text), ["a.private_stuff.on", "a.private_stuff.x", "aws", "pem"]);
}

#[test]
fn a_rule_may_ask_for_source_and_value() {
    let policy = "[[secret]]\nsource = \"env:APP_*\"\n[[secret]]\nvalue = \"acme_*\"\npath = \"a.**\"\n";
    let redactor = redactor(policy);
    let hidden = |path, text, source| redactor.redact_field(path, &mut Value::from(text), source);
    assert!(
        hidden("x", "1", Some("env:APP_PORT"))
            && !hidden("x", "1", Some("env:PORT"))
            && !hidden("x", "1", None)
    );
    assert!(hidden("a.b", "acme_1", None) && !hidden("b", "acme_1", None) && !hidden("a.b", "other", None));
    assert!(
        hidden("x", "hunter2", Some("env:DB_PASSWORD")) && hidden("x", "1", Some("file:secrets/db.yaml"))
    );
    assert!(Policy::parse("[[secret]]\n").is_err());
}

#[test]
fn the_host_of_a_url_stays() {
    let mut value = json!("postgres://u:hunter2@KEEP:5432/x");
    assert!(redactor("").redact_value("url", &mut value));
    let text = value.as_str().unwrap();
    assert!(text.starts_with("postgres://u:<redacted:hmac:k1:") && text.ends_with(">@KEEP:5432/x"), "{text}");
}

#[test]
fn both_markers_are_known_in_one_place() {
    for marker in [
        json!({"redacted": "hmac:k1:0123456789abcdef"}),
        json!("***redacted***"),
        json!("<redacted:hmac:k1:0123456789abcdef>"),
    ] {
        assert!(is_redacted(&marker), "{marker}");
    }
    for other in
        [json!({"redacted": "no"}), json!("redacted"), json!(null), json!({"redacted": true, "x": 1})]
    {
        assert!(!is_redacted(&other), "{other}");
    }
}

#[test]
fn a_rule_may_name_an_element_by_its_key() {
    let policy = "[[secret]]\npath = \"env[name=LICENCE].value\"\n";
    let text = "env: [{name: HOME, value: a}, {name: LICENCE, value: b, hint: c}]";
    assert_eq!(redacted(policy, text), ["env[1].value"]);
}

#[test]
fn a_string_with_a_secret_in_it_is_kept_but_for_the_secret() {
    let redactor = redactor("");
    let mut value = json!("host=KEEP password=hunter2");
    assert!(redactor.redact_value("dsn", &mut value));
    let text = value.as_str().unwrap();
    assert!(text.starts_with("host=KEEP password=<redacted:hmac:k1:"), "{text}");
    assert!(!redactor.redact_value("dsn", &mut value));
    let mut file = json!("user KEEP\npassword hunter2\n");
    assert!(redactor.redact_value("files", &mut file));
    assert!(!file.as_str().unwrap().contains("hunter2"));
    assert!(!redactor.redact_value("description", &mut json!("how the password for X is reset")));
}

#[test]
fn what_is_not_flat_is_redacted_within() {
    let mut value = json!({"password": "x", "list": [{"token": "y"}, "KEEP"], "none": []});
    assert!(redactor("").redact_value("a", &mut value));
    assert!(marker_key(&value["password"]).is_some() && marker_key(&value["list"][0]["token"]).is_some());
    assert_eq!((&value["list"][1], &value["none"]), (&json!("KEEP"), &json!([])));
    assert!(!redactor("").redact_value("a", &mut value));
}

#[test]
fn digests_and_fingerprints_are_keyed_and_apart() {
    let redactor = redactor("");
    let digest = redactor.digest("x");
    let fingerprint = redactor.fingerprint(b"x");
    assert_eq!((digest.len(), fingerprint.len()), ("hmac:k1:".len() + 64, "hmac:k1:".len() + 16));
    assert!(!digest.contains(fingerprint.rsplit(':').next().unwrap()));
    let other = Redactor::new(RedactionKey::new("k1", [8; 32]).unwrap(), &Policy::default());
    assert_ne!(other.fingerprint(b"x"), fingerprint);
    assert!(!format!("{redactor:?}").contains("7, 7"));
    assert_eq!(RedactionKey::new("K 1", [0; 32]).unwrap_err().code(), "bad-key-id");
}

#[test]
fn a_document_is_digested_before_it_is_redacted() {
    let mut doc = document("password=hunter2", Format::Text);
    let digest = redactor("").digest("password=hunter2");
    assert_eq!(doc.digest_then_redact(&redactor("")), (digest, Counts::from([(NAMED, 1)])));
    assert_eq!(doc.normalised, "");
}

fn suspicious() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("password"),
        Just("secret"),
        Just("token"),
        Just("key"),
        Just("="),
        Just(": "),
        Just(" "),
        Just("\n"),
        Just("\\\n"),
        Just("\""),
        Just("'"),
        Just("7"),
        Just("hunter2"),
        Just("://"),
        Just("u:p@"),
        Just(";"),
        Just("|\n  "),
        Just("a=b"),
        Just("Bearer "),
        Just("-----BEGIN PRIVATE KEY-----"),
        Just("AKIAIOSFODNN7EXAMPLE"),
        Just("<redacted:hmac:k1:0123456789abcdef>"),
        Just("--"),
        Just("ü"),
        Just("true"),
        Just("\\"),
        Just(","),
        Just("/snmp community\n"),
        Just("name="),
        Just("***redacted***"),
        Just("@"),
        Just("/"),
        Just("?sig="),
        Just("&"),
        Just("<password>"),
        Just("</"),
        Just("mysql -p"),
        Just("curl -u "),
        Just("@tcp("),
        Just("0123456789abcdef"),
        Just("\"auths\""),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

#[test]
fn a_marker_with_something_behind_it_is_not_redacted_again() {
    let redactor = redactor("");
    let (once, found) = redactor.redact_text("password://@tcp(");
    assert_eq!((redactor.redact_text(&once), found), ((once.clone(), 0), 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn text_is_redacted_once(text in suspicious()) {
        let redactor = redactor("");
        let (once, _) = redactor.redact_text(&text);
        prop_assert_eq!(redactor.redact_text(&once), (once.clone(), 0), "{}", text);
    }

    #[test]
    fn values_are_redacted_once(path in "(a|password|tokens)(\\[0\\])?(\\.(value|name|secret))?", text in suspicious()) {
        let redactor = redactor("");
        let mut value = Value::from(text);
        redactor.redact_value(&path, &mut value);
        let once = value.clone();
        prop_assert!(!redactor.redact_value(&path, &mut value), "{} {}", path, once);
        prop_assert_eq!(value, once);
    }

    #[test]
    fn any_text_can_be_redacted(text in any::<String>()) {
        redactor("").redact_text(&text);
    }
}

#[test]
fn a_rule_for_a_family_holds_in_texts_that_are_known_by_their_looks() {
    let policy = "[[secret]]\nline = '^site-marker (\\S+)'\nkind = \"cisco-ios\"\n";
    let ios = "hostname r1\ninterface Vlan1\nline vty 0 4\nsite-marker hunter2\n";
    let mut known = document(ios, Format::Text);
    assert_eq!(redactor(policy).redact(&mut known), 1);
    let mut unknown = document("site-marker KEEP\n", Format::Text);
    assert_eq!(redactor(policy).redact(&mut unknown), 0);
}
