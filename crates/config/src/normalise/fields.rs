//! Fields that change by themselves: who saved one, and when.

use rig_event::FlatConfig;

/// A field that documents of a kind have, and the fields of theirs that change by themselves: what their paths begin with, and what
/// they end with.
struct Kind {
    sign: &'static str,
    begins: &'static str,
    ends: &'static [&'static str],
}

const KINDS: [Kind; 7] = [
    // config.xml of pfSense and OPNsense: the head of its history.
    Kind { sign: "pfsense.revision.", begins: "pfsense.revision.", ends: &[""] },
    Kind { sign: "opnsense.revision.", begins: "opnsense.revision.", ends: &[""] },
    // PAN-OS marks what the candidate configuration changes.
    Kind { sign: "config.@urldb", begins: "config.", ends: PANOS },
    Kind { sign: "config.@detail-version", begins: "config.", ends: PANOS },
    // `show configuration | display xml` and `| display json` of Junos.
    Kind { sign: "rpc-reply.configuration.@", begins: "rpc-reply.configuration.", ends: JUNOS },
    Kind { sign: "configuration.@", begins: "configuration.@", ends: JUNOS },
    Kind { sign: "configuration[0].attributes.", begins: "configuration[0].attributes.", ends: JUNOS },
];

const PANOS: &[&str] = &[".@dirtyId", ".@admin", ".@time"];

const JUNOS: &[&str] = &[
    "junos:changed-seconds",
    "junos:changed-localtime",
    "junos:commit-seconds",
    "junos:commit-localtime",
    "junos:commit-user",
];

/// Takes out of a configuration the fields that change by themselves. Returns true if there were any.
pub(crate) fn forget(config: &mut FlatConfig) -> bool {
    let before = config.len();
    let is_there = |config: &FlatConfig, start: &str| {
        config.range(start.to_owned()..).next().is_some_and(|(path, _)| path.starts_with(start))
    };
    for Kind { sign, begins, ends } in &KINDS {
        if is_there(config, sign) {
            config
                .retain(|path, _| !(path.starts_with(begins) && ends.iter().any(|end| path.ends_with(end))));
        }
    }
    config.len() < before
}

#[cfg(test)]
mod tests {
    use crate::{Format, Limits, parse};

    fn left(format: Format, text: &str) -> Vec<String> {
        let document = parse(text.as_bytes(), format, &Limits::default()).unwrap();
        assert!(document.lines.keys().eq(document.config.keys()));
        document.config.into_keys().collect()
    }

    #[test]
    fn who_saved_a_document_and_when_goes() {
        let opnsense = "<opnsense><a>1</a><revision><time>1540844640.5</time><description>x</description></revision></opnsense>";
        assert_eq!(left(Format::Xml, opnsense), ["opnsense.a"]);
        let panos = "<config version=\"10.1.0\" urldb=\"p\"><a><entry name=\"x\" dirtyId=\"4\" admin=\"ana\" time=\"2026/01/05 10:00:00\"/></a></config>";
        assert_eq!(left(Format::Xml, panos), ["config.@urldb", "config.@version", "config.a.entry.@name"]);
        let junos = "<rpc-reply><configuration junos:changed-seconds=\"1\" junos:changed-localtime=\"x\" junos:other=\"1\"><a>1</a></configuration></rpc-reply>";
        assert_eq!(
            left(Format::Xml, junos),
            ["rpc-reply.configuration.@junos:other", "rpc-reply.configuration.a"]
        );
        let json = r#"{"configuration": {"@": {"junos:changed-seconds": "1"}, "version": "22.1R1"}}"#;
        assert_eq!(left(Format::Json, json), ["configuration.version"]);
        // The same names elsewhere are settings.
        for other in [
            "<app><revision><time>1</time></revision></app>",
            "<config><a admin=\"x\" time=\"1\">b</a></config>",
        ] {
            let all = parse(other.as_bytes(), Format::Xml, &Limits::default()).unwrap().config.len();
            assert!(
                all >= 1 && left(Format::Xml, other).len() == other.matches("=\"").count() + 1,
                "{other}"
            );
        }
    }
}
