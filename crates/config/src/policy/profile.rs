//! Profiles: built-in rules for what programs write into documents by themselves.

use std::sync::LazyLock;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{CompareRule, ValueKind};
use crate::Pattern;
use crate::path::Segment;

/// `profile = "kubernetes"`: a set of built-in rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Leaves out what an API server adds to the objects that `kubectl get -o yaml` prints, and a null
    /// against an absence; compares quantities by value.
    Kubernetes,
}

/// Fields that an API server writes by itself. Objects stand at the root, in a list of documents, or below `items`.
const LIVE: &[&str] = &[
    "metadata.managedFields.**",
    "metadata.resourceVersion",
    "metadata.uid",
    "metadata.generation",
    "metadata.selfLink",
    "metadata.annotations.\"kubectl.kubernetes.io/last-applied-configuration\"",
    "metadata.annotations.\"deployment.kubernetes.io/revision\"",
    "status.**",
];

const ROOTS: &[&str] = &["", "[*].", "items[*].", "[*].items[*]."];

/// Fields that are quantities.
const QUANTITIES: &[&str] =
    &["**.limits.*", "**.requests.*", "**.hard.*", "**.capacity.*", "**.sizeLimit", "**.storage"];

struct Rules {
    live: Vec<Pattern>,
    compare: Vec<CompareRule>,
}

static KUBERNETES: LazyLock<Rules> = LazyLock::new(|| {
    let live = ROOTS.iter().flat_map(|root| LIVE.iter().map(move |path| format!("{root}{path}")));
    // Every template of an object has it, mostly as null.
    let live = live.chain(["**.metadata.creationTimestamp".to_owned()]);
    let quantity = |path: &&str| {
        let kind = Some(ValueKind::Quantity);
        Some(CompareRule {
            path: path.parse().ok()?,
            tolerance: None,
            ignore_case: false,
            trim: false,
            collapse_whitespace: false,
            ignore_type: false,
            kind,
        })
    };
    Rules {
        live: live.filter_map(|path| path.parse().ok()).collect(),
        compare: QUANTITIES.iter().filter_map(quantity).collect(),
    }
});

impl Profile {
    fn rules(self) -> &'static Rules {
        match self {
            Profile::Kubernetes => &KUBERNETES,
        }
    }

    /// The comparisons of the profile.
    pub(super) fn compare(self) -> &'static [CompareRule] {
        &self.rules().compare
    }

    /// Returns true if the field is not to be compared at all, or is null on one side and absent on the other.
    pub(super) fn leaves_out(self, path: &[Segment], before: Option<&Value>, after: Option<&Value>) -> bool {
        let defaulted = matches!((before, after), (None, Some(Value::Null)) | (Some(Value::Null), None));
        defaulted || self.rules().live.iter().any(|pattern| pattern.covers(path, false))
    }
}

/// One profile, or a list of some.
pub(super) fn one_or_more<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Profile>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`profile` must be \"kubernetes\", or a list of profiles")]
    enum Written {
        One(Profile),
        Several(Vec<Profile>),
    }
    Ok(match Written::deserialize(d)? {
        Written::One(profile) => vec![profile],
        Written::Several(profiles) => profiles,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Format, Limits, Policy, apply, diff, parse};

    #[test]
    fn every_rule_of_the_profile_reads() {
        assert_eq!(KUBERNETES.live.len(), ROOTS.len() * LIVE.len() + 1);
        assert_eq!(KUBERNETES.compare.len(), QUANTITIES.len());
    }

    #[test]
    fn what_an_api_server_writes_is_no_difference_and_stays_in_the_log() {
        let read = |value: Value| {
            parse(value.to_string().into_bytes(), Format::Json, &Limits::default()).unwrap().config
        };
        let object = |live: Value, image: &str, cpu: Value| {
            let mut object = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
                "spec": {"image": image, "resources": {"limits": {"cpu": cpu}}},
            });
            object["metadata"].as_object_mut().unwrap().extend(live.as_object().unwrap().clone());
            object["status"] = live;
            object
        };
        let old = read(object(json!({"creationTimestamp": null}), "a", json!(1)));
        let live =
            json!({"uid": "u", "managedFields": [{"manager": "m"}, {"manager": "n"}], "generation": 2});
        let new = read(object(live, "b", json!("1000m")));
        let policy = Policy::parse("profile = \"kubernetes\"").unwrap();
        let found = diff(&old, &new, &policy);
        let told: Vec<_> =
            found.changes.iter().filter(|c| c.op.is_difference()).map(|c| c.path.as_str()).collect();
        assert_eq!(told, ["spec.image"]);
        let mut applied = old;
        apply(&mut applied, &found.changes).unwrap();
        assert_eq!(applied, new);
        assert!(Policy::parse("profile = [\"kubernetes\"]").is_ok());
        assert!(Policy::parse("profile = \"nomad\"").unwrap_err().to_string().contains("kubernetes"));
    }
}
