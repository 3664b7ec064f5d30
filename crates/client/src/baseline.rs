//! The baseline of a service: a snapshot file, or a configuration that somebody approved and signed.

use rig_config::{Baseline, BaselineKeys, FlatConfig, Limits, SnapshotFile, Trust};

use crate::{Error, writer};

/// Reads what was approved, at a path or address; with keys, only if one of them signed it.
///
/// # Errors
/// [`Error::Untrusted`], and what [`writer::read`] says.
pub(crate) async fn read(address: &str, keys: Option<&BaselineKeys>) -> Result<FlatConfig, Error> {
    let (name, content) = writer::fetch(address, writer::LIMIT).await?;
    let limits = Limits::of_file(writer::LIMIT);
    let bad = |source| Error::Document { name: name.clone(), source };
    if Baseline::looks_like(&content) {
        let baseline = Baseline::parse(&content, &limits).map_err(bad)?;
        let trust = keys.map(|keys| baseline.verify(keys)).filter(|trust| *trust != Trust::Valid);
        return match trust {
            Some(trust) => Err(Error::Untrusted { name, trust }),
            None => Ok(baseline.config.as_ref().clone()),
        };
    }
    let snapshot = SnapshotFile::read(&content, &limits).map_err(bad)?;
    match snapshot {
        Some(_) if keys.is_some() => Err(Error::Untrusted { name, trust: Trust::Unsigned }),
        Some(snapshot) => Ok(snapshot.config),
        None => Err(Error::NoSnapshot { name }),
    }
}
