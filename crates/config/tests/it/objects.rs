//! One object is never told as another: documents as people have them, and what is told of each.

use rig_config::told::grouped;
use rig_config::{FlatConfig, Format, Limits, Policy, Timestamp, apply, declared_drift, diff, drift, parse};

fn read(format: Format, text: &str) -> FlatConfig {
    parse(text.as_bytes(), format, &Limits::default()).unwrap().config
}

/// Returns what is told of two documents, each change as `op path`.
fn told(format: Format, old: &str, new: &str, policy: &str) -> Vec<String> {
    let policy = Policy::parse(policy).unwrap();
    let (old, new) = (read(format, old), read(format, new));
    for (old, new) in [(&old, &new), (&new, &old)] {
        let mut applied = old.clone();
        apply(&mut applied, &diff(old, new, &policy).changes).unwrap();
        assert_eq!(&applied, new);
    }
    let changes = grouped(&diff(&old, &new, &policy).changes);
    changes.iter().map(|change| format!("{} {}", change.op.as_str(), change.path)).collect()
}

fn check(format: Format, old: &str, new: &str, expected: &[&str]) {
    assert_eq!(told(format, old, new, ""), expected, "{new}");
}

#[test]
fn kubernetes_documents_are_told_by_what_they_are() {
    let object = |kind: &str, name: &str, rest: &str| {
        let version = if kind == "Deployment" { "apps/v1" } else { "v1" };
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}}}\n{rest}")
    };
    let stream = |objects: &[String]| objects.join("\n---\n");
    let (service, config) =
        (object("Service", "web", "spec: {port: 80}"), object("ConfigMap", "web", "data: {a: b}"));
    let deployment = |n: u8| object("Deployment", "web", &format!("spec: {{replicas: {n}}}"));
    check(
        Format::Yaml,
        &stream(&[deployment(2), service.clone()]),
        &stream(&[config.clone(), deployment(3), service.clone()]),
        &["added [object=ConfigMap/web]", "changed [object=Deployment.apps/web].spec.replicas"],
    );
    // Another order is nothing but moves; one document more does not rename the first, and neither does one less.
    let moved = told(
        Format::Yaml,
        &stream(&[deployment(1), service.clone(), config.clone()]),
        &stream(&[config.clone(), deployment(1), service.clone()]),
        "",
    );
    assert_eq!(moved, ["moved [object=ConfigMap/web]"]);
    check(
        Format::Yaml,
        &service,
        &stream(&[service.clone(), config.clone()]),
        &["added [object=ConfigMap/web]"],
    );
    check(
        Format::Yaml,
        &stream(&[config.clone(), service.clone()]),
        &service,
        &["removed [object=ConfigMap/web]"],
    );
    // A newer version of the API is a change of the same object.
    let beta = deployment(1).replace("apps/v1", "apps/v1beta1");
    check(
        Format::Yaml,
        &stream(&[beta, service.clone()]),
        &stream(&[service.clone(), deployment(1)]),
        &["moved [object=Service/web]", "changed [object=Deployment.apps/web].apiVersion"],
    );
    let item = |namespace: &str, n: u8| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"a\",\"namespace\":\"{namespace}\"}},\"n\":{n}}}"
        )
    };
    check(
        Format::Json,
        &format!("{{\"items\":[{},{}]}}", item("x", 1), item("y", 1)),
        &format!("{{\"items\":[{},{}]}}", item("y", 1), item("x", 2)),
        &["moved items[object=Pod/y/a]", "changed items[object=Pod/x/a].n"],
    );
}

#[test]
fn elements_without_a_name_are_told_by_likeness() {
    check(
        Format::Yaml,
        "ports:\n  - {containerPort: 80, protocol: TCP}\n  - {containerPort: 443, protocol: TCP}\n",
        "ports:\n  - {containerPort: 22, protocol: TCP}\n  - {containerPort: 80, protocol: TCP}\n  - {containerPort: 443, protocol: UDP}\n",
        &["added ports[0]", "changed ports[2].protocol"],
    );
    check(
        Format::Yaml,
        "rules:\n  - {host: a.example, paths: [/], svc: a}\n  - {host: b.example, paths: [/], svc: b}\n",
        "rules:\n  - {host: new.example, paths: [/], svc: n}\n  - {host: a.example, paths: [/], svc: a2}\n  - {host: b.example, paths: [/], svc: b}\n",
        &["added rules[0]", "changed rules[1].svc"],
    );
    let steps = |first: &str, test: &str| {
        let script: String = (0..20).map(|n| format!("          echo {n}\n")).collect();
        format!("steps:\n{first}  - uses: actions/checkout@v3\n  - run: |\n{script}          {test}\n")
    };
    check(
        Format::Yaml,
        &steps("", "make"),
        &steps("  - uses: actions/cache@v3\n    with: {path: a}\n", "make test"),
        &["added steps[0]", "changed steps[2].run"],
    );
    check(
        Format::Yaml,
        "environment: [A=1, B=2, C=3]",
        "environment: [C=3, Z=0, A=5, B=2]",
        &["moved environment[0]", "added environment[1]", "changed environment[2]"],
    );
    // Nothing in common, and names that differ: nobody was renamed.
    check(Format::Json, "[{\"a\":1,\"b\":1}]", "[{\"a\":2,\"b\":2}]", &["removed [0]", "added [0]"]);
    check(
        Format::Json,
        "[{\"name\":\"a\",\"x\":1,\"y\":1},{\"x\":9}]",
        "[{\"name\":\"b\",\"x\":1,\"y\":1},{\"x\":9}]",
        &["removed [0]", "added [0]"],
    );
    check(Format::Json, "[1,2,3]", "[3,1,2]", &["moved [0]"]);
}

#[test]
fn a_second_block_or_element_does_not_rename_the_first() {
    let peer = |n: u8| format!("<peer><host>10.0.0.{n}</host><mtu>1420</mtu></peer>");
    let peers = |peers: &[String]| format!("<vpn><peers>{}</peers></vpn>", peers.concat());
    check(Format::Xml, &peers(&[peer(1)]), &peers(&[peer(1), peer(2)]), &["added vpn.peers.peer[1]"]);
    check(Format::Xml, &peers(&[peer(2)]), &peers(&[peer(1), peer(2)]), &["added vpn.peers.peer[0]"]);
    check(Format::Xml, &peers(&[peer(1), peer(2)]), &peers(&[peer(2)]), &["removed vpn.peers.peer[0]"]);
    check(Format::Xml, "<c><dns>a</dns></c>", "<c><dns>b</dns><dns>a</dns></c>", &["added c.dns[0]"]);
    let ingress = |port: u16, more: &str| {
        format!("  ingress {{\n    from_port = {port}\n    to_port = {port}\n{more}  }}\n")
    };
    let group = |blocks: &[String]| format!("resource \"sg\" \"web\" {{\n{}}}\n", blocks.concat());
    check(
        Format::Hcl,
        &group(&[ingress(80, "    a = 1\n")]),
        &group(&[ingress(22, ""), ingress(80, "    a = 2\n")]),
        &["added resource.sg.web.ingress[0]", "changed resource.sg.web.ingress[1].a"],
    );
    // Also inside of what moved, and more than once.
    let entry = |name: &str, hosts: &str| format!("<e name=\"{name}\"><x>1</x>{hosts}</e>");
    check(
        Format::Xml,
        &format!("<c>{}{}</c>", entry("a", "<h>1</h>"), entry("b", "<h>1</h><h>2</h>")),
        &format!("<c>{}{}</c>", entry("b", "<h>2</h>"), entry("a", "<h>1</h><h>2</h>")),
        &["removed c.e[@name=b].h[0]", "moved c.e[@name=b]", "added c.e[@name=a].h[1]"],
    );
    // A list of one is a list: nothing but a document with lists of its own has it.
    check(Format::Json, "{\"a\":1}", "{\"a\":[1]}", &["removed a", "added a[0]"]);
}

#[test]
fn a_rule_names_elements_by_nested_and_composite_keys() {
    let old = "kind: A\nmetadata: {name: a}\nv: 1\n---\nkind: B\nmetadata: {name: a}\nv: 1\n";
    let new = "kind: C\nmetadata: {name: c}\nv: 1\n---\nkind: B\nmetadata: {name: a}\nv: 2\n---\nkind: A\nmetadata: {name: a}\nv: 1\n";
    let rule = "[[list]]\npath = \"\"\nkey = [\"kind\", \"metadata.name\"]\nordered = false\n";
    assert_eq!(
        told(Format::Yaml, old, new, rule),
        ["added [kind,metadata.name=C,c]", "changed [kind,metadata.name=B,a].v"]
    );
    let rule = "[[list]]\npath = \"**.e\"\nkey = \"@n\"\nordered = false\n";
    let (old, new) = (
        "<c><e n='b'><v>1</v></e><e n='a'><v>1</v></e></c>",
        "<c><e n='a'><v>1</v></e><e n='b'><v>1</v></e></c>",
    );
    assert_eq!(told(Format::Xml, old, new, rule), [""; 0]);
}

#[test]
fn one_comparison_serves_diffs_baselines_and_declarations() {
    let now: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
    let policy = "[[list]]\npath = \"hosts\"\nmode = \"set\"\n[[compare]]\npath = \"cpu\"\nas = \"quantity\"\n\
                  [[compare]]\npath = \"**.host\"\nignore_case = true\n";
    let (old, new) = (
        "{\"hosts\":[\"a\",\"b\"],\"cpu\":\"1000m\",\"l\":[{\"host\":\"X\",\"n\":1}]}",
        "{\"hosts\":[\"b\",\"a\"],\"cpu\":1,\"l\":[{\"host\":\"y\",\"n\":2},{\"host\":\"x\",\"n\":1,\"more\":1}]}",
    );
    let policy = Policy::parse(policy).unwrap();
    let (old, new) = (read(Format::Json, old), read(Format::Json, new));
    let paths =
        |fields: Vec<rig_config::DriftField>| fields.into_iter().map(|field| field.path).collect::<Vec<_>>();
    assert_eq!(paths(declared_drift(&old, &new, &policy, now).fields), [""; 0]);
    let expected = ["l[0].host", "l[0].n", "l[1].more"];
    assert_eq!(paths(drift(&old, &new, &policy, &[], now).fields), expected);
    let found = diff(&old, &new, &policy).changes;
    let found: Vec<_> = found.into_iter().filter(|c| c.op.is_difference()).map(|c| c.path).collect();
    assert_eq!(found, expected);
}
